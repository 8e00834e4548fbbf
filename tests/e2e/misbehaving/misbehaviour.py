"""What a site of a study does that does not keep to the protocol: ``dies``, is ``slow``, or is ``hostile``.

The process is a real connector with its own keys: only what it does in a round is changed. The product knows
nothing of this.
"""

from __future__ import annotations

import io
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from synthema.errors import SynthemaError
from synthema.federation.messages import Message, seal
from synthema.federation.taking_part import Part

SLOW_SECONDS = 3.0
part: Any = Part
sealed, send = part._on_sealed, part._send


def begin(how: str, told: str) -> None:
    """Misbehave from now on; what a hostile site is told goes into a file, one JSON value a line."""
    if how == "dies":
        part._on_sealed = dies
    elif how == "slow":
        part._on_sealed = slow
    elif how == "hostile":
        part._send = Hostile(Path(told)).send()


def dies(_self: Any, _message: Any) -> None:
    """Kill -9 in the midst of the first round, before the vector leaves."""
    os.kill(os.getpid(), signal.SIGKILL)


def slow(self: Any, message: Any) -> None:
    """Take one's time in each round."""
    time.sleep(SLOW_SECONDS)
    sealed(self, message)


class Forger:
    """Signs with a key that is nobody's."""

    def sign(self, _key_id: str, data: bytes) -> bytes:
        return Ed25519PrivateKey.generate().sign(data)


class Hostile:
    """Forges, sends rubbish, repeats old rounds and lies, all of it beside what it should say."""

    def __init__(self, told: Path) -> None:
        self._told = told
        self._former: tuple[str, bytes] = ("", b"")

    def send(self) -> Any:
        """What stands in for :meth:`Part._send`."""

        def send_hostile(site: Any, kind: str, body: dict[str, Any], attachment: bytes = b"") -> Any:
            if not getattr(self, f"_{kind}_{site._number}", lambda *_: True)(site, body, attachment):
                return None
            return send(site, kind, body, attachment)

        return send_hostile

    def _keys_1(self, site: Any, body: dict[str, Any], _attachment: bytes) -> bool:
        self._attempt(site, "wrong keys", _made(site, "keys", body, signer=Forger()))
        other = next(did for did in site._plan.dids if did != site._site.me)
        self._attempt(site, "another's name", _made(site, "keys", body, sender=other))
        return True

    def _masked_1(self, site: Any, body: dict[str, Any], attachment: bytes) -> bool:
        self._attempt(site, "no vector", _made(site, "masked", {}, b"this is not a vector"))
        self._attempt(site, "short vector", _made(site, "masked", {}, _vector(np.zeros(3, np.uint64))))
        floats = _vector(np.full(site._state.length, np.nan))
        self._attempt(site, "floats", _made(site, "masked", {}, floats))
        self._former = (site._round_id, _made(site, "masked", body, attachment))
        return True

    def _masked_2(self, site: Any, body: dict[str, Any], attachment: bytes) -> bool:
        round_id, before = self._former
        self._attempt(site, "the same again", before)
        old = _made(site, "masked", body, attachment, round=1, round_id=round_id, sequence=99)
        self._attempt(site, "an old round", old)
        return True

    def _agreement_2(self, site: Any, body: dict[str, Any], _attachment: bytes) -> bool:
        survivors = [did for did in body["survivors"] if did != site._site.me][1:]
        dropped = sorted({*body["dropped"], *body["survivors"]} - {*survivors})
        lie = {**body, "survivors": survivors, "dropped": dropped}
        self._attempt(site, "a lie about survivors", _made(site, "agreement", lie))
        return False  # and it never says the truth

    def _attempt(self, site: Any, what: str, data: bytes) -> None:
        try:
            site._site.channel.post(site._plan.id, data)
            answer = "taken"
        except SynthemaError as error:
            answer = error.message
        with self._told.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"what": what, "answer": answer}) + "\n")


def _made(site: Any, kind: str, body: dict[str, Any], attachment: bytes = b"", **changes: Any) -> bytes:
    """A sealed message of the site, some of its fields changed."""
    signer = changes.pop("signer", site._site.signer)
    values = {
        "kind": kind, "study": site._plan.id, "plan": site._plan_digest, "sender": site._site.me,
        "recipient": site._plan.coordinator, "sequence": site._sequence, "round": site._number,
        "round_id": site._round_id, "body": body,
    }  # fmt: skip
    return seal(Message.model_validate(values | changes), attachment, signer).to_bytes()


def _vector(numbers: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, numbers, allow_pickle=False)
    return buffer.getvalue()

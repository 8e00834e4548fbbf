"""Valid messages of every kind at a real connector, and what a hostile hand makes of them."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from hypothesis import strategies as st
from sqlalchemy import select

from synthema.clock import SystemClock
from synthema.dataspace import Agreement, Process, store
from synthema.dataspace import messages as m
from synthema.dataspace.policy_wire import to_wire
from synthema.storage import metadata
from tests.unit.dataspace.world import DATASET, OFFER, POLICY, World, offer_of

_numbers = itertools.count()


@dataclass(frozen=True)
class Kind:
    """A kind of message: where it goes, and how a valid one is made for a process that is ready for it."""

    name: str
    make: Callable[[World], tuple[str, dict[str, Any]]]


def opened(world: World) -> Process:
    """A negotiation that the hub opened at the hospital."""
    caller = world.hospital.dataspace.caller_of(world.hub.did)
    message = m.ContractRequestMessage.model_validate(_request(world))
    process, _ = world.hospital.dataspace.contract_request_received(caller, message)
    return process


def offered(world: World) -> Process:
    """A negotiation that the hub opened at the hospital with an offer of its own."""
    caller = world.hospital.dataspace.caller_of(world.hub.did)
    message = m.ContractOfferMessage.model_validate(_offer(world))
    process, _ = world.hospital.dataspace.contract_offer_received(caller, message)
    return process


def transferring(world: World) -> Process:
    """A transfer that the hub asked for under an agreement."""
    caller = world.hospital.dataspace.caller_of(world.hub.did)
    message = m.TransferRequestMessage.model_validate(_transfer(world))
    process, _ = world.hospital.dataspace.transfer_request_received(caller, message)
    return process


def _in_state(world: World, process: Process, state: str) -> Process:
    changed = replace(process, state=state)
    world.hospital.database.write(lambda connection: store.save_process(connection, changed))
    return changed


def _callback(world: World) -> str:
    return world.hub.settings.public_url + m.BASE


def _request(world: World) -> dict[str, Any]:
    offer = {**offer_of(world.hospital), "target": DATASET}
    return m.ContractRequestMessage(
        consumer_pid=f"c-{next(_numbers)}", offer=offer, callback_address=_callback(world)
    ).wire()


def _offer(world: World) -> dict[str, Any]:
    offer = dict(to_wire(POLICY, DATASET)) | {"@id": OFFER, "@type": "Offer", "target": DATASET}
    return m.ContractOfferMessage(
        provider_pid=f"p-{next(_numbers)}", offer=offer, callback_address=_callback(world)
    ).wire()


def _transfer(world: World) -> dict[str, Any]:
    identifier = f"urn:agreement:{next(_numbers)}"
    policy = dict(to_wire(POLICY, DATASET)) | {"@id": identifier, "@type": "Agreement", "target": DATASET}
    parties = {"assigner": world.hospital.did, "assignee": world.hub.did}
    agreement = Agreement(
        identifier, f"n-{identifier}", DATASET, world.hospital.did, world.hub.did, policy | parties,
        SystemClock().now(), "provider",
    )  # fmt: skip
    world.hospital.database.write(lambda connection: store.add_agreement(connection, agreement))
    return m.TransferRequestMessage(
        consumer_pid=f"t-{next(_numbers)}", agreement_id=identifier, format="HttpData-PULL",
        callback_address=_callback(world),
    ).wire()  # fmt: skip


def _later(
    open_: Callable[[World], Process], state: str, path: str, model: type[m.Message], **more: Any
) -> Callable[[World], tuple[str, dict[str, Any]]]:
    def make(world: World) -> tuple[str, dict[str, Any]]:
        process = _in_state(world, open_(world), state)
        pids = {"providerPid": process.provider_pid, "consumerPid": process.consumer_pid}
        body = {"@context": [m.CONTEXT], "@type": model.__name__} | pids | copy.deepcopy(more)
        return f"{m.BASE}/{process.kind}s/{process.id}{path}", body

    return make


def agreed(world: World) -> Process:
    """A negotiation that the hub offered and that has come to an agreement."""
    process = offered(world)
    return replace(process, details=dict(process.details) | {"agreement": _agreement_text(world, process)})


def _agreement_text(world: World, process: Process) -> dict[str, Any]:
    return dict(process.details["offer"]) | {
        "@type": "Agreement",
        "@id": f"urn:agreement:{next(_numbers)}",
        "assigner": world.hub.did,
        "assignee": world.hospital.did,
        "timestamp": "2026-11-22T10:00:00Z",
    }


def _agreement(world: World) -> tuple[str, dict[str, Any]]:
    process = _in_state(world, offered(world), "ACCEPTED")
    text = _agreement_text(world, process)
    message = m.ContractAgreementMessage(
        provider_pid=process.provider_pid, consumer_pid=process.consumer_pid, agreement=text
    )
    return f"{m.BASE}/negotiations/{process.id}/agreement", message.wire()


def _counter(world: World) -> tuple[str, dict[str, Any]]:
    process = _in_state(world, opened(world), "OFFERED")
    offer = {**offer_of(world.hospital), "target": DATASET}
    pids = {"provider_pid": process.provider_pid, "consumer_pid": process.consumer_pid}
    return f"{m.BASE}/negotiations/{process.id}/request", m.ContractRequestMessage(**pids, offer=offer).wire()


def _answer_offer(world: World) -> tuple[str, dict[str, Any]]:
    process = _in_state(world, offered(world), "REQUESTED")
    pids = {"provider_pid": process.provider_pid, "consumer_pid": process.consumer_pid}
    message = m.ContractOfferMessage(**pids, offer=dict(process.details["offer"]))
    return f"{m.BASE}/negotiations/{process.id}/offers", message.wire()


_REASONS: Final = {"code": "c", "reason": ["because"]}
KINDS: Final = (
    Kind("catalogue", lambda _: (f"{m.BASE}/catalog/request", m.CatalogRequestMessage().wire())),
    Kind("contract request", lambda world: (f"{m.BASE}/negotiations/request", _request(world))),
    Kind("contract offer", lambda world: (f"{m.BASE}/negotiations/offers", _offer(world))),
    Kind("counter request", _counter),
    Kind("counter offer", _answer_offer),
    Kind("accept", _later(opened, "OFFERED", "/events", m.ContractNegotiationEventMessage, eventType="ACCEPTED")),
    Kind("agreement", _agreement),
    Kind("verify", _later(opened, "AGREED", "/agreement/verification", m.ContractAgreementVerificationMessage)),
    Kind("finalise", _later(agreed, "VERIFIED", "/events", m.ContractNegotiationEventMessage, eventType="FINALIZED")),
    Kind(
        "end negotiation",
        _later(opened, "REQUESTED", "/termination", m.ContractNegotiationTerminationMessage, **_REASONS),
    ),
    Kind("transfer request", lambda world: (f"{m.BASE}/transfers/request", _transfer(world))),
    Kind("start", _later(transferring, "SUSPENDED", "/start", m.TransferStartMessage)),
    Kind("suspend", _later(transferring, "STARTED", "/suspension", m.TransferSuspensionMessage, **_REASONS)),
    Kind("complete", _later(transferring, "STARTED", "/completion", m.TransferCompletionMessage)),
    Kind("end transfer", _later(transferring, "REQUESTED", "/termination", m.TransferTerminationMessage, **_REASONS)),
)


# what a hostile hand does ---------------------------------------------------------------------------------------------

ODD: Final = (
    None, True, False, 0, -1, 1.5, 2**53, 1e308, "", " ", "x" * 5000, "\n", "a\r\nX: y", "\u202e", "\x1b[2J", "é",
    "e\u0301", "..", "../../secrets", "%00", "'; DROP TABLE dataspace_processes; --", "{{7*7}}", "${jndi:ldap://x}",
    "<script>", [], {}, [[]], [None], {"@id": "x"}, {"@value": 1}, {"@import": "file:///etc/passwd"}, "file:///etc/passwd",
    "http://169.254.169.254/", "TERMINATED", "did:web:evil.example", ["x"] * 300,
)  # fmt: skip

Path = tuple[str | int, ...]


def places(value: Any, at: Path = ()) -> Iterator[Path]:
    """Every place in a JSON value."""
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*at, key))


def with_change(value: Any, at: Path, change: Callable[[Any, Any], None]) -> Any:
    """A copy of a value in which the container at a place was changed; the root cannot be."""
    found = copy.deepcopy(value)
    container = found
    for key in at[:-1]:
        container = container[key]
    change(container, at[-1])
    return found


@st.composite
def hostile(draw: st.DrawFn, message: dict[str, Any]) -> bytes:
    """The bytes of a message after one to three changes of its JSON, and perhaps of its bytes."""
    for _ in range(draw(st.integers(1, 3))):
        chosen = draw(st.sampled_from([at for at in places(message) if at] or [("@type",)]))
        message = with_change(message, chosen, draw(st.sampled_from([_drop, _rename, _swap_case, _wrap])) if draw(
            st.booleans()) else _replaced(draw(st.sampled_from(ODD) | _any_json)))  # fmt: skip
    body = json.dumps(message, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    return draw(st.sampled_from([_as_is, _as_is, _as_is, _cut, _twice, _not_utf8, _nested, _with_mark]))(body)


_any_json: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def _drop(container: Any, key: Any) -> None:
    del container[key]


def _rename(container: Any, key: Any) -> None:
    if isinstance(container, dict):
        container[f"{key}\u200b"] = container.pop(key)


def _swap_case(container: Any, key: Any) -> None:
    if isinstance(container[key], str):
        container[key] = container[key].swapcase()


def _wrap(container: Any, key: Any) -> None:
    container[key] = [container[key]]


def _replaced(value: Any) -> Callable[[Any, Any], None]:
    def change(container: Any, key: Any) -> None:
        container[key] = value

    return change


def _as_is(body: bytes) -> bytes:
    return body


def _cut(body: bytes) -> bytes:
    return body[: len(body) // 2]


def _twice(body: bytes) -> bytes:
    return body[:-1] + b', "@type": "CatalogRequestMessage"}'


def _not_utf8(body: bytes) -> bytes:
    return body[:-1] + b', "x": "\xff\xfe"}'


def _nested(body: bytes) -> bytes:
    return body[:-1] + b', "x": ' + b"[" * 100 + b"]" * 100 + b"}"


def _with_mark(body: bytes) -> bytes:
    return b"\xef\xbb\xbf" + body


def everything(world: World) -> dict[str, list[Any]]:
    """All that the hospital has kept, except which tokens were used."""
    with world.hospital.database.read() as connection:
        return {
            table.name: sorted(map(repr, connection.execute(select(table))))
            for table in metadata.sorted_tables
            if table.name != "used_tokens"
        }

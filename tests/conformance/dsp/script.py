"""What the target does of its own accord, by the id of the dataset or the agreement.

The kit plays one side only and needs a partner that takes certain steps. A
script names, for each state, what is done when the process comes into it for
the first time, the second time and so on; where it names nothing, nothing is
done. Ids: ACN… negotiations in which we provide, ACNC… in which we consume,
ATP… and ATPC… the same for transfers.

Source: the tables that come with Dataspace Protocol TCK 1.0.1 (README §2).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Act = Literal[
    "offer", "agree", "finalise", "accept", "counter", "verify", "start", "suspend", "complete", "terminate"
]  # fmt: skip
Cues = Mapping[str, tuple[Act, ...]]

_OFFER: Cues = {"REQUESTED": ("offer",)}
_ACCEPT: Cues = {"OFFERED": ("accept",)}
_VERIFY: Cues = {"AGREED": ("verify",)}
_START: Cues = {"REQUESTED": ("start",)}
_NOTHING: Cues = {}

SCRIPT: Mapping[str, Cues] = {
    "ACN0101": _OFFER,
    "ACN0102": {"REQUESTED": ("offer", "terminate")},
    "ACN0103": {"REQUESTED": ("offer",), "ACCEPTED": ("agree",), "VERIFIED": ("finalise",)},
    "ACN0104": {"REQUESTED": ("agree",), "VERIFIED": ("finalise",)},
    "ACN0201": {"REQUESTED": ("terminate",)},
    "ACN0202": _NOTHING,
    "ACN0203": {"REQUESTED": ("agree",)},
    "ACN0204": _OFFER,
    "ACN0205": {"REQUESTED": ("offer",), "OFFERED": ("terminate",)},
    "ACN0206": {"REQUESTED": ("offer",), "ACCEPTED": ("terminate",)},
    "ACN0207": {"REQUESTED": ("agree",), "VERIFIED": ("terminate",)},
    "ACN0301": {"REQUESTED": ("agree",), "VERIFIED": ("finalise",)},
    "ACN0302": _OFFER,
    "ACN0303": _OFFER,
    "ACN0304": _OFFER,
    "ACNC0101": {**_ACCEPT, **_VERIFY},
    "ACNC0102": {"OFFERED": ("counter",)},
    "ACNC0103": {"OFFERED": ("terminate",)},
    "ACNC0104": _VERIFY,
    "ACNC0201": _NOTHING,
    "ACNC0202": {"REQUESTED": ("terminate",)},
    "ACNC0203": {"AGREED": ("terminate",)},
    "ACNC0204": _NOTHING,
    "ACNC0205": _ACCEPT,
    "ACNC0206": _VERIFY,
    "ACNC0301": _NOTHING,
    "ACNC0302": _NOTHING,
    "ACNC0303": _NOTHING,
    "ACNC0304": _ACCEPT,
    "ACNC0305": _ACCEPT,
    "ACNC0306": _ACCEPT,
    "ATP0101": {"REQUESTED": ("start",), "STARTED": ("terminate",)},
    "ATP0102": {"REQUESTED": ("start",), "STARTED": ("complete",)},
    "ATP0103": {"REQUESTED": ("start",), "STARTED": ("suspend",), "SUSPENDED": ("terminate",)},
    "ATP0104": {"REQUESTED": ("start",), "STARTED": ("suspend", "complete"), "SUSPENDED": ("start",)},
    "ATP0105": {"REQUESTED": ("terminate",)},
    "ATP0201": _START,
    "ATP0202": _START,
    "ATP0203": _START,
    "ATP0204": _START,
    "ATP0205": _NOTHING,
    "ATP0301": _NOTHING,
    "ATP0302": _NOTHING,
    "ATP0303": _START,
    "ATP0304": _START,
    "ATP0305": _START,
    "ATP0306": _START,
    "ATPC0101": _NOTHING,
    "ATPC0102": _NOTHING,
    "ATPC0103": _NOTHING,
    "ATPC0104": _NOTHING,
    "ATPC0105": _NOTHING,
    "ATPC0201": {"STARTED": ("terminate",)},
    "ATPC0202": {"STARTED": ("complete",)},
    "ATPC0203": {"STARTED": ("suspend",), "SUSPENDED": ("terminate",)},
    "ATPC0204": {"STARTED": ("suspend", "complete"), "SUSPENDED": ("start",)},
    "ATPC0205": {"REQUESTED": ("terminate",)},
    "ATPC0301": _NOTHING,
    "ATPC0302": _NOTHING,
    "ATPC0303": _NOTHING,
    "ATPC0304": _NOTHING,
    "ATPC0305": _NOTHING,
    "ATPC0306": _NOTHING,
}


def cue(name: str, state: str | None, visit: int) -> Act | None:
    """What is done for a dataset or agreement when its process is in a state for the nth time (from 1)."""
    acts = SCRIPT.get(name, _NOTHING).get(state or "", ())
    return acts[visit - 1] if 0 < visit <= len(acts) else None

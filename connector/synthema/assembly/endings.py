"""What a study ends in, synthetic rows or a report, and what follows from that for its release."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from synthema.certification import release_activity, report_release
from synthema.certification.model import NEEDED_ACTS
from synthema.certification.study_report import NEEDED_ACTS as REPORT_ACTS
from synthema.certification.study_report import REPORT_TYPE
from synthema.provenance import Activity
from synthema.runs.model import OutputClass
from synthema.runs.release import CERTIFY, EXPORT


@dataclass(frozen=True, slots=True)
class Ending:
    """``type`` is what the log calls it, ``output`` the class that policies see, ``act`` what the hub decides on it.

    ``verb`` and ``templates`` say to its officer which act that is and where to begin; ``needed`` are the acts that
    every site decides on; ``release`` makes the entry of its release, and ``released`` tells of it.
    """

    type: str
    output: OutputClass
    act: str
    verb: str
    templates: str
    needed: Mapping[str, str]
    release: Callable[..., Activity]
    released: str


ENDINGS: Final[Mapping[Literal["synthetic", "report"], Ending]] = {
    "synthetic": Ending(
        type="SyntheticDataset",
        output="synthetic",
        act=CERTIFY,
        verb="certify",
        templates="certified-synthetic-release and released-synthetic-data",
        needed=NEEDED_ACTS,
        release=release_activity,
        released="released with certificate",
    ),
    "report": Ending(
        type=REPORT_TYPE,
        output="aggregate",
        act=EXPORT,
        verb="release",
        templates="report-release and released-reports",
        needed=REPORT_ACTS,
        release=report_release,
        released="report released, with what shows that it may leave",
    ),
}

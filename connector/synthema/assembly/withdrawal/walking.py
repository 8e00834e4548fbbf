"""What the log's index says was made of a run, in the few questions that withdrawals ask."""

from __future__ import annotations

from datetime import datetime

from synthema.certification.study_report import REPORT_TYPE
from synthema.clock import from_text
from synthema.provenance import ProvenanceIndex
from synthema.provenance.model import SYNTHEMA
from synthema.provenance.reading import GENERATED_BY, INFORMED_BY, USED, Reader


class LogWalk(Reader):
    """Walks in one connector's index, which is brought up to date before each question."""

    def __init__(self, index: ProvenanceIndex) -> None:
        super().__init__(index)

    def evidence_of(self, run: str) -> set[str]:
        """The evidence that states what a run measured."""
        made = {thing for step in self._following(run) for thing in self._subjects(GENERATED_BY, step)}
        return {thing for thing in made if self._is_a(thing, "Evidence")}

    def measured_in(self, run: str) -> set[str]:
        """The synthetic rows that a run measured, or the report that was judged beside it."""
        used = {thing for step in self._following(run) for thing in self._objects(step, USED)}
        return {thing for thing in used if any(self._is_a(thing, kind) for kind in ("SyntheticDataset", REPORT_TYPE))}

    def sums_left_before(self, study: str, at: datetime) -> int:
        """How many masked sums of a study had left this site before a moment."""
        self._index.catch_up()
        steps = [self._step(step) for step in set(self._subjects(USED, study))]
        left = [step for step in steps if SYNTHEMA + "RoundContribution" in step.types]
        return sum(step.started is not None and from_text(step.started) < at for step in left)

    def _following(self, run: str) -> set[str]:
        """The steps that a run informed."""
        self._index.catch_up()
        return set(self._subjects(INFORMED_BY, run))

    def _is_a(self, thing: str, name: str) -> bool:
        return SYNTHEMA + name in self._types(thing)

"""What a consumer orders with a transfer of the format ``Synthema-Compute``: a named study.

Either a chain of plugins that this site runs alone (the fields of a run request, without those that only the provider
can fill in), or the plan of a study between sites, of which this site then takes part in the rounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from synthema.assembly.problems import input_error
from synthema.runs.model import ComputeKind, OutputClass, RunRequest, Step
from synthema.values import Closed


class ComputeOrder(Closed):
    """A named study: why, with which plugins and parameters, and what class of output is to come out.

    ``rows``, ``epsilon``, ``delta`` and ``holdout`` mean what they mean in a run request.
    """

    title: str = Field(min_length=3, max_length=200, description="name of the study, for people")
    purpose: str | None = Field(default=None, description="IRI or short name of the purpose (EHDS Art. 53, DPV)")
    action: str | None = None
    kind: ComputeKind | None = None
    anonymise: Step | None = None
    compute: Step | None = None
    evaluate: Step | None = None
    output: OutputClass | None = None
    epsilon: float = Field(default=0.0, ge=0)
    delta: float = Field(default=0.0, ge=0, lt=1)
    holdout: float = Field(default=0.2, ge=0, lt=1)
    rows: int = Field(default=0, ge=0)
    plan: dict[str, Any] | None = Field(default=None, description="plan of a study between sites, instead of a chain")

    @model_validator(mode="after")
    def _chain_or_plan(self) -> Self:
        chain = (self.purpose, self.action, self.kind, self.anonymise, self.compute, self.output)
        if self.plan is None and None in chain:
            raise ValueError("a chain needs purpose, action, kind, anonymise, compute and output")
        if self.plan is not None and any(part is not None for part in chain):
            raise ValueError("give either a chain of plugins or the plan of a study between sites")
        return self

    def request(self, run: str, requester: str, dataset: str, agreement: str) -> RunRequest:
        """The request for a run of this site alone; raises :class:`InputError` naming the field that is wrong."""
        values = self.model_dump(mode="json", exclude={"title", "plan"}, exclude_none=True)
        given = {"id": run, "requester": requester, "dataset": dataset, "agreement": agreement}
        try:
            return RunRequest.model_validate(values | given)
        except ValidationError as error:
            raise input_error(error, "parameters", RunRequest) from error


def read_order(parameters: Mapping[str, Any]) -> ComputeOrder:
    """The order in a transfer's parameters; raises :class:`InputError` naming the field that is wrong."""
    try:
        return ComputeOrder.model_validate(dict(parameters))
    except ValidationError as error:
        raise input_error(error, "parameters", ComputeOrder) from error

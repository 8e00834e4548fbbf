"""Operations on studies: what a hub conducts."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from synthema.assembly.conductor import read_study
from synthema.assembly.operations.datasets import codebook_of
from synthema.assembly.operations.registry import Input, Nothing, operation
from synthema.errors import NotFoundError
from synthema.federation import kept_vector

if TYPE_CHECKING:
    from synthema.assembly.connector import Connector


class StartStudy(Input):
    """A study as the researcher wrote it, and the codebook of the sites' datasets (text, or a dictionary's name)."""

    study: dict[str, Any]
    codebook: str


@operation("study/start")
def start_study(connector: Connector, given: StartStudy) -> dict[str, Any]:
    """Begin a study between sites; it goes on in the background."""
    study = read_study(given.study)
    return {"study": connector.conductor.start(study, codebook_of(given.codebook))}


class OneStudy(Input):
    """A study by its id."""

    study: str


@operation("study/show")
def show_study(connector: Connector, given: OneStudy) -> dict[str, Any]:
    """A study: its state, story and result."""
    return connector.conductor.study(given.study).as_dict()


@operation("study/list")
def list_studies(connector: Connector, given: Nothing) -> list[dict[str, Any]]:
    """All studies, newest first."""
    return [
        {"id": s.id, "title": s.title, "state": str(s.state), "reason": s.reason} for s in connector.conductor.studies()
    ]


class ReceivedVector(Input):
    """One masked vector that the hub received."""

    study: str
    round: int = Field(ge=1)
    site: str


@operation("study/received")
def show_received(connector: Connector, given: ReceivedVector) -> dict[str, Any]:
    """What the hub received from one site in one round, as it came: the masked vector, base64 of uint32 or uint64."""
    round_id = next(
        (r.round_id for r in connector.coordinator.opened_rounds(given.study) if r.number == given.round), None
    )
    if round_id is None:
        raise NotFoundError("the study opened no such round", fix="see its rounds with: synthema study show")
    vector = np.load(
        kept_vector(connector.settings.home / "received", given.study, round_id, given.site), allow_pickle=False
    )
    return {"dtype": str(vector.dtype), "length": len(vector), "data": base64.b64encode(vector.tobytes()).decode()}


@operation("study/rounds")
def show_rounds(connector: Connector, given: OneStudy) -> list[dict[str, Any]]:
    """The opened rounds of a study: survivors, privacy cost, noise, digests."""
    return [
        {
            "round": r.number,
            "survivors": list(r.survivors),
            "dropped": list(r.dropped),
            "rho": r.rho,
            "sigma": r.sigma,
            "totalDigest": r.total_digest,
            "transcript": r.transcript,
        }
        for r in connector.coordinator.opened_rounds(given.study)
    ]

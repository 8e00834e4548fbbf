"""Plans, forms, messages, noise and the engine's door."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from pydantic import ValidationError

from synthema.canonical import digest
from synthema.clock import FixedClock
from synthema.errors import DeniedError, InputError, IntegrityError
from synthema.federation import (
    EmbeddedEngine,
    Parcel,
    ParticipationState,
    SiteLimits,
    StudyFile,
    StudyPlan,
    StudyResult,
    load_study,
)
from synthema.federation.messages import Message, seal, vector_from_bytes, vector_to_bytes, verify
from synthema.federation.model import state_from_json, state_to_json
from synthema.identity.keys import FileSigner
from synthema.ids import new_id
from synthema.provenance.log import ProvenanceLog
from synthema.spi.model import State
from tests.unit.federation.world import CODEBOOK, HUB, Keys, Resolver, Session, Summing, World, site, world

EXAMPLE = str(StudyFile.__doc__).split("::", 1)[1]


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    path = tmp_path / "STUDY.yaml"
    path.write_text("\n".join(line.removeprefix("    ") for line in EXAMPLE.splitlines()).strip() + "\n")
    return path


def test_the_documented_study_file_becomes_a_plan(study_file: Path) -> None:
    study = load_study(study_file)
    assert study.plugins == ("minimise", "marginals", "secure-sum", "evaluation")
    plan = study.plan(
        new_id("study"),
        HUB,
        agreements={choice.did: "agreement-1" for choice in study.sites},
        digests={name: digest(name) for name in study.plugins},
        codebook=CODEBOOK,
    )
    assert plan.honest_sites == 2
    assert 0 < plan.rho < 0.3
    assert plan.algorithm_plan().rows == 1000
    assert StudyPlan.model_validate(plan.model_dump(mode="json")).digest == plan.digest
    with pytest.raises(InputError, match="no agreement with did:web:hospital-a"):
        study.plan(new_id("study"), HUB, agreements={}, digests={}, codebook=CODEBOOK)
    agreements = {choice.did: "agreement-1" for choice in study.sites}
    with pytest.raises(InputError, match="'minimise' is not approved"):
        study.plan(new_id("study"), HUB, agreements=agreements, digests={}, codebook=CODEBOOK)
    digests = {name: digest(name) for name in study.plugins}
    with pytest.raises(InputError, match="coordinator is not one of them"):
        study.plan(
            new_id("study"), "did:web:hospital-a.example", agreements=agreements, digests=digests, codebook=CODEBOOK
        )


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ("minimum_sites: 3", "minimum_sites: 2", 16, "minimum_sites: "),
        ("epsilon: 3.0", "epsilon: -1", 14, "privacy.epsilon: "),
        ("rounds: 2", "runds: 2", 15, "runds: a study has no such key"),
        ('b.example"', 'b example"', 7, "sites.1.did: "),
        ("rows: 1000", "rows: [", 21, "not valid YAML"),
    ],
)
def test_an_error_in_a_study_file_names_line_and_field(
    study_file: Path, old: str, new: str, line: int, reason: str
) -> None:
    text = study_file.read_text()
    assert old in text
    study_file.write_text(text.replace(old, new))
    with pytest.raises(InputError, match=reason) as caught:
        load_study(study_file)
    assert caught.value.where == f"{study_file}:{line}"


def test_a_study_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such study file"):
        load_study(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="UTF-8"):
        load_study(tmp_path / "bytes.yaml")


@pytest.mark.parametrize(
    ("sites", "changes", "reason"),
    [
        (3, {"minimum_sites": 2}, "greater than or equal to 3"),
        (3, {"minimum_sites": 4}, "cannot survive"),
        (6, {"minimum_sites": 3}, "two different groups"),
        (4, {"minimum_sites": 3, "tolerated_colluders": 2}, "two different groups"),
        (3, {"tolerated_colluders": 2}, "at least two surviving sites must be honest"),
        (3, {"epsilon": 1.0}, "costs more than epsilon"),
        (3, {"codebook_digest": digest("other")}, "not the digest of the codebook"),
        (3, {"coordinator": site(0)}, "coordinator is not one of them"),
        (3, {"id": "plan-1"}, "not an identifier"),
    ],
)
def test_a_plan_that_protects_too_little_is_no_plan(
    tmp_path: Path, clock: FixedClock, sites: int, changes: dict[str, Any], reason: str
) -> None:
    with world(tmp_path, clock, sites=sites) as w, pytest.raises(ValidationError, match=reason):
        w.plan(**changes)


def test_a_message_binds_sender_study_and_vector() -> None:
    keys = {name: Keys() for name in (HUB, site(0))}
    message = Message(
        kind="masked", study="study-1", plan="p", sender=site(0), recipient=HUB, sequence=1, body={"n": 1}
    )
    parcel = seal(message, b"vector", keys[site(0)])
    again = Parcel.from_bytes(parcel.to_bytes())
    assert again == parcel
    verify(again.message, Resolver(keys))
    for changes in ({"sender": HUB}, {"study": "study-2"}, {"attachment": "sha256:0"}, {"signature": "AAAA"}):
        with pytest.raises(IntegrityError):
            verify(again.message.model_copy(update=changes), Resolver(keys))
    with pytest.raises(IntegrityError, match="not the one the message names"):
        Parcel.from_bytes(parcel.to_bytes() + b"x")
    for wrong in (b"", b"SYNTHEMA-FED-1\n", parcel.to_bytes()[:40], b"SYNTHEMA-FED-1\n\x00\x00\x00\x02{}"):
        with pytest.raises(InputError):
            Parcel.from_bytes(wrong)


def test_vectors_travel_without_pickling() -> None:
    vector = np.arange(5, dtype=np.uint64)
    assert np.array_equal(vector_from_bytes(vector_to_bytes(vector), 5), vector)
    objects = vector_to_bytes(vector).replace(b"<u8", b"|O ")
    wrong = [b"", b"no", objects, vector_to_bytes(vector.astype(np.int64).view(np.uint64)[:4]), bytes(5000)]
    for data in wrong:
        with pytest.raises(InputError):
            vector_from_bytes(data, 5)


def test_an_algorithms_state_survives_the_journey() -> None:
    state = State(2, 10, 0.5, 1.0, finished=False, values={"a": [1, 2.5]})
    assert state_from_json(state_to_json(state)) == state
    good = state_to_json(state)
    wrong: list[dict[str, Any]] = [{"rho": "1"}, {"length": 1.5}, {"finished": 1}, {"values": []}, {"round": True}]
    for changes in wrong:
        with pytest.raises(InputError):
            state_from_json({**good, **changes})


@pytest.mark.parametrize(
    "address", ["https://hub.example", "http://192.0.2.7:80", "http://", "http://localhost.example"]
)
def test_the_embedded_engine_stays_on_one_machine(address: str) -> None:
    with pytest.raises(DeniedError, match="one machine only"):
        EmbeddedEngine(address)


def test_the_embedded_engine_serves_the_side_it_has(tmp_path: Path, clock: FixedClock) -> None:
    EmbeddedEngine("http://localhost:8101")
    EmbeddedEngine("http://[::1]:8101")
    with world(tmp_path, clock) as w:
        plan = w.plan()
        bare = EmbeddedEngine("http://127.0.0.1:8100")
        with pytest.raises(DeniedError):
            bare.coordinate(plan, Session({}))
        with pytest.raises(DeniedError):
            bare.participate(plan, Session({}), SiteLimits.of_plan(plan))
        part = EmbeddedEngine("http://127.0.0.1:8101", participant=w.participant(site(0)))
        refused = part.participate(plan, w.sessions[site(0)], SiteLimits(
            plan_digest="", algorithm_digest="", aggregator_digest="", rounds=1, rho=1.0))  # fmt: skip
        assert refused.state == ParticipationState.REFUSED


def test_a_study_with_the_real_log(tmp_path: Path, clock: FixedClock) -> None:
    with world(tmp_path, clock) as w:
        logs = {did: real_log(w, did, clock) for did in (HUB, *w.dids)}
        w.logs.update(logs)
        w.coordinator = w.new_coordinator()
        result = w.run(w.plan(), algorithm=Summing())
        assert isinstance(result, StudyResult)
        assert {did: log.size() for did, log in logs.items()} == {HUB: 5} | dict.fromkeys(w.dids, 5)


def real_log(w: World, did: str, clock: FixedClock) -> Any:
    keys = {name: Ed25519PrivateKey.generate() for name in ("assertion", "log", "witness", "grant")}
    signer = FileSigner(keys, X25519PrivateKey.generate())
    return ProvenanceLog(w.databases[did], signer, f"https://{did.removeprefix('did:web:')}", clock)

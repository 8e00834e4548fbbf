"""The gate of one hospital, from request to release, and every way around grant and data door we could think of."""

from __future__ import annotations

import ast
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sqlalchemy import update

import synthema
from synthema.clock import FixedClock
from synthema.datasets import DatasetStore
from synthema.errors import ConflictError, DeniedError, InputError, NotFoundError, SynthemaError
from synthema.runs.execute import generate
from synthema.runs.governor import GRANT_LIFETIME
from synthema.runs.grants import sign_grant
from synthema.runs.model import RunRequest
from synthema.runs.store import grants
from tests.e2e.house import DATASET, NOW, House, Settled, copy_of, refused

pytestmark = pytest.mark.e2e


# the way through -----------------------------------------------------------------------------------------------------


@pytest.mark.article("EHDS 73(1)(e)")
@pytest.mark.article("GDPR 5(2)")
def test_a_permitted_run_is_released_and_every_step_is_in_the_log(house: House) -> None:
    connector = house.connector
    result = house.call("request/submit", {"request": house.wish()})
    assert result["effect"] == "permit"
    assert result["verdict"]["released"], result["verdict"]["sentences"]

    files = {file["name"]: file["digest"] for file in result["verdict"]["artefacts"]}
    assert set(files) == {"synthetic.parquet", "codebook.json", "evaluation.json"}
    _, content = connector.governor.released(files["synthetic.parquet"])
    rows = pl.read_parquet(content)
    assert rows.height == 250
    assert "id" not in rows.columns

    said = house.log_text()
    steps = ("PolicyDecision", "Granting", "BudgetReservation", "Run", "BudgetSpend", "DatasetOpening", "Preparation",
             "Quarantine", "Release")  # fmt: skip
    assert [step for step in steps if not any(f"ns#{step}>" in text for text in said)] == []
    assert connector.log.verify().size == len(said)
    assert not any(key in text for text in said for key in ("mspike>", "pcm", "patient_key"))

    dataset = connector.datasets.version(DATASET)
    artefact = connector.log.iri("artefact", files["synthetic.parquet"].removeprefix("sha256:"))
    origin = connector.lineage.origin_of(artefact)
    assert connector.datasets.iri(dataset) in {thing.iri for thing in origin.things}
    assert connector.log.iri("run", result["run"]) + "/quarantine" in {step.iri for step in origin.steps}
    became = connector.lineage.derived_from(connector.datasets.iri(dataset))
    assert artefact in {thing.iri for thing in became.things}

    assert house.snapshot().spent > 0
    assert house.snapshot().reserved == 0
    assert list((connector.settings.home / "runs").iterdir()) == []


def test_what_was_permitted_can_be_run_later_once(house: House) -> None:
    _, request = house.granted()
    assert house.call("request/run", {"run": request.id})["verdict"]["released"]
    with refused(house, DeniedError, "used before"):
        house.call("request/run", {"run": request.id})


@pytest.mark.article("GDPR 35(7)(d)")
def test_what_does_not_pass_its_gates_is_withheld_for_good(house: House) -> None:
    result = house.call("request/submit", {"request": house.wish(epsilon=0.01)})
    assert result["effect"] == "permit"
    assert not result["verdict"]["released"]
    assert result["verdict"]["artefacts"] == []
    shown = house.call("request/show", {"run": result["run"]})
    assert shown["state"] == "stopped"
    for file in shown["artefacts"]:
        assert file["state"] == "withheld"
        with pytest.raises(NotFoundError):
            house.call("artefact/fetch", {"digest": file["digest"]})
    assert house.snapshot().files == ()
    assert "Withholding" in "".join(house.log_text())


@pytest.mark.article("EHDS 54")
def test_a_denied_request_leaves_a_decision_and_nothing_else(house: House) -> None:
    before = house.snapshot()
    result = house.call("request/submit", {"request": house.wish(purpose="dpv:Advertising")})
    assert result["effect"] == "deny"
    assert any("54" in reason["article"] for reason in result["decision"]["reasons"])
    with pytest.raises(NotFoundError):
        house.connector.governor.grant(result["run"])
    after = house.snapshot()
    assert (after.spent, after.reserved, after.files) == (before.spent, before.reserved, before.files)
    assert after.states == (*before.states, (result["run"], "denied"))


# the data door -------------------------------------------------------------------------------------------------------


def test_a_store_of_ones_own_opens_nothing(house: House) -> None:
    connector = house.connector
    grant, _ = house.granted()
    thief = DatasetStore(
        connector.database, connector.log, connector.clock, connector.signer, connector.settings.home / "datasets"
    )
    with refused(house, DeniedError, "nobody decides", entry="RefusedAccess"):
        thief.open_table(grant)


def test_the_store_takes_no_second_guard(house: House) -> None:
    class Friendly:
        def admit(self, *_: object) -> None:
            return

    with refused(house, ConflictError, "somebody decides", entry="RefusedAccess"):
        house.connector.datasets.guard_with(Friendly())


def test_an_unused_grant_opens_no_data(house: House) -> None:
    grant, _ = house.granted()
    with refused(house, DeniedError, "not consumed by a run", entry="RefusedAccess"):
        house.connector.datasets.open_table(grant)


def test_what_only_looks_like_a_grant_opens_no_data(house: House) -> None:
    grant, _ = house.granted()

    class Lookalike:
        id = grant.id
        dataset = grant.dataset

    with refused(house, DeniedError, "against a grant only", entry="RefusedAccess"):
        house.connector.datasets.open_table(Lookalike())


def test_a_grant_opens_the_data_of_its_run_once(house: House) -> None:
    grant, request = house.granted()
    session = house.connector.governor.start(grant, request)
    try:
        with refused(house, DeniedError, "opened with this grant before", entry="RefusedAccess"):
            house.connector.datasets.open_table(grant)
    finally:
        session.close()


def test_a_grant_opens_no_other_version_of_the_dataset(house: House, settled: Settled) -> None:
    connector = house.connector
    grant, _ = house.granted()
    bring_more(house, settled)
    newer = connector.datasets.version(DATASET)
    assert newer.id != grant.dataset
    # Even a grant that this connector signed and used up by mistake: the digest names the old version.
    mistaken = sign_grant(grant.model_copy(update={"dataset": newer.id}), connector.signer)
    connector.database.write(
        lambda c: c.execute(
            update(grants)
            .where(grants.c.id == grant.id)
            .values(grant_document=mistaken.model_dump(mode="json"), consumed_at=NOW)
        )
    )
    with refused(house, DeniedError, "another version", entry="RefusedAccess"):
        connector.datasets.open_table(mistaken)


def test_a_run_works_on_the_version_that_was_decided_about(house: House, settled: Settled) -> None:
    grant, request = house.granted()
    old = house.connector.datasets.version(grant.dataset)
    bring_more(house, settled)
    session = house.connector.governor.start(grant, request)
    session.close()
    prepared = session.prepared.train.height + session.prepared.holdout.height
    assert prepared + session.prepared.excluded == old.rows


def bring_more(house: House, settled: Settled) -> None:
    """The same patients but the last: another version."""
    shorter = settled.patients.table.rsplit("\n", 2)[0] + "\n"
    house.call(
        "dataset/add",
        {
            "name": DATASET,
            "title": "MGUS cohort",
            "file": "mgus.csv",
            "table": shorter,
            "codebook": "mgus",
            "metadata": house.connector.datasets.version(DATASET).metadata.model_dump(mode="json"),
        },
    )


def test_no_other_code_asks_for_the_door() -> None:
    """Who calls what opens data: the session of a run, and nobody else in the whole product."""
    allowed = {
        "open_table": {"runs/preparing.py"},
        "guard_with": {"runs/governor.py"},
        "unseal": {"datasets/store.py"},
        "_unseal": {"datasets/store.py"},
    }
    root = Path(synthema.__file__).parent
    for path in root.rglob("*.py"):
        place = path.relative_to(root).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", None) or getattr(node.func, "id", "")
                assert place in allowed.get(name, {place}), f"{place} line {node.lineno} calls {name}"


# grants --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"signature": "00" * 64},
        {"signature": "no hexadecimal"},
        {"epsilon": 0.1},
        {"dataset": "dataset-of-somebody-else"},
        {"expires_at": datetime(2999, 1, 1, tzinfo=UTC)},
        {"minimum_isolation": 1},
        {"id": "grant of 'mine' <with> odd\ncharacters"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_forged_grant_starts_nothing(house: House, changes: dict[str, Any]) -> None:
    grant, request = house.granted()
    with refused(house, DeniedError, "not as this connector signed it"):
        house.connector.governor.start(grant.model_copy(update=changes), request)
    with refused(house, SynthemaError, "not as this connector signed it|no such dataset", entry="RefusedAccess"):
        house.connector.datasets.open_table(grant.model_copy(update=changes))


def test_a_grant_of_another_connector_starts_nothing(
    house: House, settled: Settled, tmp_path: Path, clock: FixedClock
) -> None:
    """The same house with other keys: what the one signed is nothing to the other."""
    grant, request = house.granted()
    with copy_of(settled, tmp_path / "other", clock) as other:
        other.connector.signer._keys["grant"] = other.connector.signer._keys["witness"]
        foreign, asked = other.granted()
        with refused(house, DeniedError, "not as this connector signed it"):
            house.connector.governor.start(foreign, asked)
        with refused(other, DeniedError, "not as this connector signed it"):
            other.connector.governor.start(grant, request)


def test_a_signed_grant_that_was_never_issued_starts_nothing(house: House) -> None:
    grant, request = house.granted()
    invented = sign_grant(grant.model_copy(update={"run": "run-" + "0" * 32}), house.connector.signer)
    with refused(house, NotFoundError, "no such run"):
        house.connector.governor.start(invented, request)


def test_an_expired_grant_starts_nothing(house: House, clock: FixedClock) -> None:
    grant, request = house.granted()
    clock.advance(GRANT_LIFETIME)
    with refused(house, DeniedError, "expired"):
        house.connector.governor.start(grant, request)
    with refused(house, DeniedError, "expired"):
        house.call("request/run", {"run": request.id})


def test_a_grant_does_not_count_before_its_time(house: House, clock: FixedClock) -> None:
    grant, request = house.granted()
    clock.advance(timedelta(seconds=-1))
    with refused(house, DeniedError, "not valid yet"):
        house.connector.governor.start(grant, request)


def test_a_grant_works_once(house: House) -> None:
    grant, request = house.granted()
    assert generate(house.connector.governor, grant, request).released
    with refused(house, DeniedError, "used before"):
        house.connector.governor.start(grant, request)
    with refused(house, DeniedError, "opened with this grant before", entry="RefusedAccess"):
        house.connector.datasets.open_table(grant)


def test_of_many_starts_at_the_same_moment_one_wins(house: House) -> None:
    governor = house.connector.governor
    grant, request = house.granted()
    ready = threading.Barrier(3)
    sessions, refusals = [], []

    def start() -> None:
        ready.wait()
        try:
            sessions.append(governor.start(grant, request))
        except DeniedError as error:
            refusals.append(error)

    threads = [threading.Thread(target=start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (session,) = sessions
    assert len(refusals) == 2
    assert sum("ns#Refusal>" in text for text in house.log_text()) == 2
    # The winner works on: its folder was not swept away with those of the losers.
    result = session.call(
        "marginals",
        "generate",
        table=session.prepared.train,
        codebook=session.prepared.codebook,
        parameters={"epsilon": 1.0, "delta": 1e-5},
        rows=20,
    )
    session.close()
    assert result.table.height == 20
    assert house.snapshot().spent == round(grant.rho * 1e12 + 0.5)


@pytest.mark.parametrize(
    "changes",
    [
        {"rows": 5000},
        {"epsilon": 0.5},
        {"holdout": 0.0},
        {"purpose": "ehds:PublicInterestInPublicHealth"},
        {"person": "person-" + "0" * 32},
        {"compute": {"plugin": "marginals", "parameters": {"stability": 1, "pairs": "all"}}},
        {"anonymise": {"plugin": "minimise", "parameters": {"k": 1}}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_parameter_changed_after_the_decision_starts_nothing(house: House, changes: dict[str, Any]) -> None:
    grant, request = house.granted()
    changed = RunRequest.model_validate(request.model_dump() | changes)
    with refused(house, DeniedError, "changed after the decision"):
        house.connector.governor.start(grant, changed)


# speaking for others -------------------------------------------------------------------------------------------------


def test_nobody_here_speaks_for_another_party(house: House) -> None:
    before, size = house.snapshot(), house.connector.log.size()
    with pytest.raises(InputError, match="this connector's own"):
        house.request(requester="did:web:hub.example")
    assert (house.snapshot(), house.connector.log.size()) == (before, size)


@pytest.mark.parametrize(("kind", "output"), [("generator", "synthetic"), ("analysis", "aggregate")])
def test_one_site_does_not_pass_for_many(house: House, kind: str, output: str) -> None:
    with pytest.raises(InputError, match="one contributing party"):
        house.request(kind=kind, output=output, contributing_parties=3)

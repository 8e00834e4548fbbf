"""An anonymised table for a permit: decided, made inside, measured, released to its holder or withheld."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from synthema.clock import FixedClock
from synthema.errors import DeniedError, InputError, NotFoundError, PluginError
from synthema.policy.templates import render
from synthema.resources import bundled
from synthema.runs import execute
from tests.e2e.house import DATASET, DELTA, RESEARCH, House, Settled, copy_of
from tests.e2e.test_meanwhile import given_consent
from tests.e2e.test_withdrawal_here import pass_a_minute, withdraw
from tests.unit.spi.plugin_files import write_plugin

pytestmark = pytest.mark.e2e

FIELDS = ["age", "sex", "hgb", "creat", "mspike", "futime", "death"]
PREPARED = {"plugin": "minimise", "parameters": {"fields": FIELDS, "k": 1, "pseudonyms": True}}
WANTED = {"k": 12, "l": 3, "t": 0.5}


@pytest.fixture(scope="module")
def anonymising(settled: Settled, tmp_path_factory: pytest.TempPathFactory) -> Settled:
    """The hospital of the other tests, which has also decided to give anonymised tables to holders of permits."""
    folder = tmp_path_factory.mktemp("anonymising")
    with copy_of(settled, folder) as house:
        house.approve("anonymise")
        filled: dict[str, str | float] = {
            "name": "anonymised-table",
            "title": "Anonymised tables",
            "version": "1",
            "assigner": house.did,
            "smallest_class": 5,
            "smallest_class_reason": "The officer decided it",
        }
        house.activate_policy(render("anonymised-table", filled), "anonymised-table.yaml")
        activate_assessment(house)
        permit = obtain_permit(house)
    return Settled(folder / "home", settled.signatories, permit, settled.patients)


@pytest.fixture
def house(anonymising: Settled, tmp_path: Path, clock: FixedClock) -> Iterator[House]:
    with copy_of(anonymising, tmp_path, clock) as house:
        yield house


def activate_assessment(house: House) -> None:
    text = (bundled("legal") / "dpia" / "anonymised-table.yaml").read_text(encoding="utf-8")
    proposed = house.call("dpia/propose", {"text": text, "file": "anonymised-table.yaml", "confirm": True})
    for signatory in house.signatories:
        signature = signatory.sign(proposed["sign"])
        house.call("dpia/sign", {"dpia": proposed["dpia"], "person": signatory.person, "signature": signature})


def obtain_permit(house: House) -> str:
    """A permit for an anonymised table; its policy follows from it."""
    officer, researcher = house.signatories
    applied = house.call(
        "permit/apply",
        {
            "dataset": DATASET,
            "purpose": RESEARCH,
            "person": researcher.person,
            "specification": "age, sex, laboratory values and survival",
            "days": 365,
        },
    )
    shown = house.call("permit/show", {"permit": applied["permit"]})["content"]
    assert (shown["data"]["format"], shown["outputs"]) == ("anonymised", ["aggregate", "anonymised"])
    terms = {"permit": applied["permit"], "epsilon": 1.0, "delta": DELTA, "total_epsilon": 8.0}
    signature = officer.sign(house.call("permit/signing", terms)["sign"])
    house.call("permit/grant", terms | {"person": officer.person, "signature": signature})
    return str(applied["permit"])


def holder(house: House) -> str:
    return house.signatories[1].person


def wish(house: House, **changes: Any) -> dict[str, Any]:
    return {
        "dataset": DATASET,
        "purpose": RESEARCH,
        "action": "anonymise",
        "anonymise": PREPARED,
        "compute": {"plugin": "anonymise", "parameters": WANTED},
        "kind": "anonymiser",
        "output": "anonymised",
        "holdout": 0.0,
        "agreement": house.permit,
        "person": holder(house),
    } | changes


def submitted(house: House, **changes: Any) -> dict[str, Any]:
    result: dict[str, Any] = house.call("request/submit", {"request": wish(house, **changes)})
    return result


def fetched(house: House, digest: str) -> bytes:
    answer = house.call("artefact/fetch", {"digest": digest, "person": holder(house)})
    return base64.b64decode(answer["content"])


# released ------------------------------------------------------------------------------------------------------------


@pytest.mark.article("EHDS 66(2)")
@pytest.mark.article("EHDS 73(2)")
def test_a_table_is_made_measured_and_released_to_the_persons_of_its_permit(house: House, anonymising: Settled) -> None:
    result = submitted(house)
    assert result["effect"] == "permit", result["sentences"]
    assert result["verdict"]["released"], result["verdict"]["sentences"]
    files = {file["name"]: file["digest"] for file in result["verdict"]["artefacts"]}
    assert set(files) == {"anonymised.parquet", "codebook.json", "anonymisation.json"}

    table = pl.read_parquet(io.BytesIO(fetched(house, files["anonymised.parquet"])))
    assert table.columns == FIELDS
    assert table.height == len(given_consent(anonymising))
    assert min(table.group_by("age", "sex").len()["len"].to_list()) >= 12
    assert table.equals(table.sort(table.columns, nulls_last=True))  # rows stand in no order of their own

    told = json.loads(fetched(house, files["anonymisation.json"]))
    assert told["before"]["uniqueness"] > 0
    assert told["after"]["uniqueness"] == told["countedByTheConnector"]["uniqueness"] == 0
    assert told["before"]["prosecutorRisk"] == 1
    assert told["after"]["prosecutorRisk"] == pytest.approx(1 / told["countedByTheConnector"]["smallestClass"])
    assert {"journalistRisk", "marketerRisk", "diversity", "closeness"} <= set(told["after"]) & set(told["before"])
    assert house.snapshot().spent == 0


@pytest.mark.article("GDPR recital 26")
def test_no_sentence_says_that_the_table_is_anonymous(house: House) -> None:
    result = submitted(house)
    files = {file["name"]: file["digest"] for file in result["verdict"]["artefacts"]}
    statement = json.loads(fetched(house, files["anonymisation.json"]))["statement"]
    assert any(house.permit in said and house.did in said for said in statement)
    assert any("that promise is proven" in said for said in statement)
    assert any("δ-presence" in said and said.startswith("Not measured") for said in statement)
    assert statement[-1].startswith("Whether this is anonymous in law is a judgement")
    assert not any("is anonymous." in said for said in statement)


@pytest.mark.article("EHDS 73(1)(e)")
@pytest.mark.article("EHDS 61(2)")
def test_nobody_but_the_persons_of_the_permit_fetches_it_and_each_time_is_logged(house: House) -> None:
    (file,) = (f for f in submitted(house)["verdict"]["artefacts"] if f["name"] == "anonymised.parquet")
    stranger = house.signatories[0].person
    for person in ({}, {"person": stranger}):
        with pytest.raises(DeniedError, match="persons its permit names"):
            house.call("artefact/fetch", {"digest": file["digest"]} | person)
    position = house.connector.log.size() - 1
    fetched(house, file["digest"])
    (entry,) = house.log_text(position)
    assert "ArtefactHandedOut" in entry
    assert holder(house) in entry
    officer = house.signatories[0].person
    house.call("permit/revoke", {"permit": house.permit, "person": officer, "reason": "the study was ended"})
    with pytest.raises(DeniedError, match="not handed out any more"):
        fetched(house, file["digest"])


def test_the_log_leads_from_the_table_to_the_rows_it_was_made_of(house: House) -> None:
    result = submitted(house)
    (file,) = (f for f in result["verdict"]["artefacts"] if f["name"] == "anonymised.parquet")
    connector = house.connector
    artefact = connector.log.iri("artefact", file["digest"].removeprefix("sha256:"))
    origin = connector.lineage.origin_of(artefact)
    assert connector.datasets.iri(connector.datasets.version(DATASET)) in {thing.iri for thing in origin.things}
    assert [act["action"] for act in result["verdict"]["acts"]] == ["https://w3id.org/synthema/ns#export"]
    connector.log.checkpoint()
    connector.log.verify()


# denied --------------------------------------------------------------------------------------------------------------


@pytest.mark.article("EHDS 54")
@pytest.mark.parametrize(
    "changes",
    [
        {"purpose": "dpv:Advertising"},
        {"compute": {"plugin": "anonymise", "parameters": {"k": 4}}},
        {"compute": {"plugin": "anonymise", "parameters": {}}},
        {"person": None},
    ],
    ids=["a forbidden purpose", "smaller groups than the site allows", "no k", "a person the permit does not name"],
)
def test_what_policies_do_not_permit_is_denied_and_reads_nothing(house: House, changes: dict[str, Any]) -> None:
    before = house.snapshot()
    result = submitted(house, **changes)
    assert result["effect"] == "deny"
    assert house.snapshot().files == before.files


def test_an_unknown_purpose_is_refused_with_what_to_do(house: House) -> None:
    with pytest.raises(InputError, match="purpose"):
        submitted(house, purpose="curiosity")


@pytest.mark.parametrize(
    "changes",
    [{"epsilon": 1.0, "delta": 1e-6}, {"holdout": 0.2}, {"rows": 10}, {"agreement": None}, {"output": "synthetic"}],
    ids=lambda changes: next(iter(changes)),
)
def test_a_request_that_is_no_anonymisation_is_refused(house: House, changes: dict[str, Any]) -> None:
    before = house.snapshot()
    with pytest.raises(InputError):
        submitted(house, **changes)
    assert house.snapshot() == before


def test_without_its_assessment_nothing_is_made(house: House) -> None:
    active = house.connector.dpias.in_force("anonymised-table")
    assert active is not None
    house.call("dpia/withdraw", {"dpia": active.id})
    before = house.snapshot().files
    with pytest.raises(DeniedError, match="No impact assessment in force covers"):
        submitted(house)
    assert house.snapshot().files == before


# withheld ------------------------------------------------------------------------------------------------------------


@pytest.mark.article("GDPR 35(7)(d)")
def test_a_table_that_does_not_pass_its_gates_is_withheld_and_deleted(house: House) -> None:
    """The site's policy allows groups of five; the bound that the officer confirmed for a finished table does not."""
    parameters = {"k": 5, "l": 3, "t": 0.5}
    result = submitted(house, compute={"plugin": "anonymise", "parameters": parameters})
    assert result["effect"] == "permit", result["sentences"]
    assert not result["verdict"]["released"]
    shown = house.call("request/show", {"run": result["run"]})
    assert shown["state"] == "stopped"
    assert "prosecutorRisk must be ≤ 0.09 (pre-release); measured 0." in shown["reason"]
    assert shown["reason"].endswith("does not pass.")
    for file in shown["artefacts"]:
        with pytest.raises(NotFoundError):
            house.call("artefact/fetch", {"digest": file["digest"], "person": holder(house)})
    assert house.snapshot().files == ()


# consent -------------------------------------------------------------------------------------------------------------


@pytest.mark.article("GDPR 7(3)")
def test_who_withdraws_between_decision_and_start_is_in_no_table(house: House, anonymising: Settled) -> None:
    keys = given_consent(anonymising)
    answer = house.call("request/submit", {"request": wish(house), "execute": False})
    house.call("consent/withdraw", {"dataset": DATASET, "patient": keys[0]})
    result = house.call("request/run", {"run": answer["run"]})
    assert result["verdict"]["released"], result["verdict"]["sentences"]
    (file,) = (f for f in result["verdict"]["artefacts"] if f["name"] == "anonymised.parquet")
    assert pl.read_parquet(io.BytesIO(fetched(house, file["digest"]))).height == len(keys) - 1


@pytest.mark.article("GDPR 17(1)(b)")
def test_the_copy_of_the_site_is_deleted_when_somebody_in_it_withdraws(house: House, anonymising: Settled) -> None:
    (file,) = (f for f in submitted(house)["verdict"]["artefacts"] if f["name"] == "anonymised.parquet")
    pass_a_minute(house)
    (item,) = (each for each in withdraw(house, given_consent(anonymising)[0])["items"] if each["kind"] == "extract")
    assert (item["digest"], item["consequence"], item["state"]) == (file["digest"], "delete", "done")
    with pytest.raises(NotFoundError):
        fetched(house, file["digest"])


@pytest.mark.article("EHDS 63")
def test_a_permit_that_is_revoked_while_the_table_is_made_gives_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = house.call("request/submit", {"request": wish(house), "execute": False})
    governor, officer = house.connector.governor, house.signatories[0].person
    keep = governor.quarantine

    def revoked(*arguments: Any) -> Any:
        house.call("permit/revoke", {"permit": house.permit, "person": officer, "reason": "the study was ended"})
        return keep(*arguments)

    monkeypatch.setattr(governor, "quarantine", revoked)
    with pytest.raises(DeniedError, match="was revoked"):
        execute.run(governor, governor.grant(answer["run"]), governor.run(answer["run"]).request)
    assert house.call("request/show", {"run": answer["run"]})["state"] == "failed"
    assert house.snapshot().files == ()


# plugins that do not keep to it --------------------------------------------------------------------------------------

LIAR = """
from synthema.spi import Anonymised, hookimpl

@hookimpl
def anonymise(table, codebook, parameters):
    return Anonymised({result}, {codebook}, 1, {{"smallestClass": 99.0}})

@hookimpl
def anonymised_codebook(codebook, parameters):
    return {codebook}
"""
KEPT = "codebook.keep(tuple(n for n in codebook.names() if n != codebook.patient_key))"


@pytest.mark.article("GDPR 4(5)")
@pytest.mark.parametrize(
    ("result", "codebook", "said"),
    [
        ("table", "codebook", "identifier or a pseudonym"),
        ("table.drop(codebook.patient_key)", KEPT, "the connector counts"),
        ("table.drop(codebook.patient_key).sample(500, with_replacement=True, seed=1)", KEPT, "more rows"),
    ],
    ids=["pseudonyms left in", "a k that is not kept", "rows invented"],
)
def test_a_plugin_is_not_taken_at_its_word(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, result: str, codebook: str, said: str
) -> None:
    manifest = (bundled("legal").parent / "plugins" / "synthema_anonymise" / "plugin.toml").read_text(encoding="utf-8")
    manifest = manifest.replace('name = "anonymise"', 'name = "liar"', 1).replace('"anonymise_control", ', "")
    write_plugin(tmp_path / "strangers", "liar", LIAR.format(result=result, codebook=codebook), manifest)
    monkeypatch.syspath_prepend(tmp_path / "strangers")
    house.approve("liar")
    with pytest.raises(PluginError, match=said):
        submitted(house, compute={"plugin": "liar", "parameters": {"k": 12}})
    assert house.snapshot().files == ()

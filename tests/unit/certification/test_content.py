"""The certificate says all that its readers were promised, and its published form is the one that is enforced."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from synthema.canonical import digest_bytes
from synthema.certification import payload_of
from synthema.certification.schema import FILE, certificate_schema, schema_text
from synthema.resources import bundled
from tests.unit.certification.world import FILES, World

PUBLISHED = bundled("legal") / FILE


@pytest.fixture(scope="module")
def document(_world: World) -> dict[str, Any]:
    return dict(_world.issue(second=_world.second()).document)


def _first(found: Any) -> Any:
    return found[0]


def _statement(document: dict[str, Any]) -> dict[str, Any]:
    evidence = document["credentialSubject"]["evidence"][0]["credential"]
    found: dict[str, Any] = evidence["credentialSubject"]["statement"]
    return found


PROMISED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "subject is the dataset's IRI": lambda d: d["credentialSubject"]["id"],
    "digest of every file": lambda d: all(f["digest"].startswith("sha256:") for f in d["credentialSubject"]["files"]),
    "rows": lambda d: d["credentialSubject"]["rows"],
    "columns": lambda d: d["credentialSubject"]["columns"],
    "generator's name": lambda d: d["credentialSubject"]["generator"]["name"],
    "generator's version": lambda d: d["credentialSubject"]["generator"]["version"],
    "generator's digest": lambda d: d["credentialSubject"]["generator"]["digest"],
    "parameters, in full": lambda d: d["credentialSubject"]["parameters"],
    "the agreed plan, by digest": lambda d: d["credentialSubject"]["studyPlan"],
    "source datasets, by IRI": lambda d: _first(d["credentialSubject"]["sources"])["dataset"],
    "exclusion list version": lambda d: _first(d["credentialSubject"]["sources"])["exclusionListVersion"],
    "issuer's decisions": lambda d: _first(d["credentialSubject"]["decisions"])["decision"]["id"],
    "sites' decisions": lambda d: _first(_statement(d)["decisions"])["id"],
    "policies, by digest": lambda d: _first(_statement(d)["decisions"])["policies"],
    "permit or agreement": lambda d: _first(_statement(d)["decisions"])["basis"],
    "impact assessment": lambda d: _statement(d)["gates"]["dpia"],
    "impact assessment, by digest": lambda d: _statement(d)["gates"]["dpiaDigest"],
    "epsilon": lambda d: d["credentialSubject"]["privacy"]["guarantee"]["epsilon"],
    "delta": lambda d: d["credentialSubject"]["privacy"]["guarantee"]["delta"],
    "unit of the guarantee": lambda d: d["credentialSubject"]["privacy"]["guarantee"]["unit"],
    "mechanism": lambda d: d["credentialSubject"]["privacy"]["guarantee"]["mechanism"],
    "accountant": lambda d: d["credentialSubject"]["privacy"]["guarantee"]["accountant"],
    "assurance of the claim": lambda d: d["credentialSubject"]["privacy"]["guarantee"]["assurance"],
    "assumptions": lambda d: d["credentialSubject"]["privacy"]["guarantee"]["assumptions"],
    "each attack's size": lambda d: _attack(d)["n"],
    "each attack's interval": lambda d: _attack(d)["lower"] < _attack(d)["upper"],
    "each attack's control": lambda d: _attack(d)["control"],
    "each attack's log entry": lambda d: _attack(d)["logPosition"] is not None,
    "date of measurement": lambda d: _statement(d)["gates"]["at"],
    "held-out rows, defined": lambda d: d["credentialSubject"]["utility"]["heldOut"],
    "utility figures": lambda d: _first(d["credentialSubject"]["utility"]["figures"])["measurement"]["value"],
    "coverage": lambda d: d["credentialSubject"]["coverage"],
    "known limits": lambda d: d["credentialSubject"]["limits"],
    "allowed uses as ODRL": lambda d: d["credentialSubject"]["allowedUses"]["permission"],
    "regime": lambda d: d["credentialSubject"]["regime"],
    "Article 88 flag": lambda d: d["credentialSubject"]["highlySensitive"] in (True, False),
    "validity": lambda d: d["validFrom"] < d["validUntil"],
    "revocation and suspension": lambda d: len(d["credentialStatus"]) == 2,
    "provenance, proven": lambda d: d["credentialSubject"]["release"]["bundle"],
    "issuer": lambda d: d["issuer"],
    "signature of issuer and of its officer": lambda d: len(d["proof"]) == 2,
}


def _attack(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = _first(document["credentialSubject"]["privacy"]["attacks"])["measurement"]
    return found


@pytest.mark.parametrize("what", PROMISED)
def test_the_certificate_says_what_was_promised(document: dict[str, Any], what: str) -> None:
    assert PROMISED[what](document)


def test_the_published_schema_is_the_one_that_is_enforced() -> None:
    written = "run: python -c 'from synthema.certification.schema import publish; publish()'"
    assert PUBLISHED.read_text(encoding="utf-8") == schema_text(), written


def test_a_certificate_keeps_the_published_schema(document: dict[str, Any]) -> None:
    schema = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    assert document["credentialSchema"] == {"id": schema["$id"], "type": "JsonSchema"}
    jsonschema.Draft202012Validator(schema).validate(document)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda d: d.pop("issuer"),
        lambda d: d.update(extra=1),
        lambda d: d["credentialSubject"]["files"].clear(),
        lambda d: d["credentialSubject"].update(rows=0),
        lambda d: d["credentialSubject"].update(rows="400"),
        lambda d: d["credentialSubject"]["privacy"]["guarantee"].update(delta=1),
        lambda d: d["credentialSubject"]["generator"].update(digest="md5:" + "0" * 32),
        lambda d: d["credentialSubject"].update(regime="none"),
    ],
)
def test_what_the_verifier_refuses_does_not_keep_the_schema(
    document: dict[str, Any], wrong: Callable[[dict[str, Any]], object]
) -> None:
    changed = json.loads(json.dumps(document))
    wrong(changed)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(changed, certificate_schema())


def test_the_digests_are_those_of_the_files(world: World, document: dict[str, Any]) -> None:
    files = payload_of(world.issuer.package(document["id"], FILES))
    named = {file["name"]: file["digest"] for file in document["credentialSubject"]["files"]}
    assert {name: digest_bytes(value) for name, value in files.items() if name != "certificate.json"} == named

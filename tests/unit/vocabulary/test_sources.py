"""What the pinned vocabulary takes from elsewhere is really there; what it adds is marked with its article."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pyoxigraph
import pytest

from synthema.policy.phrases import ACTS
from synthema.resources import bundled
from synthema.vocabulary import Hierarchy, compact, load_vocabulary
from synthema.vocabulary.namespaces import DPV, EHDS, GDPR, HEALTH, ODRL, SKOS, SYN

V = load_vocabulary()
STANDARDS = Path(__file__).resolve().parents[4] / "shared" / "standards" / "vocabularies"
FILES = ("dpv/dpv.ttl", "dpv/eu-ehds.ttl", "dpv/sector-health.ttl", "dpv/eu-gdpr.ttl", "odrl/ODRL22.ttl")
FOREIGN = (DPV, EHDS, GDPR, HEALTH, ODRL)
BROADER = {SKOS + "broader", "http://www.w3.org/2000/01/rdf-schema#subClassOf", ODRL + "includedIn"}

beside = pytest.mark.skipif(not STANDARDS.is_dir(), reason="the copies of the standards are not beside this checkout")

# The operands, actions and duties of our ODRL profile.
ACTIONS = """discover query-aggregate analyse anonymise pseudonymise synthesise train-model contribute-update
evaluate-model link export distribute certify ingest delete inform reidentify"""
OPERANDS = """odrl:purpose syn:legalBasis syn:recipientRole syn:authorisedPerson syn:publicSectorBody odrl:spatial
syn:environment syn:disease syn:dataCategory syn:dataFormat syn:fieldSet syn:specialCategory odrl:dateTime
odrl:elapsedTime odrl:count syn:epsilonRequested syn:epsilonRemaining syn:delta syn:roundsRemaining
syn:permitState syn:consentState
syn:optOutListAge syn:exclusionListVersion syn:dpiaOutcome syn:dpiaReviewDue syn:ethicsApproval syn:pluginDigest
syn:certificateState syn:auditHeadAge syn:minCellCount syn:cohortSize syn:contributingParties syn:singlingOutRisk
syn:linkabilityRisk syn:inferenceRisk syn:membershipAUC syn:utilityScore"""
DUTIES = """delete publish-results acknowledge report-finding inform-access-body keep-log review-dpia return-data
collaborate moratorium propagate-withdrawal"""


def test_the_profile_is_complete() -> None:
    assert {compact(iri) for iri in V.operands} >= set(OPERANDS.split())
    for name in ACTIONS.split():
        assert V.actions.is_a(V.actions.resolve(name), ODRL + "use")
    for name in DUTIES.split():
        assert V.duties.resolve(name)


@cache
def _outside() -> tuple[frozenset[str], dict[str, set[str]]]:
    """The terms of the standards, and the broader links among them."""
    known: set[str] = set()
    links: dict[str, set[str]] = {}
    for name in FILES:
        for quad in pyoxigraph.parse(path=STANDARDS / name, format=pyoxigraph.RdfFormat.TURTLE):
            if isinstance(quad.subject, pyoxigraph.NamedNode):
                known.add(quad.subject.value)
                if quad.predicate.value in BROADER:
                    links.setdefault(quad.subject.value, set()).add(quad.object.value)
    for iri in [iri for iri in known if iri.startswith(EHDS)]:
        # DPV has most EHDS purposes twice: in its module on the EHDS, and above that in its module on health.
        twin = HEALTH + iri.removeprefix(EHDS)
        if twin in known:
            links.setdefault(twin, set()).add(iri)
            links.setdefault(iri, set()).add(twin)
    return frozenset(known), links


def _above(iri: str) -> frozenset[str]:
    _, links = _outside()
    found, open_ = set(), [iri]
    while open_:
        for parent in links.get(open_.pop(), ()):
            if parent not in found:
                found.add(parent)
                open_.append(parent)
    return frozenset(found)


def _foreign() -> Iterator[tuple[Hierarchy, str]]:
    return ((scheme, term.iri) for scheme in V.schemes.values() for term in scheme if term.iri.startswith(FOREIGN))


def _overlays() -> dict[str, str]:
    found = {}
    for path in bundled("ontologies").rglob("*.ttl"):
        for quad in pyoxigraph.parse(path=path, format=pyoxigraph.RdfFormat.TURTLE):
            if quad.predicate.value == SYN + "overlay":
                found[quad.subject.value] = quad.object.value
    return found


@beside
def test_every_foreign_term_is_in_its_source() -> None:
    known, _ = _outside()
    assert {compact(iri) for _, iri in _foreign() if iri not in known} == set()


@beside
@pytest.mark.article("EHDS 53(1)(e)")
def test_every_broader_link_is_in_its_source_or_ours_with_its_article() -> None:
    overlays = _overlays()
    unmarked = [
        f"{compact(iri)} below {compact(parent)}"
        for scheme, iri in _foreign()
        for parent in scheme.terms[iri].broader
        if parent.startswith(FOREIGN) and parent not in _above(iri) and iri not in overlays
    ]
    assert unmarked == []


@beside
def test_nearly_all_purposes_of_the_source_are_known() -> None:
    typed = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
    purposes = {
        quad.subject.value
        for name in ("dpv/dpv.ttl", "dpv/eu-ehds.ttl")
        for quad in pyoxigraph.parse(path=STANDARDS / name, format=pyoxigraph.RdfFormat.TURTLE)
        if quad.predicate.value == typed and quad.object == pyoxigraph.NamedNode(DPV + "Purpose")
    }
    left_out = {compact(iri) for iri in purposes if iri not in V.purposes}
    assert left_out == {"dpv:ImproveHealthcare", "dpv:PublicPolicyMaking"}, "both have a namesake in the EHDS module"


@pytest.mark.article("EHDS 54")
def test_overlays_name_an_article() -> None:
    overlays = _overlays()
    assert len(overlays) >= 8
    for iri, article in overlays.items():
        assert iri in V.purposes
        assert any(re.fullmatch(rf"{act} \d+(\([0-9a-z]+\))*", article) for act in ACTS)


def test_links_to_our_own_terms_are_named_after_what_they_rest_on() -> None:
    """A foreign term below one of ours: ours is an article, a ground of the GDPR, or says what it is."""
    ours = {p for scheme, iri in _foreign() for p in scheme.terms[iri].broader if p.startswith(SYN)}
    for parent in ours:
        label = V.label(parent) + " ".join(s.terms[parent].definition for s in V.schemes.values() if parent in s)
        assert re.search(r"Article \d|EHDS|patients' records", label), compact(parent)


@pytest.mark.article("GDPR 44")
@pytest.mark.article("EHDS 87")
def test_the_places_are_the_european_economic_area_and_beyond() -> None:
    eea, union = V.places.resolve("EEA"), V.places.resolve("EU")
    countries = {iri for iri in V.places.terms if re.fullmatch(r"loc:[A-Z]{2}", compact(iri)) and iri != union}
    assert len({iri for iri in countries if V.places.is_a(iri, union)}) == 27
    assert len({iri for iri in countries if V.places.is_a(iri, eea)}) == 30
    assert V.places.resolve("DE") == V.places.resolve("Germany")
    assert not V.places.is_a(V.places.resolve("adequate country"), eea)
    assert not V.places.is_a(V.places.resolve("Switzerland"), eea)


def test_diseases_keep_their_groups() -> None:
    for narrow, wide in [
        ("APL", "AML"), ("orpha:319480", "AML"), ("AML", "myeloid neoplasm"), ("MDS", "myeloid neoplasm"),
        ("MM", "plasma cell disorder"), ("MGUS", "plasma cell disorder"), ("SCD-SC", "SCD"),
        ("SCD-Sbeta", "haemoglobin disorder"), ("beta-thalassaemia", "thalassaemia"), ("orpha:231222", "orpha:848"),
    ]:  # fmt: skip
        assert V.diseases.is_a(V.diseases.resolve(narrow), V.diseases.resolve(wide)), narrow
    assert not V.diseases.is_a(V.diseases.resolve("orpha:86846"), V.diseases.resolve("AML")), "after therapy, or MDS"


def test_sources_are_named_with_licence_and_files() -> None:
    folder = bundled("ontologies")
    sources = tomllib.loads((folder / "SOURCES.toml").read_text(encoding="utf-8"))["source"]
    for source in sources:
        assert {"name", "iri", "version", "licence", "taken", "files"} <= set(source), source["name"]
        assert all((folder / name).is_file() for name in source["files"])
    named = {name for source in sources for name in source["files"]}
    taken = {"purposes", "categories", "diseases", "formats", "legal-bases", "places"}
    for path in folder.rglob("*.ttl"):
        if path.parent.name in taken:
            assert str(path.relative_to(folder)) in named

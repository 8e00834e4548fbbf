"""The health catalogue as harvesters, partners and strangers meet it, and the operations and commands behind it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request
from pyoxigraph import NamedNode, RdfFormat, parse

from synthema.assembly import health_catalogue
from synthema.dataspace import Caller
from synthema.errors import InputError, NotFoundError
from synthema.policy.templates import render
from synthema.web.catalogue import catalogue_router
from synthema.web.security import install_guards, nothing_here
from tests.unit.web_console.world import NOW, TestClient, World, add_dataset, world

ORIGIN = "http://127.0.0.1:8101"
DATASET = f"{ORIGIN}/id/dataset/mgus"
HUB = Caller("did:web:hub.example", "Hub", "hub")
DCAT = "http://www.w3.org/ns/dcat#"
ADDED = {
    "hdab": {"name": "None", "url": "https://hdab.example"},
    "contact": "mailto:data-office@hospital.example",
    "provenance": "Made up.",
    "population": None,
    "listed": "partners",
}
STATED = {"listed": "public", "personal_data": ["Age"], "retention": ["2026-01-01", None]}


class Door:
    """Knows one partner by one token."""

    def caller(self, request: Request) -> Caller:
        if request.headers.get("authorization") != "Bearer hub":
            raise nothing_here()
        return HUB


@pytest.fixture(scope="module")
def _site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with offering(tmp_path_factory.mktemp("site")) as found:
        yield found


@pytest.fixture
def site(_site: World) -> World:
    """A hospital with one dataset on offer to a hub, described as it was when it was added."""
    _site.call("dataset/describe", dataset="mgus", facts=ADDED)
    return _site


@contextmanager
def offering(folder: Path) -> Iterator[World]:
    with world(folder, "site") as found:
        add_dataset(found, "MGUS cohort")
        found.call("offer/publish", dataset="mgus", policy=offer(), epsilon=2.0, delta=1e-6, total_epsilon=4.0)
        yield found


@pytest.fixture
def reader(site: World) -> TestClient:
    app = FastAPI()
    install_guards(app)
    app.include_router(catalogue_router(site.connector, Door()))
    return TestClient(app, base_url=ORIGIN, raise_server_exceptions=False)


def offer(name: str = "mgus-study", dataset: str = DATASET) -> str:
    return render(
        "study-agreement",
        {
            "name": name,
            "title": "Study agreement on MGUS",
            "version": "1",
            "dataset": dataset,
            "assigner": "did:web:127.0.0.1%3A8101",
            "assignee": HUB.did,
            "starts": "2026-11-01T00:00:00Z",
            "ends": "2028-11-01T00:00:00Z",
            "epsilon": 3.0,
            "parties": 3,
        },
    )


def datasets_in(answer: Any) -> set[str]:
    quads = parse(answer.content, format=RdfFormat.TURTLE)
    return {q.subject.value for q in quads if q.object == NamedNode(DCAT + "Dataset")}


def turtle(**more: str) -> dict[str, str]:
    return {"accept": "text/turtle"} | more


@pytest.mark.article("EHDS 77")
def test_strangers_read_what_is_public_and_partners_what_they_may_see(site: World, reader: TestClient) -> None:
    assert datasets_in(reader.get("/catalogue", headers=turtle())) == set()
    assert reader.get("/id/dataset/mgus").status_code == 404
    partner = turtle(authorization="Bearer hub")
    assert datasets_in(reader.get("/catalogue", headers=partner)) == {DATASET}
    assert reader.get("/catalogue", headers=turtle(authorization="Bearer other")).status_code == 404
    site.call("dataset/describe", dataset="mgus", facts=STATED)
    assert datasets_in(reader.get("/catalogue", headers=turtle())) == {DATASET}
    assert reader.get("/id/dataset/mgus").json()["@id"] == DATASET


def test_a_stranger_sees_no_offer_made_to_others(site: World, reader: TestClient) -> None:
    site.call("dataset/describe", dataset="mgus", facts=STATED)
    partner = reader.get("/id/dataset/mgus", headers={"authorization": "Bearer hub"}).json()
    (policy,) = partner["odrl:hasPolicy"]
    assert policy["@type"] == "odrl:Offer"
    assert policy["odrl:target"] == {"@id": DATASET}
    stranger = reader.get("/id/dataset/mgus").json()
    assert "odrl:hasPolicy" not in stranger
    assert {key: value for key, value in partner.items() if key != "odrl:hasPolicy"} == stranger
    assert not list(site.connector.shelf.visible(Caller("did:web:else.example", "Else", "site")))


def test_a_dataset_of_which_too_little_is_stated_is_in_no_page(site: World, reader: TestClient) -> None:
    (state,) = site.call("catalogue/show")
    assert (state["dataset"], state["complete"], state["readers"]) == ("mgus", True, "hubs")
    site.call("dataset/describe", dataset="mgus", facts={"hdab": None, "contact": None, "listed": "public"})
    (state,) = site.call("catalogue/show")
    assert [each["field"] for each in state["missing"]] == ["hdab", "contact"]
    assert state["readers"] == "everybody"
    assert datasets_in(reader.get("/catalogue", headers=turtle(authorization="Bearer hub"))) == set()
    with pytest.raises(InputError, match="hdab: which health data access body"):
        site.call("catalogue/export", dataset="mgus")


def test_the_form_is_negotiated_and_an_unchanged_page_is_not_sent_again(site: World, reader: TestClient) -> None:
    site.call("dataset/describe", dataset="mgus", facts=STATED)
    first = reader.get("/catalogue", headers=turtle())
    assert first.headers["content-type"].startswith("text/turtle")
    assert (first.headers["vary"], first.headers["cache-control"]) == ("Accept, Authorization", "no-cache")
    assert first.headers["last-modified"] == "Sun, 22 Nov 2026 10:00:00 GMT"
    tag = first.headers["etag"]
    again = reader.get("/catalogue", headers=turtle(**{"if-none-match": f'"other", W/{tag}'}))
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    json_ld = reader.get("/catalogue", headers={"accept": "application/ld+json", "if-none-match": tag})
    assert (json_ld.status_code, json_ld.headers["etag"] == tag) == (200, False)
    site.call("dataset/describe", dataset="mgus", facts={"population": "Adults."})
    assert reader.get("/catalogue", headers=turtle(**{"if-none-match": tag})).status_code == 200
    private = reader.get("/catalogue", headers=turtle(authorization="Bearer hub"))
    assert private.headers["cache-control"] == "private, no-cache"
    refused = reader.get("/catalogue", headers={"accept": "text/html"})
    assert refused.status_code == 406
    assert "text/turtle" in refused.json()["fix"]


def test_pages_lead_to_each_other_and_lose_nothing(
    site: World, reader: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.call("dataset/describe", dataset="mgus", facts=STATED)
    shelf = site.connector.shelf
    ((iri, row),) = shelf.shown(HUB)
    # The rows of the shelf as if there were seven datasets; each has the first one's record.
    rows = [(f"{iri}-{number}", row) for number in range(7)]

    def shown(_caller: Caller | None, *, after: str | None = None, limit: int = 100, **_: Any) -> Any:
        return [each for each in rows if after is None or each[0] > after][:limit]

    monkeypatch.setattr(type(shelf), "shown", lambda _self, caller, **more: shown(caller, **more))
    monkeypatch.setattr(health_catalogue.HealthCatalogue.page, "__defaults__", (None, 3))
    found, address = set(), "/catalogue"
    for _ in range(10):
        answer = reader.get(address, headers=turtle())
        found |= datasets_in(answer)
        following = [link for link in answer.headers["link"].split(", ") if 'rel="next"' in link]
        hydra = b"hydra/core#next" in answer.content
        assert bool(following) == hydra
        if not following:
            break
        address = following[0].partition("<")[2].partition(">")[0]
    assert found == {each for each, _ in rows}


def test_the_export_is_what_a_stranger_harvests(site: World, reader: TestClient) -> None:
    site.call("dataset/describe", dataset="mgus", facts=STATED)
    made = site.call("catalogue/export", form="n-triples")
    harvested = reader.get("/catalogue", headers={"accept": "application/n-triples"}).text
    assert sorted(made["text"].splitlines()) == sorted(harvested.splitlines())
    one = site.call("catalogue/export", dataset="mgus", form="turtle")
    assert "healthdcatap:hdab" in one["text"]
    assert "HealthData@EU" not in one["text"]


def test_describing_says_what_is_still_missing(site: World) -> None:
    done = site.call("dataset/describe", dataset="mgus", facts={"provenance": None})
    assert [each["field"] for each in done["missing"]] == ["provenance"]
    with pytest.raises(InputError, match="nothing is stated"):
        site.call("dataset/describe", dataset="mgus", facts={})
    with pytest.raises(InputError, match="legal_basis"):
        site.call("dataset/describe", dataset="mgus", facts={"legal_basis": "x"})
    with pytest.raises(NotFoundError):
        site.call("dataset/describe", dataset="other", facts={"population": "Adults."})


def test_an_artefact_that_was_never_released_has_no_croissant(site: World) -> None:
    with pytest.raises(NotFoundError):
        site.call("catalogue/croissant", artefact="0" * 64)


def test_erased_rows_leave_the_catalogue(tmp_path: Path) -> None:
    with offering(tmp_path) as site:
        version = site.connector.datasets.version("mgus")
        assert version.modified <= NOW
        catalogue = health_catalogue.HealthCatalogue.of(site.connector)
        assert len(catalogue.page(HUB).listed) == 1
        site.connector.datasets.erase(version.id, "the retention period is over")
        assert not catalogue.page(HUB).listed

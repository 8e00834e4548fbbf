"""Who is shown which offers: one condition, in one query, whatever the number of offers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select, update

from synthema.assembly.offers import OfferBook, audience, offer_audience, offers
from synthema.datasets.store import datasets
from synthema.dataspace import Caller
from synthema.errors import NotFoundError
from synthema.policy import parse_policy
from synthema.policy.templates import render
from tests.unit.datasets.support import ORIGIN
from tests.unit.offers.market import HUB, NOW, OTHER_HUB, REGISTRY, Market, market, version
from tests.unit.policy.sample import VALUES, V

TEXT = render("study-agreement", {**VALUES["study-agreement"], "dataset": f"{ORIGIN}/id/dataset/mgus"})


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Market]:
    with market(tmp_path) as found:
        yield found


def seen(shop: Market, caller: Caller, **asked: Any) -> list[str]:
    return [entry.id.rpartition("/")[2] for entry in shop.shelf.visible(caller, **asked)]


@pytest.mark.article("EHDS 77(1)")
def test_an_offer_is_shown_to_its_audience_alone(shop: Market) -> None:
    shop.put(1)
    shop.put(1, (HUB.did, REGISTRY.did), start=1)
    shop.put(1, (REGISTRY.did,), kind="synthetic", start=2)
    shop.put(1, (), start=3)
    assert seen(shop, HUB) == ["dataset-000000", "dataset-000001"]
    assert seen(shop, OTHER_HUB) == ["dataset-000000"]
    assert seen(shop, REGISTRY) == ["dataset-000002"]
    assert seen(shop, Caller("did:web:site.example", "site", "site")) == []


def test_the_single_read_agrees_with_the_list(shop: Market) -> None:
    for number, parties in enumerate((("*",), (HUB.did,), (REGISTRY.did,))):
        shop.put(2, parties, start=2 * number)
    for caller in (HUB, OTHER_HUB, REGISTRY):
        for number in range(6):
            name = f"dataset-{number:06}"
            alone = seen(shop, caller, dataset=f"{ORIGIN}/id/dataset/{name}")
            assert alone == ([name] if name in seen(shop, caller) else [])
    assert seen(shop, HUB, dataset="http://elsewhere.example/id/dataset/dataset-000000") == []


def test_pages_follow_one_another_without_gap_or_repetition(shop: Market) -> None:
    shop.put(25)
    shop.put(25, (REGISTRY.did,), start=25)
    shop.put(25, start=50)
    found: list[str] = []
    while page := shop.shelf.visible(HUB, after=found[-1] if found else None, limit=7):
        assert len(page) <= 7
        found += [entry.id for entry in page]
    assert found == sorted(set(found))
    assert len(found) == 50


def test_a_page_takes_the_same_number_of_queries_whatever_is_on_offer(shop: Market) -> None:
    asked: list[str] = []
    event.listen(shop.database.engine, "before_cursor_execute", lambda *call: asked.append(call[2]))
    counts = []
    for start in (0, 5, 50):
        shop.put(5 if start < 5 else 45, start=start)
        shop.shelf.visible(HUB)
        asked.clear()
        entries = shop.shelf.visible(HUB)
        assert all(entry.offers for entry in entries)
        counts.append(len(asked))
    assert counts[0] == counts[1] == counts[2] <= 6


def test_what_an_earlier_version_kept_is_completed(shop: Market) -> None:
    shop.put(1)
    with shop.database.read() as connection:
        (offer, wire) = connection.execute(select(offers.c.id, offers.c.wire)).one()
    shop.database.write(lambda connection: connection.execute(update(offers).values(wire=None, dataset="mgus")))
    shop.database.write(lambda connection: connection.execute(offer_audience.delete()))
    assert seen(shop, HUB) == []
    book = shop.shelf._offers
    book.complete()
    assert shop.audience_of(offer) == {VALUES["study-agreement"]["assignee"]}
    assert book.all()[0]["wire"] == wire
    book.complete()


def test_an_offer_is_kept_with_its_words_and_its_audience(shop: Market) -> None:
    book: OfferBook = shop.shelf._offers
    offer = {"id": "offer-1", "dataset": "mgus", "kind": "patients", "title": "x", "policy": TEXT, "published_at": NOW}
    shop.database.write(lambda connection: book.keep(connection, offer))
    (kept,) = book.of_dataset("mgus")
    assert "assignee" not in kept["wire"]
    assert shop.audience_of("offer-1") == audience(parse_policy(TEXT, V, file="x", base=ORIGIN))
    with shop.database.read() as connection, pytest.raises(NotFoundError):
        book.newest(connection, "another")


def test_a_public_dataset_is_known_to_everybody_and_had_by_its_audience(shop: Market) -> None:
    shop.put(1, (HUB.did,))
    told = version("x", listed="public").metadata.model_dump(mode="json")
    shop.database.write(lambda connection: connection.execute(update(datasets).values(metadata=told)))
    assert seen(shop, REGISTRY) == []
    ((_, row),) = shop.shelf.shown(None, records=True)
    assert (row["dataset"], row["offers"]) == ("dataset-000000", ())
    shop.put(1, start=1)
    assert [row["dataset"] for _, row in shop.shelf.shown(REGISTRY, records=True)] == ["dataset-000000"]

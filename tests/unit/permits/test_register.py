"""The public register (EHDS Art. 58) and the figures of the report (Art. 59): parties and data, never persons."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta

import pytest

from synthema.clock import FixedClock
from synthema.permits import PermitStore, as_csv, as_json, as_markdown, public_register, report_counts
from synthema.storage import Database
from tests.unit.datasets.support import make_log
from tests.unit.permits.support import HOLDER, SITE, V, content


@pytest.fixture
def store(database: Database, clock: FixedClock) -> PermitStore:
    """Five applications: issued, revoked, refused after four days, waiting, and one of a party with a sly name."""
    store = PermitStore(database, make_log(database, clock), clock)
    ids = [store.apply(content(), issuer=SITE).id for _ in range(4)]
    clock.advance(timedelta(days=2))
    store.decide(ids[0], "grant")
    store.decide(ids[1], "grant")
    clock.advance(timedelta(days=2))
    store.decide(ids[2], "refuse", reason="not research")
    store.decide(ids[1], "revoke", reason="breach")
    sly = store.apply(content(holder="=HYPERLINK(1)|x"), issuer=SITE)
    store.decide(sly.id, "grant")
    return store


@pytest.mark.article("EHDS 58")
def test_who_got_access_to_what_for_which_purpose_and_what_came_of_it(store: PermitStore) -> None:
    first = store.permits()[-1].id
    entries = public_register(store.permits(), V, {first: ["https://journal.example/1"]}, {HOLDER: "The institute"})
    assert len(entries) == 3
    issued = next(entry for entry in entries if entry.permit == first)
    assert (issued.holder, issued.datasets, issued.state) == ("The institute", ("mgus",), "issued")
    assert issued.purpose == "scientific research in health and care"
    assert issued.results == ("https://journal.example/1",)
    assert {entry.state for entry in entries} == {"issued", "revoked"}


@pytest.mark.article("EHDS 58")
def test_persons_are_never_published(store: PermitStore, clock: FixedClock) -> None:
    entries = public_register(store.permits(), V, {})
    counts = report_counts(store.permits(), V)
    forms = as_csv(entries) + json.dumps(as_json(entries, counts)) + as_markdown(entries, counts, "Site", clock.now())
    assert "person" not in forms.replace("personal", "")


@pytest.mark.article("EHDS 59")
def test_the_figures_of_the_report(store: PermitStore, clock: FixedClock) -> None:
    counts = report_counts(store.permits(), V)
    assert (counts.applications, counts.issued, counts.refused, counts.waiting, counts.revoked) == (5, 3, 1, 1, 1)
    assert counts.median_days == 2.0
    assert counts.by_purpose == {"scientific research in health and care": 3}
    assert report_counts(store.permits(), V, since=clock.now()).applications == 1
    assert report_counts(store.permits(), V, until=clock.now()).applications == 4
    assert report_counts([], V).median_days is None


def test_a_cell_is_never_a_formula_and_never_breaks_the_table(store: PermitStore, clock: FixedClock) -> None:
    entries = public_register(store.permits(), V, {})
    rows = list(csv.DictReader(io.StringIO(as_csv(entries))))
    assert len(rows) == 3
    assert rows[0]["holder"] == "'=HYPERLINK(1)|x"
    page = as_markdown(entries, report_counts(store.permits(), V), "Site", clock.now())
    assert r"HYPERLINK(1)\|x" in page
    assert "Median time to a decision: 2 days" in page

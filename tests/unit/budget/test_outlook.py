"""Looking ahead: what a release would cost, how many fit, what was told so far."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from synthema.budget import (
    EVERYONE,
    Account,
    BudgetLedger,
    Mechanism,
    history,
    odometer,
    plan,
    release_of,
    rho_of,
    what_if,
)
from synthema.budget.chart import svg, text_bar
from synthema.clock import FixedClock
from synthema.errors import DeniedError, InputError
from synthema.storage import Database
from tests.unit.datasets.support import log_text, make_log

HUB = "did:web:hub.example"
DELTA = 1e-6


@pytest.fixture
def ledger(database: Database, clock: FixedClock) -> BudgetLedger:
    return BudgetLedger(database, make_log(database, clock), clock)


@pytest.fixture
def account(ledger: BudgetLedger) -> Account:
    return ledger.open_account("mgus", HUB, 8.0, DELTA, basis="agreement-1")


def spend(database: Database, ledger: BudgetLedger, account: Account, *used: Mechanism, run: str = "run-1") -> None:
    def work(connection: object) -> None:
        made = ledger.reserve(connection, account, used, run)  # type: ignore[arg-type]
        ledger.spend(connection, made)  # type: ignore[arg-type]

    database.write(work)


def test_a_what_if_tells_what_the_ledger_then_does(database: Database, ledger: BudgetLedger, account: Account) -> None:
    spend(database, ledger, account, release_of(3.0, DELTA))
    release = [release_of(2.0, DELTA)]
    told = what_if(ledger.picture(account.id), release)
    assert told.fits
    assert told.before == pytest.approx(3.0, abs=1e-6)
    assert 3.0 < told.after < 5.0
    assert f"you would have spent ε = {told.after:.3g} of 8" in told.sentence()
    assert "more such releases would fit" in told.sentence()
    for number in range(told.fitting):
        spend(database, ledger, account, *release, run=f"run-more-{number}")
    with pytest.raises(DeniedError):
        spend(database, ledger, account, *release, run="run-too-much")
    after = what_if(ledger.picture(account.id), release)
    assert (after.fits, after.fitting) == (False, 0)
    assert "does not fit" in after.sentence()
    assert after.as_dict()["more"] == 0


def test_several_times_is_asked_as_a_whole(ledger: BudgetLedger, account: Account) -> None:
    picture = ledger.picture(account.id)
    once = what_if(picture, [release_of(1.0, DELTA)])
    assert what_if(picture, [release_of(1.0, DELTA)], once.fitting).fits
    assert not what_if(picture, [release_of(1.0, DELTA)], once.fitting + 1).fits
    for wrong in (0, -1):
        with pytest.raises(InputError):
            what_if(picture, [release_of(1.0, DELTA)], wrong)
    with pytest.raises(InputError):
        release_of(0.0, DELTA)


def test_the_ceiling_of_the_dataset_is_looked_at_too(ledger: BudgetLedger, account: Account) -> None:
    ledger.open_account("mgus", EVERYONE, 1.0, DELTA)
    told = what_if(ledger.picture(account.id), [release_of(2.0, DELTA)])
    assert not told.fits
    assert told.limited_by_dataset
    assert "all recipients of the dataset together" in told.sentence()


def test_an_even_plan_fits_exactly(database: Database, ledger: BudgetLedger, account: Account) -> None:
    picture = ledger.picture(account.id)
    planned = plan(picture, 5)
    assert planned["epsilonEach"] > 8.0 / 5
    assert "by plain addition it would be 1.6 each" in planned["sentence"]
    assert what_if(picture, [Mechanism("zcdp", planned["rhoEach"])], 5).fits
    assert not what_if(picture, [Mechanism("zcdp", planned["rhoEach"] * 1.001)], 5).fits
    spend(database, ledger, account, Mechanism("zcdp", rho_of(8.0, DELTA)))
    assert plan(ledger.picture(account.id), 2)["sentence"].startswith("Nothing is left")
    with pytest.raises(InputError):
        plan(picture, 0)


def test_a_single_pure_release_may_use_the_whole_ceiling(
    database: Database, ledger: BudgetLedger, account: Account
) -> None:
    told = what_if(ledger.picture(account.id), [Mechanism("pure", 4.0)])
    assert (told.fits, told.fitting) == (True, 2)
    for number in range(2):
        spend(database, ledger, account, Mechanism("laplace", 0.25), run=f"run-{number}")
    assert ledger.balance(account).epsilon_spent == 8.0
    assert ledger.balance(account).share == 1.0
    for wrong in (Mechanism("pure", 1e-6), Mechanism("zcdp", 1e-6)):
        with pytest.raises(DeniedError):
            spend(database, ledger, account, wrong, run="run-more")


def test_what_may_fail_outright_needs_a_part_of_delta(
    database: Database, ledger: BudgetLedger, account: Account
) -> None:
    release = Mechanism("approximate", 1.0, 1e-8)
    with pytest.raises(DeniedError, match="may fail outright"):
        spend(database, ledger, account, release)
    kept = ledger.open_account("mgus", HUB, 8.0, DELTA, basis="agreement-2", failure_delta=2e-8)
    assert kept.ceiling_units < account.ceiling_units
    for number in range(2):
        spend(database, ledger, kept, release, run=f"run-{number}")
    with pytest.raises(DeniedError):
        spend(database, ledger, kept, release, run="run-3")
    assert ledger.balance(kept).epsilon_spent <= 8.0
    for wrong in (DELTA, -1e-9, 1.0):
        with pytest.raises(InputError):
            ledger.open_account("mds", HUB, 8.0, DELTA, failure_delta=wrong)


def test_the_odometer_reads_the_tightest_and_grades_it(
    database: Database, ledger: BudgetLedger, account: Account
) -> None:
    spend(database, ledger, account, Mechanism("gaussian", 2.0), Mechanism("laplace", 2.0))
    read = odometer(ledger.picture(account.id))
    best = read["composition"]["best"]
    assert best["method"] == "PLD"
    assert best["epsilon"] < read["composition"]["bestAdaptive"]["epsilon"]
    assert [promise["grade"] for promise in read["guarantee"]] == ["proven", "computed"]
    assert any("fixed beforehand" in assumption for assumption in read["guarantee"][1]["assumptions"])
    assert read["unit"] == "patient"
    assert "where a coin is right 50 %" in read["sentence"]


def test_what_all_recipients_could_pool_is_told(database: Database, ledger: BudgetLedger, account: Account) -> None:
    other = ledger.open_account("mgus", "did:web:other.example", 8.0, DELTA)
    spend(database, ledger, account, release_of(2.0, DELTA))
    spend(database, ledger, other, release_of(2.0, DELTA))
    total = ledger.total("mgus")
    assert len(total["recipients"]) == 2
    assert 2.0 < total["composition"]["bestAdaptive"]["epsilon"] < 4.0
    assert "If all 2 recipients pooled" in total["sentence"]
    assert "no ceiling was set" in total["sentence"]
    ledger.open_account("mgus", EVERYONE, 9.0, DELTA)
    assert ledger.total("mgus")["ceiling"] == 9.0
    assert ledger.total("mgus", numeric=False)["recipients"] == total["recipients"]


def test_four_fifths_are_told_once(database: Database, ledger: BudgetLedger, account: Account) -> None:
    rho = rho_of(8.0, DELTA)
    for number, part in enumerate((0.7, 0.15, 0.05)):
        spend(database, ledger, account, Mechanism("zcdp", rho * part), run=f"run-{number}")
        assert ledger.gauge(account)["alert"] is (number > 0)
    said = log_text(ledger._log)
    assert said.count("ns#BudgetAlert>") == 1
    assert "85 % of a privacy budget" in said


def test_history_and_picture_can_be_read_aloud(database: Database, ledger: BudgetLedger, account: Account) -> None:
    spend(database, ledger, account, release_of(2.0, DELTA))
    database.write(lambda connection: ledger.reserve(connection, account, [Mechanism("gaussian", 9.0)], "run-2"))
    entries = history(ledger.picture(account.id))
    assert [(entry["run"], entry["state"]) for entry in entries] == [("run-1", "spent"), ("run-2", "reserved")]
    assert entries[1]["mechanisms"] == ["Gaussian noise of 9 times the most one patient can change"]
    image = ET.fromstring(svg(account, entries, "Budget of <the hub>"))  # noqa: S314 - our own text
    assert image.attrib["role"] == "img"
    said = [element.text for element in image if element.tag.endswith(("title", "desc"))]
    assert said[0] == "Budget of <the hub>"
    assert "After 1 release, ε = 2 of 8 is spent" in (said[1] or "")
    assert text_bar(0.5, 2.0, 8.0, DELTA).startswith("[###############---------------] 50 %")
    assert "nearly spent" in text_bar(0.8, 6.0, 8.0, DELTA)

"""The officer's day in a browser: everything by keyboard, nothing by script."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.browser.conftest import Seat, Served, expect
from tests.unit.web_console.conftest import Site
from tests.unit.web_console.world import policy_text

pytestmark = pytest.mark.browser

WITHOUT_SCRIPT = pytest.mark.parametrize("seat", [{"java_script_enabled": False}], indirect=True)


@WITHOUT_SCRIPT
def test_the_calendar_leads_to_what_is_owed_and_to_a_file(seat: Seat, served_site: Served, site: Site) -> None:
    page = seat.page
    seat.sign_in(served_site)
    page.get_by_role("link", name="Obligations", exact=True).click()
    for title in ("Overdue (", "This month (", "Later (", "Waiting ("):
        expect(page.get_by_role("heading", name=title)).to_be_visible()
    with page.expect_download() as downloading:
        page.get_by_role("link", name="Take the dates into your calendar").click()
    assert downloading.value.suggested_filename == "obligations.ics"
    assert "BEGIN:VEVENT" in Path(downloading.value.path()).read_text()
    page.get_by_role("region", name="This month").get_by_role("rowheader").get_by_role("link").first.click()
    expect(page).to_have_url(re.compile(f"{re.escape(site.obligations['month'])}$"))
    expect(page.get_by_role("heading", name="To show that it was done")).to_be_visible()
    page.get_by_role("link", name="Back to the calendar").click()
    page.get_by_role("link", name="Show also what is done").click()
    expect(page.get_by_role("heading", name="Done, waived")).to_be_visible()


@WITHOUT_SCRIPT
def test_a_text_with_several_mistakes_shows_each_on_its_own_line(seat: Seat, served_site: Served) -> None:
    page = seat.page
    seat.sign_in(served_site)
    seat.go(served_site, "/policies/check")
    wrong = policy_text().replace("layer: site", "layer: kitchen").replace("epsilon at most", "epsilom at most", 1)
    page.get_by_label("Policy text").fill(wrong)
    page.get_by_role("button", name="Check").click()
    problems = page.get_by_role("alert").get_by_role("listitem")
    expect(problems).to_have_count(2)
    tops = [problems.nth(number).bounding_box()["y"] for number in range(2)]
    assert tops[0] < tops[1]
    expect(page.get_by_label("Policy text")).to_have_value(wrong)  # what was pasted stays


@WITHOUT_SCRIPT
def test_a_decision_is_changed_in_one_fact_and_decided_anew(seat: Seat, served_site: Served, site: Site) -> None:
    page = seat.page
    seat.sign_in(served_site)
    seat.go(served_site, f"/requests/{site.denied}")
    page.get_by_role("link", name="Change something, and see what would be").click()
    expect(page.get_by_label("Who asks")).to_have_value(served_site.world.connector.settings.did)
    page.get_by_label("For what purpose").select_option(label="scientific research in health and care")
    page.get_by_label("Privacy loss ε of this release").fill("2")
    page.get_by_role("button", name="Decide").click()
    expect(page.get_by_role("heading", name="Decision: denied")).to_be_visible()
    expect(page.get_by_role("heading", name="What single fact would turn it")).to_be_visible()
    assert "advertising" not in page.get_by_role("heading", name="Decision").locator("+ ul").inner_text().casefold()


def test_a_form_is_filled_and_sent_with_the_keyboard_alone(seat: Seat, served_site: Served, site: Site) -> None:
    seat.sign_in(served_site)
    seat.go(served_site, f"/budgets/{site.budget}")
    keyboard = seat.page.keyboard
    for _ in range(60):
        keyboard.press("Tab")
        if seat.page.evaluate("() => document.activeElement.name") == "epsilon":
            break
    keyboard.type("2")
    keyboard.press("Enter")
    expect(seat.page).to_have_url(re.compile("epsilon=2"))
    expect(seat.page.get_by_role("status")).to_contain_text("FITS", use_inner_text=True)


@WITHOUT_SCRIPT
def test_the_law_is_searched_and_an_article_explained(seat: Seat, served_site: Served) -> None:
    seat.sign_in(served_site)
    seat.page.get_by_role("link", name="Law", exact=True).click()
    seat.page.get_by_label("Articles that hold these words").fill("EHDS 71(4)")
    seat.page.get_by_role("button", name="Search").click()
    expect(seat.page).to_have_url(re.compile("text=EHDS"))
    seat.page.get_by_role("rowheader").get_by_role("link").first.click()
    expect(seat.page.get_by_role("heading", name="EHDS 71(4)").first).to_be_visible()


def test_the_assessment_is_saved_to_print(seat: Seat, served_site: Served, site: Site) -> None:
    seat.sign_in(served_site)
    seat.go(served_site, f"/assessments/{site.assessment}")
    with seat.page.expect_download() as downloading:
        seat.page.get_by_role("link", name="The whole to print").click()
    assert "<svg" in Path(downloading.value.path()).read_text()

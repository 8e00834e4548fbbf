"""The officer's pages: the calendar, consent, assessments, permits, budgets, the law, and one decision in full."""

from __future__ import annotations

import csv
import io
import json
from typing import Any
from urllib.parse import quote

import pytest

from synthema.clock import to_text
from synthema.consent import store
from synthema.web.console.views.consents import state_words
from synthema.web.console.views.obligations import GROUPS, part_of
from tests.unit.web_console.conftest import Site
from tests.unit.web_console.outline import Outline
from tests.unit.web_console.test_pages import page, twin
from tests.unit.web_console.world import HOSTILE, NOW, World

ESCAPED = "&lt;script&gt;alert(1)&lt;/script&gt;"


def things(site: Site) -> list[str]:
    """The pages of single things on the officer's desk."""
    return [
        *(f"/obligations/{name}" for name in site.obligations.values()),
        f"/assessments/{site.assessment}",
        f"/assessments/{site.proposed}",
        f"/permits/{site.permit}",
        f"/permits/{site.application}",
        f"/budgets/{site.budget}",
        f"/budgets/{site.budget}?epsilon=2&delta=1e-6&times=2",
        f"/budgets/{site.budget}?epsilon=much",
        f"/policies/what-if?run={site.denied}",
        "/law/article?article=GDPR+5",
    ]


def test_the_pages_of_single_things_are_well_made(site: Site) -> None:
    for path in things(site):
        assert page(site.world, path).problems() == [], path


@pytest.mark.parametrize("path", ["/obligations", "/permits", "/assessments", "/consents", "/budgets"])
def test_nothing_hostile_is_taken_for_markup_in_a_list(site: Site, path: str) -> None:
    text = site.world.signed_in().get("/console" + path).text
    assert "<script>" not in text
    assert "Hospital <A>" not in text
    assert "49" not in text.partition("alert(1)")[2][:60]


def test_nothing_hostile_is_taken_for_markup_on_a_page(site: Site) -> None:
    for path in (f"/obligations/{site.obligations['month']}", f"/assessments/{site.proposed}",
                 f"/permits/{site.application}"):  # fmt: skip
        text = site.world.signed_in().get("/console" + path).text
        assert ESCAPED in text, path
        assert "<script>" not in text, path
    for query in ("/law?text=", "/policies/duo?codes=", "/policies/duo?party=", "/obligations?dataset=",
                  "/policies/replay?since=", f"/budgets/{site.budget}?epsilon=", "/law/article?article="):  # fmt: skip
        answer = site.world.signed_in().get(f"/console{query}{quote(HOSTILE)}")
        assert "<script>" not in answer.text, query
        assert Outline(answer.text).problems() == [], query


def test_pages_of_things_that_are_not_there(site: Site) -> None:
    browser = site.world.signed_in()
    for path in ("obligations/none", "assessments/none", "permits/none", "budgets/none", "permits/register.pdf",
                 "law/article?article=EHDS+999", "requests/run-none/decision.ttl"):  # fmt: skip
        assert browser.get(f"/console/{path}").status_code == 404, path
    assert browser.get("/console/law/article").status_code == 400


# today ------------------------------------------------------------------------------------------


def test_today_names_what_has_a_date(site: Site) -> None:
    needs = twin(site.world, "")["needs"]
    kinds = {need["kind"] for need in needs}
    assert {
        "Obligation overdue", "Obligation due soon", "Withdrawal pending", "Impact assessment to sign",
        "Impact assessment does not hold", "Application to decide", "Permit ends soon",
    } <= kinds  # fmt: skip
    soon = [need for need in needs if need["kind"] == "Obligation due soon"]
    assert [need["address"].rpartition("/")[2] for need in soon] == [site.obligations["month"]]
    browser = site.world.signed_in()
    assert all(browser.get(need["address"].partition("#")[0]).status_code == 200 for need in needs)


@pytest.mark.article("GDPR 35(11)")
@pytest.mark.parametrize(("due", "holds", "told"), [(20, True, True), (200, True, False), (-3, False, True)])
def test_today_names_a_review_that_is_due(
    site: Site, monkeypatch: pytest.MonkeyPatch, due: int, holds: bool, told: bool
) -> None:
    from datetime import timedelta

    review = {"kind": "review", "holds": holds, "due": to_text(NOW + timedelta(days=due)), "sentence": "Review it."}
    answers: dict[str, Any] = {
        "dpia/list": [{"dpia": "dpia-1", "title": "A", "state": "active", "signedBy": []}],
        "dpia/status": {"findings": [review]},
    }
    monkeypatch.setattr("synthema.web.console.desk.Desk.ask", lambda _s, op, **_n: answers.get(op, []))
    kinds = [need["kind"] for need in twin(site.world, "")["needs"]]
    assert kinds == (["Impact assessment review due"] if told else [])


def test_many_obligations_are_told_as_one(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    late = [{"id": f"o-{n}", "action": "x", "state": "violated", "due": None, "sentence": f"S{n}"} for n in range(9)]
    monkeypatch.setattr(
        "synthema.web.console.desk.Desk.ask", lambda _s, op, **_n: late if op == "obligation/list" else []
    )
    (need,) = twin(site.world, "")["needs"]
    assert need["sentence"] == "9 obligations; the nearest: S0"
    assert need["address"] == "/console/obligations#overdue"


# obligations --------------------------------------------------------------------------------------


def test_the_calendar_has_its_parts_in_order(site: Site) -> None:
    value = twin(site.world, "/obligations?all=yes")
    month = NOW.isoformat()[:7]
    # Others may stand beside them: the site has tasks of its own, such as those of its permit.
    part = {each["id"]: part_of(each, month) for each in value["obligations"]}
    assert {part[identifier]: identifier for identifier in site.obligations.values()} == site.obligations
    text = page(site.world, "/obligations?all=yes").text
    positions = [text.index(f"{title} (") for key, title, _ in GROUPS if key in site.obligations]
    assert positions == sorted(positions)
    assert "June 2027" in text
    assert "Done, waived" not in page(site.world, "/obligations").text


def test_the_calendar_is_narrowed(site: Site) -> None:
    found = twin(site.world, f"/obligations?party={quote(site.world.connector.settings.did)}")["obligations"]
    assert site.obligations["month"] in [each["id"] for each in found]
    assert {each["party"] for each in found} == {site.world.connector.settings.did}


def test_the_calendar_is_a_file_for_calendars(site: Site) -> None:
    answer = site.world.signed_in().get("/console/obligations/calendar.ics")
    assert answer.headers["content-type"].startswith("text/calendar")
    assert answer.headers["content-disposition"] == 'attachment; filename="obligations.ics"'
    assert answer.text.startswith("BEGIN:VCALENDAR\r\n")
    assert answer.text.count("BEGIN:VEVENT") >= 3


def test_an_obligation_says_who_what_why_and_how_it_ends(site: Site) -> None:
    later = f"/obligations/{site.obligations['later']}"
    assert twin(site.world, later) == site.world.call("obligation/show", obligation=site.obligations["later"])
    outline = page(site.world, later)
    assert "EHDS 61(4)" in outline.text
    assert "No site can waive it" in outline.text
    assert "/console/requests/run-behind" in [link.get("href") for link in outline.all("a")]
    assert "sha256:" in outline.text, "what would show it is said"
    officer, steward = (site.world.people[role][0] for role in ("dpo", "data steward"))
    month = page(site.world, f"/obligations/{site.obligations['month']}").text
    for person in (officer, steward):
        assert f"--reason REASON --person {person} --key YOUR-KEY.pem" in month
    assert "synthema obligation waive first.json second.json" in month
    late = page(site.world, f"/obligations/{site.obligations['overdue']}").text
    assert f"--evidence EVIDENCE --person {officer}" in late, "an officer settles what is late"
    ended = page(site.world, f"/obligations/{site.obligations['ended']}").text
    assert "https://journal.example/1" in ended
    assert "synthema obligation fulfil" not in ended


def test_an_empty_calendar_says_what_comes_next(registry: World) -> None:
    assert "Nothing is owed." in page(registry, "/obligations").text


# consent, assessments, permits --------------------------------------------------------------------


def test_consent_is_told_in_numbers_and_names_nobody(site: Site) -> None:
    value = twin(site.world, "/consents")
    (dataset,) = value["datasets"]
    assert dataset["states"] == site.world.call("consent/list", dataset="mgus")["states"]
    assert dataset["status"]["remaining"] + sum(dataset["status"]["leftOut"].values()) == 80
    outline = page(site.world, "/consents")
    assert "of 80 people may be read" in outline.text
    assert "consent withdrawn" in outline.text
    assert "hours ago" in outline.text or "never" in outline.text
    assert value["withdrawals"], "one withdrawal is carried on"
    with site.world.connector.database.read() as connection:
        people = store.cohort(connection, site.dataset)
    assert len(people) == 80
    seen = outline.page + json.dumps(value)
    assert not [token for pair in people.items() for token in pair if token in seen]


def test_states_of_consent_read_well() -> None:
    assert state_words("ConsentGiven") == "consent given"
    assert state_words("OptedOut") == "opted out"
    assert state_words("SomethingElse") == "something else"


def test_a_connector_without_people_says_what_comes_next(registry: World) -> None:
    assert "synthema dataset add" in page(registry, "/consents").text
    assert "synthema permit apply" in page(registry, "/permits").text
    assert "synthema dpia propose" in page(registry, "/assessments").text


@pytest.mark.article("GDPR 35")
def test_an_assessment_shows_gates_in_words_and_signs(site: Site) -> None:
    value = twin(site.world, f"/assessments/{site.assessment}")
    assert not value["status"]["conformant"], "a plugin it rests on is not approved"
    outline = page(site.world, f"/assessments/{site.assessment}")
    assert "DOES NOT HOLD" in outline.text
    assert "'secure-sum' is not in place" in outline.text
    assert "– not measured yet" in outline.text
    assert "approve it" in outline.text
    assert f"synthema dpia withdraw {site.assessment}" in outline.text
    proposed = page(site.world, f"/assessments/{site.proposed}").text
    assert "looser" in proposed
    assert f"synthema dpia sign {site.proposed}" in proposed


@pytest.mark.parametrize(("form", "start"), [("html", "<!doctype html>"), ("turtle", "@prefix"), ("yaml", "")])
def test_an_assessment_is_handed_out(site: Site, form: str, start: str) -> None:
    answer = site.world.signed_in().get(f"/console/assessments/{site.assessment}/export/{form}")
    assert answer.headers["content-disposition"].startswith('attachment; filename="impact-assessment.')
    assert answer.text.startswith(start)
    assert ("<svg" in answer.text) == (form == "html"), "the page to print has the maps of risks"


@pytest.mark.article("EHDS 68(10)")
def test_a_permit_says_what_it_lets_its_holder_do(site: Site) -> None:
    assert twin(site.world, f"/permits/{site.permit}") == site.world.call("permit/show", permit=site.permit)
    outline = page(site.world, f"/permits/{site.permit}")
    assert "(b) Purpose: scientific research in health and care." in outline.text
    assert "ends soon" in outline.text
    assert f"synthema permit suspend {site.permit}" in outline.text
    waiting = page(site.world, f"/permits/{site.application}").text
    assert f"synthema permit grant {site.application}" in waiting
    assert f"synthema permit suspend {site.application}" not in waiting
    signed = site.world.signed_in().get(f"/console/permits/{site.permit}/credential.json")
    assert json.loads(signed.content) == site.world.call("permit/export", permit=site.permit)
    assert site.world.signed_in().get(f"/console/permits/{site.application}/credential.json").status_code == 404


@pytest.mark.article("EHDS 58")
def test_the_register_of_permits_is_exported(site: Site) -> None:
    browser = site.world.signed_in()
    rows = list(csv.DictReader(io.StringIO(browser.get("/console/permits/register.csv").text)))
    assert [row["permit"] for row in rows] == [site.permit], "applications are not public"
    assert json.loads(browser.get("/console/permits/register.json").content)["counts"]["waiting"] == 1
    assert browser.get("/console/permits/register.md").text.startswith("# Data permits of")


# budgets and law ----------------------------------------------------------------------------------


def test_a_budget_tells_what_one_more_release_would_leave(site: Site) -> None:
    value = twin(site.world, f"/budgets/{site.budget}?epsilon=2&times=2")
    assert value["forecast"] == site.world.call("budget/what-if", account=site.budget, epsilon=2.0, times=2)
    assert value["odometer"] == site.world.call("budget/odometer", account=site.budget)
    outline = page(site.world, f"/budgets/{site.budget}?epsilon=2&times=2")
    assert "FITS" in outline.text
    assert "Would remain after it" in outline.text
    assert "DOES NOT FIT" in page(site.world, f"/budgets/{site.budget}?epsilon=50").text
    assert "What one more release would leave" in page(site.world, f"/budgets/{site.budget}").text
    wrong = site.world.signed_in().get(f"/console/budgets/{site.budget}?epsilon=&delta=1e-6")
    assert wrong.status_code == 422
    assert "no ε is given" in wrong.text


def test_the_legal_matrix_is_searched_by_words(site: Site) -> None:
    everything = twin(site.world, "/law")["articles"]
    assert everything == site.world.call("legal/matrix")
    assert [each["article"] for each in twin(site.world, "/law?text=Art.+EHDS+71(4)")["articles"]] == ["EHDS 71(4)"]
    assert twin(site.world, "/law?text=nowhere")["articles"] == []
    assert "synthema legal matrix" in page(site.world, "/law?text=nowhere").text
    assert "opted out" in page(site.world, "/law/article?article=EHDS+71(4)").text


# one decision -------------------------------------------------------------------------------------


@pytest.mark.article("GDPR 22")
def test_a_decision_leads_to_its_evidence_in_the_log(site: Site) -> None:
    outline = page(site.world, f"/requests/{site.denied}")
    links = [str(link.get("href")) for link in outline.all("a")]
    evidence = next(link for link in links if link.startswith("/console/log?text=") and "dataset" in link)
    found = twin(site.world, evidence.removeprefix("/console"))["entries"]
    assert found
    assert all(site.dataset in entry["body"] for entry in found)
    value = twin(site.world, f"/requests/{site.denied}")["decision"]
    assert value["request_digest"] in outline.text
    assert value["policy_digest"] in outline.text
    report = site.world.signed_in().get(f"/console/requests/{site.denied}/decision.ttl")
    assert report.headers["content-type"].startswith("text/turtle")
    assert site.denied in report.text


def test_evidence_elsewhere_is_text(site: Site) -> None:
    from synthema.web.console.desk import Desk

    desk = Desk(site.world.connector)
    own = site.world.connector.settings.public_url
    assert desk.address(f"{own}/log/7") == "/console/log/7"
    assert (desk.address(None), desk.address("https://journal.example/1"), desk.address("javascript:x")) == (
        None, None, None,
    )  # fmt: skip
    assert str(desk.address(f"{own}/log/7x")) == "None"

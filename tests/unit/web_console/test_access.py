"""Who comes in, what the browser keeps, and what every answer carries."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from http.cookies import SimpleCookie
from typing import Any

import pytest

from synthema.web.console.pages import POLICY
from synthema.web.console.sessions import IDLE, LONGEST, MAX_SESSIONS, CookieNames, Sessions
from tests.unit.web_console.conftest import Site
from tests.unit.web_console.world import NOW, mark_of, sign_in

PAGES = [
    "",
    "/obligations",
    "/obligations/calendar.ics",
    "/policies",
    "/policies/check",
    "/policies/what-if",
    "/policies/replay",
    "/policies/templates",
    "/policies/duo",
    "/requests",
    "/permits",
    "/permits/register.csv",
    "/consents",
    "/assessments",
    "/datasets",
    "/budgets",
    "/plugins",
    "/law",
    "/log",
    "/health",
    "/help",
]
ACTIONS = [
    "/policies/check",
    "/policies/what-if",
    "/policies/replay",
    "/log/verify",
    "/log/0/proof",
    "/registry",
    "/sign-out",
]


@pytest.fixture(autouse=True)
def _time_stands_still(site: Site) -> Iterator[None]:
    yield
    site.world.clock._moment = NOW


def cookies_of(answer: Any) -> dict[str, Any]:
    jar: SimpleCookie = SimpleCookie()
    for line in answer.headers.get_list("set-cookie"):
        jar.load(line)
    return dict(jar)


@pytest.mark.parametrize("path", [*PAGES, "/nothing", "/policies/show?policy=x&version=1"])
def test_a_stranger_is_led_to_sign_in_and_sees_nothing(site: Site, path: str) -> None:
    answer = site.world.visitor().get("/console" + path)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/console/sign-in?next=%2Fconsole")
    assert answer.text == ""


@pytest.mark.parametrize("path", PAGES)
def test_a_program_without_the_token_is_refused_in_json(site: Site, path: str) -> None:
    answer = site.world.visitor().get("/console" + path, headers={"accept": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (401, "denied")


@pytest.mark.parametrize("path", ACTIONS)
def test_a_stranger_cannot_act(site: Site, path: str) -> None:
    answer = site.world.visitor().post("/console" + path, data={"form_mark": "x"})
    assert answer.status_code == 403


def test_the_token_opens_a_session_and_stays_out_of_the_browser(site: Site) -> None:
    browser = site.world.visitor()
    answer = sign_in(browser, site.world.token)
    assert (answer.status_code, answer.headers["location"]) == (303, "/console")
    cookie = cookies_of(answer)["synthema-session-9101"]
    assert cookie["httponly"]
    assert (cookie["samesite"].casefold(), cookie["path"], cookie["secure"]) == ("strict", "/console", "")
    assert int(cookie["max-age"]) == LONGEST.total_seconds()
    assert site.world.token not in str(answer.headers)
    assert browser.get("/console").status_code == 200


def test_cookies_are_secure_where_the_address_is() -> None:
    names = CookieNames.of("https://inside.example:9443")
    assert names == CookieNames("__Secure-synthema-session-9443", "__Secure-synthema-visitor-9443", secure=True)
    assert CookieNames.of("https://inside.example").session == "__Secure-synthema-session-443"


@pytest.mark.parametrize(
    "wrong", ["", "no", "x" * 5000, "ü", "\udcff".encode("utf-8", "surrogatepass").decode("latin-1")]
)
def test_another_token_is_refused_with_the_way_to_the_right_one(site: Site, wrong: str) -> None:
    browser = site.world.visitor()
    answer = sign_in(browser, wrong)
    assert answer.status_code == 403
    assert "not the management token" in answer.text
    assert "synthema-session-9101" not in cookies_of(answer)
    assert browser.get("/console").status_code == 303


def test_the_token_is_taken_with_spaces_around_it_as_pasting_leaves_them(site: Site) -> None:
    assert sign_in(site.world.visitor(), f"  {site.world.token}\n").status_code == 303


def test_a_token_in_the_address_is_worth_nothing(site: Site) -> None:
    answer = site.world.visitor().get(f"/console?token={site.world.token}")
    assert answer.status_code == 303


def test_sign_in_needs_the_form_of_this_browser(site: Site) -> None:
    browser, other = site.world.visitor(), site.world.visitor()
    browser.get("/console/sign-in")
    foreign = mark_of(other.get("/console/sign-in").text)
    for mark in ("", "x", foreign):
        answer = browser.post("/console/sign-in", data={"form_mark": mark, "token": site.world.token})
        assert answer.status_code == 403
        assert "not made for this browser" in answer.text
        assert "synthema-session-9101" not in cookies_of(answer)


@pytest.mark.parametrize(
    "after",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "/consolex",
        "/console\n//evil.example",
        "javascript:x",
    ],
)
def test_sign_in_leads_nowhere_else(site: Site, after: str) -> None:
    answer = sign_in(site.world.visitor(), site.world.token, next=after)
    assert answer.headers["location"] == "/console"


def test_sign_in_leads_back_to_the_page_that_was_asked_for(site: Site) -> None:
    browser = site.world.visitor()
    led = browser.get("/console/log?text=policy").headers["location"]
    page = browser.get(led).text
    assert 'value="/console/log?text=policy"' in page
    answer = sign_in(browser, site.world.token, next="/console/log?text=policy")
    assert answer.headers["location"] == "/console/log?text=policy"


@pytest.mark.parametrize("path", ACTIONS)
@pytest.mark.parametrize("mark", [None, "", "0" * 64])
def test_no_form_acts_without_its_mark(site: Site, path: str, mark: str | None) -> None:
    browser = site.world.signed_in()
    answer = browser.post("/console" + path, data={} if mark is None else {"form_mark": mark})
    assert answer.status_code in (400, 403)  # a form without any field cannot be read at all
    assert browser.get("/console").status_code == 200


def test_a_mark_of_another_session_is_worth_nothing(site: Site) -> None:
    app = site.world.app()
    first, second = site.world.visitor(app), site.world.visitor(app)
    for browser in (first, second):
        sign_in(browser, site.world.token)
    mark = mark_of(second.get("/console").text)
    assert first.post("/console/log/verify", data={"form_mark": mark}).status_code == 403
    assert second.post("/console/log/verify", data={"form_mark": mark}).status_code == 200


def test_a_form_in_another_shape_is_refused(site: Site) -> None:
    browser = site.world.signed_in()
    for kind in ("application/json", "text/plain", ""):
        answer = browser.post("/console/log/verify", content=b"form_mark=x", headers={"content-type": kind})
        assert answer.status_code == 400


def test_a_session_ends_by_itself_and_by_sign_out(site: Site) -> None:
    browser = site.world.signed_in()
    site.world.clock.advance(IDLE - timedelta(seconds=1))
    assert browser.get("/console").status_code == 200
    site.world.clock.advance(IDLE)
    assert browser.get("/console").status_code == 303

    browser = site.world.signed_in()
    answer = browser.post("/console/sign-out", data={"form_mark": mark_of(browser.get("/console").text)})
    assert answer.headers["location"] == "/console/sign-in"
    assert cookies_of(answer)["synthema-session-9101"]["max-age"] == "0"
    assert browser.get("/console").status_code == 303


def test_a_session_that_was_signed_out_stays_out_for_who_kept_its_cookie(site: Site) -> None:
    browser = site.world.signed_in()
    kept = browser.cookies["synthema-session-9101"]
    browser.post("/console/sign-out", data={"form_mark": mark_of(browser.get("/console").text)})
    assert browser.get("/console", headers={"cookie": f"synthema-session-9101={kept}"}).status_code == 303


def test_a_session_in_use_ends_after_the_longest_time(site: Site) -> None:
    browser = site.world.signed_in()
    for _ in range(int(LONGEST / (IDLE / 2)) - 1):
        site.world.clock.advance(IDLE / 2)
        assert browser.get("/console/help").status_code == 200
    site.world.clock.advance(IDLE / 2)
    assert browser.get("/console/help").status_code == 303


def test_sessions_are_few_and_the_server_keeps_no_name(site: Site) -> None:
    sessions = Sessions("token", site.world.clock)
    names = [sessions.sign_in("token") for _ in range(MAX_SESSIONS)]
    site.world.clock.advance(timedelta(seconds=1))
    assert all(sessions.is_open(name) for name in names[1:])
    newest = sessions.sign_in("token")
    assert sessions.is_open(newest)
    assert not sessions.is_open(names[0])
    assert len(set(names)) == MAX_SESSIONS
    assert all(str(name).encode() not in bytes(kept) for name in names for kept in sessions._open)


def test_without_a_token_nobody_comes_in(site: Site) -> None:
    assert Sessions("", site.world.clock).sign_in("") is None


def test_a_program_reads_with_the_token_as_bearer_and_does_not_act(site: Site) -> None:
    program = site.world.visitor()
    bearer = {"authorization": f"Bearer {site.world.token}", "accept": "application/json"}
    assert program.get("/console/policies", headers=bearer).json()["policies"]
    assert program.get("/console/policies", headers={**bearer, "authorization": "Bearer no"}).status_code == 401
    assert program.post("/console/log/verify", headers=bearer, data={"form_mark": ""}).status_code in (401, 403)


def test_every_answer_carries_the_policy(site: Site) -> None:
    stranger, browser = site.world.visitor(), site.world.signed_in()
    mark = mark_of(browser.get("/console").text)
    answers = [
        stranger.get("/"),
        stranger.get("/console"),
        stranger.get("/console/sign-in"),
        stranger.get("/console/static/console.css"),
        stranger.get("/console?format=json"),
        *(browser.get("/console" + path) for path in [*PAGES, "/nothing"]),
        *(browser.get(f"/console{path}?format=json") for path in PAGES),
        browser.post("/console/log/0/proof", data={"form_mark": mark}),
        browser.post("/console/log/verify", data={"form_mark": "no"}),
    ]
    for answer in answers:
        headers = answer.headers
        assert headers["content-security-policy"] == POLICY
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["x-frame-options"] == "DENY"
    assert all(answer.headers["cache-control"] == "no-store" for answer in answers if "static" not in str(answer.url))


def test_the_policy_lets_nothing_in_from_elsewhere() -> None:
    parts = dict(part.strip().split(" ", 1) for part in POLICY.split(";"))
    assert parts == {
        "default-src": "'none'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
    }


def test_the_console_is_reached_from_the_root(site: Site) -> None:
    assert site.world.visitor().get("/").headers["location"] == "/console"
    assert site.world.visitor().get("/console/").headers["location"] == "/console"


def test_the_operations_still_need_their_bearer(site: Site) -> None:
    browser = site.world.signed_in()
    assert browser.post("/management/policy/list", json={}).status_code == 401
    bearer = {"authorization": f"Bearer {site.world.token}"}
    assert browser.post("/management/policy/list", json={}, headers=bearer).status_code == 200


def test_only_a_package_may_be_large(site: Site) -> None:
    browser = site.world.visitor()
    large = b"x" * (9 * 1024 * 1024)
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert browser.post("/console/sign-in", content=large, headers=form).status_code == 413
    assert browser.post("/console/registry", content=large, headers=form).status_code != 413


def test_a_mistake_of_ours_is_told_without_its_detail(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = site.world.signed_in()
    monkeypatch.setattr(type(site.world.connector.policies), "versions", lambda _self: 1 / 0)
    answer = browser.get("/console/policies")
    assert answer.status_code == 500
    assert "made a mistake" in answer.text
    assert "division" not in answer.text
    assert browser.get("/console/policies?format=json").json()["code"] == "internal"

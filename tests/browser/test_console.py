"""The console as people meet it: by keyboard, on a small screen, in the dark, without JavaScript."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from synthema.certification import CHECKS
from tests.browser.conftest import Seat, Served, expect
from tests.unit.web_console.world import policy_text

pytestmark = pytest.mark.browser

ROLES = ["site", "hub", "registry"]
SMALL = {"viewport": {"width": 320, "height": 640}}

CONTRAST = """
() => {
  const parse = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b]
    .map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    const box = element.getBoundingClientRect();
    if (!own || !box.width || box.right < 0 || element.closest('option, select')) continue;
    const [a, b] = [light(parse(getComputedStyle(element).color)), light(ground(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const said = element.textContent.trim().slice(0, 30);
    if (ratio < 4.5) found.push(`${element.tagName}.${element.className} ${ratio.toFixed(2)} ${said}`);
  }
  return found;
}
"""
TARGETS = """
() => [...document.querySelectorAll([
    'nav a', 'th a', '.needs a', '.action', '.pager a', '.house a', 'footer a',
    'button', 'select', 'textarea', 'summary', 'input:not([type=hidden]):not(.away)'].join())]
  .filter(e => e.getClientRects().length)
  .map(e => [e.tagName, e.textContent.trim().slice(0, 30), e.getBoundingClientRect()])
  .filter(([, , box]) => box.width < 24 || box.height < 24)
  .map(([tag, said, box]) => `${tag} ${said} ${box.width.toFixed(0)}x${box.height.toFixed(0)}`)
"""
IN_ORDER = """
() => [...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea, summary')]
  .filter(e => e.tabIndex >= 0 && e.checkVisibility())
  .map(e => (e.textContent || e.name || '').trim().slice(0, 40))
"""
FOCUSED = """
() => {
  const e = document.activeElement, style = getComputedStyle(e), box = e.getBoundingClientRect();
  return {
    name: (e.textContent || e.name || '').trim().slice(0, 40), tag: e.tagName,
    outlined: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
    seen: box.width > 0 && box.left >= 0 && box.top >= 0 && box.top < innerHeight && box.right <= innerWidth + 1,
  };
}
"""


def walk(seat: Seat, served: Served, look: str) -> dict[str, Any]:
    """What a look at each page finds, by page."""
    seat.sign_in(served)
    found: dict[str, Any] = {}
    for path in served.paths:
        seat.go(served, path)
        found[path] = seat.page.evaluate(look)
    return found


@pytest.mark.parametrize("role", ROLES)
def test_nothing_is_asked_of_another_host_and_nothing_is_complained_of(
    seat: Seat, served: dict[str, Served], role: str
) -> None:
    walk(seat, served[role], "() => document.title")
    assert seat.foreign(served[role]) == []
    assert seat.complaints == []
    assert any(url.endswith("/console.css") for url in seat.requests)


def test_the_style_sheet_is_used(seat: Seat, served_site: Served) -> None:
    seat.go(served_site, "/sign-in")
    assert seat.page.evaluate("() => document.styleSheets[0].cssRules.length") > 20


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("seat", [SMALL], indirect=True)
def test_no_page_scrolls_sideways_at_320_pixels(seat: Seat, served: dict[str, Served], role: str) -> None:
    """WCAG 2.2, 1.4.10 Reflow."""
    widths = walk(seat, served[role], "() => document.documentElement.scrollWidth")
    assert {path: width for path, width in widths.items() if width > 320} == {}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("seat", [{"viewport": {"width": 640, "height": 900}, "bypass_csp": True}], indirect=True)
def test_text_of_twice_the_size_fits(seat: Seat, served: dict[str, Served], role: str) -> None:
    """WCAG 2.2, 1.4.4 Resize text; the policy is bypassed only to enlarge the text."""
    enlarge = "() => { document.documentElement.style.fontSize = '200%'; return document.documentElement.scrollWidth; }"
    widths = walk(seat, served[role], enlarge)
    assert {path: width for path, width in widths.items() if width > 640} == {}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("seat", [SMALL, {}], indirect=True, ids=["small", "wide"])
def test_targets_are_large_enough(seat: Seat, served: dict[str, Served], role: str) -> None:
    """WCAG 2.2, 2.5.8 Target size: 24 pixels; links inside sentences are exempt."""
    found = walk(seat, served[role], TARGETS)
    assert {path: small for path, small in found.items() if small} == {}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "seat", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True, ids=["light", "dark"]
)
def test_text_stands_out_from_its_ground(seat: Seat, served: dict[str, Served], role: str) -> None:
    """WCAG 2.2, 1.4.3 Contrast: 4.5 to 1."""
    found = walk(seat, served[role], CONTRAST)
    assert {path: faint for path, faint in found.items() if faint} == {}


@pytest.mark.parametrize("seat", [{"color_scheme": "dark"}], indirect=True)
def test_the_dark_scheme_is_dark(seat: Seat, served_site: Served) -> None:
    seat.sign_in(served_site)
    assert seat.page.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 27)"


@pytest.mark.parametrize(
    "path",
    ["/policies", "/log", "/policies/check", "/obligations", "/policies/what-if", "/policies/duo", "/permits", "/law"],
)
@pytest.mark.parametrize("seat", [SMALL, {}], indirect=True, ids=["small", "wide"])
def test_the_keyboard_reaches_everything_in_order_and_focus_is_seen(seat: Seat, served_site: Served, path: str) -> None:
    seat.sign_in(served_site)
    seat.go(served_site, path)
    expected = seat.page.evaluate(IN_ORDER)[:30]
    stops: list[dict[str, Any]] = []
    for _ in expected:
        seat.page.keyboard.press("Tab")
        stops.append(seat.page.evaluate(FOCUSED))
    assert [stop["name"] for stop in stops] == expected
    assert expected[:4] == ["Skip to the content", "Hospital <A>", "Sign out", "Today"]
    assert [stop for stop in stops if not (stop["outlined"] and stop["seen"])] == []


def test_the_skip_link_leads_to_the_content(seat: Seat, served_site: Served) -> None:
    seat.sign_in(served_site)
    seat.go(served_site, "/policies")
    seat.page.keyboard.press("Tab")
    seat.page.keyboard.press("Enter")
    expect(seat.page.locator("#content")).to_be_focused()
    seat.page.keyboard.press("Tab")
    assert seat.page.evaluate(FOCUSED)["name"] == "Try a policy text"


@pytest.mark.parametrize("seat", [{"java_script_enabled": False}], indirect=True)
def test_everything_is_done_without_javascript(seat: Seat, served_site: Served) -> None:
    page = seat.page
    seat.sign_in(served_site)
    page.get_by_role("link", name="Policies", exact=True).click()
    page.get_by_role("link", name="Try a policy text").click()
    page.get_by_label("Policy text").fill(policy_text("Pasted by hand"))
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_text("Pasted by hand, version 1")).to_be_visible()

    page.get_by_role("link", name="Log", exact=True).click()
    page.get_by_role("button", name="Verify all").click()
    expect(page.get_by_text("UNCHANGED")).to_be_visible()
    page.get_by_label("Entries that hold this text").fill("PolicyDecision")
    page.get_by_role("button", name="Search").click()
    expect(page).to_have_url(re.compile("text=PolicyDecision"))
    page.get_by_role("rowheader").first.get_by_role("link").click()
    with page.expect_download() as downloading:
        page.get_by_role("button", name="Download the proof").click()
    assert downloading.value.suggested_filename.endswith(".tlog-proof")
    assert Path(downloading.value.path()).read_text()

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.goto(served_site.address("/policies"))
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


@pytest.mark.parametrize("seat", [{"java_script_enabled": False}], indirect=True)
def test_a_package_is_uploaded_and_its_checks_are_read(seat: Seat, served: dict[str, Served], tmp_path: Path) -> None:
    (tmp_path / "package.zip").write_bytes(bytes(range(256)) * 40)
    seat.sign_in(served["registry"])
    seat.go(served["registry"], "/registry")
    seat.page.get_by_label("Certified package").set_input_files(tmp_path / "package.zip")
    seat.page.get_by_role("button", name="Check only").click()
    expect(seat.page.get_by_role("heading", name=f"{len(CHECKS)} of {len(CHECKS)} checks do not hold")).to_be_visible()
    expect(seat.page.locator("ol.checks > li")).to_have_count(len(CHECKS))


def test_sign_in_is_refused_with_a_sentence(seat: Seat, served_site: Served) -> None:
    seat.go(served_site, "/sign-in")
    seat.page.get_by_label("Management token").fill("wrong")
    seat.page.get_by_role("button", name="Sign in").click()
    expect(seat.page.get_by_role("alert")).to_contain_text("not the management token", use_inner_text=True)


def test_the_session_cannot_be_read_by_a_page(seat: Seat, served_site: Served) -> None:
    seat.sign_in(served_site)
    assert seat.page.evaluate("() => document.cookie") == ""
    (cookie,) = [c for c in seat.page.context.cookies(served_site.address("")) if "session" in c["name"]]
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/console")


def test_two_connectors_on_one_machine_keep_their_sessions_apart() -> None:
    from synthema.web.console.sessions import CookieNames

    assert CookieNames.of("http://127.0.0.1:1").session != CookieNames.of("http://127.0.0.1:2").session


@pytest.mark.parametrize("seat", [{"forced_colors": "active"}, {"reduced_motion": "reduce"}], indirect=True)
def test_the_page_keeps_its_marks_under_a_persons_own_settings(seat: Seat, served_site: Served) -> None:
    seat.sign_in(served_site)
    look = """() => {
      const here = getComputedStyle(document.querySelector('nav a[aria-current]'));
      return [here.outlineStyle !== 'none' || here.backgroundColor !== 'rgba(0, 0, 0, 0)', here.transitionDuration];
    }"""
    assert seat.page.evaluate(look) == [True, "0s"]

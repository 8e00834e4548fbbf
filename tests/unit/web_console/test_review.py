"""The pages of a clinical review: usable by keyboard and screen reader, and telling nothing before the close."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from synthema.certification.review import Reason, ReviewPlan, assignment, closing_bytes, draw_sheet, seating_bytes
from tests.unit.review.worlds import rows, shown
from tests.unit.web_console.outline import Outline
from tests.unit.web_console.world import HOSTILE, NOW, World, mark_of, world

SIZE = 20
REVIEW = "review-" + "c" * 32


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A site with an open review whose title is hostile, and two clinicians."""
    with world(tmp_path_factory.mktemp("ward"), "site") as found:
        for name in ("first", "second"):
            found.people[name] = register(found, "clinician")
        reviews, steward = found.connector.reviews, found.people["data steward"][0]
        plan = ReviewPlan(
            id=REVIEW, title=HOSTILE, subject="run-1", candidate="sha256:" + "0" * 64, dataset="made-up",
            dataset_version="dataset-1", run="run-2", vignettes=SIZE, reviewers=2, opened_by=steward,
            barred=(steward,), reasons=(Reason(code="combination", words="Does not fit"),), opened_at=NOW,
            expires_at=NOW + timedelta(days=30),
        )  # fmt: skip
        reviews.open(plan, draw_sheet(rows(60, 1), rows(60, 2), shown(), reviews.seed(REVIEW), SIZE))
        yield found


def register(found: World, role: str) -> Any:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw().hex()
    return found.call("people/register", roles=[role], public_key=public)["person"], key


def seat(found: World, name: str) -> str:
    person, key = found.people[name]
    return found.connector.reviews.join(REVIEW, person, key.sign(seating_bytes(REVIEW)))[1]


def pages(found: World) -> list[tuple[str, str]]:
    """Every page of the review, as a browser gets it."""
    browser, code = found.signed_in(), seat(found, "first")
    ask = browser.get("/console/reviews/judge").text
    sent = {"form_mark": mark_of(ask), "code": code}
    return [
        ("list", browser.get("/console/reviews").text),
        ("status", browser.get(f"/console/reviews/{REVIEW}").text),
        ("seat", ask),
        ("judge", browser.post("/console/reviews/judge", data=sent).text),
        ("wrong code", browser.post("/console/reviews/judge", data=sent | {"code": "AAAA-AAAA"}).text),
        ("half an answer", browser.post("/console/reviews/judge", data=sent | half(found, code)).text),
    ]


def half(found: World, code: str) -> dict[str, str]:
    vignette = found.connector.reviews.next(code)
    assert vignette is not None
    return {"vignette": vignette.name, "guess": "synthetic", "plausible": "no", "remark": "typed"}


def test_every_page_is_well_formed_labelled_and_safe(ward: World) -> None:
    for name, page in pages(ward):
        outline = Outline(page)
        assert outline.problems() == [], name
        assert "<script>" not in page, name
        groups = [tag for tag, _ in outline.tags if tag in ("fieldset", "legend")]
        assert groups == ["fieldset", "legend"] * (len(groups) // 2), name


def test_the_record_is_judged_with_the_keyboard_alone_and_without_a_time_limit(ward: World) -> None:
    page = dict(pages(ward))["judge"]
    outline = Outline(page)
    fields = [a for tag in ("input", "textarea", "button") for a in outline.all(tag) if a.get("type") != "hidden"]
    assert not [a for a in fields if a.get("tabindex") not in (None, "0", "-1")]
    assert {a["name"] for a in outline.all("input") if a.get("type") == "radio"} == {"guess", "sure", "plausible"}
    assert "http-equiv" not in page


def test_what_was_typed_is_kept_when_the_answer_is_not_whole(ward: World) -> None:
    page = dict(pages(ward))["half an answer"]
    assert 'role="alert"' in page
    assert "say all three" in page
    assert re.search(r'value="synthetic" required checked', page)
    assert ">typed</textarea>" in page


def test_the_code_stands_in_no_address_and_no_log(ward: World) -> None:
    code = seat(ward, "first")
    for _, page in pages(ward):
        outline = Outline(page)
        addresses = [a.get(k) or "" for _, a in outline.tags for k in ("href", "action", "src")]
        assert not [address for address in addresses if code in address]
    log = "".join(entry.body.decode() for entry in ward.connector.log.entries(limit=1000))
    assert code not in log


def test_records_are_judged_to_the_end_and_told_only_after_the_close(ward: World) -> None:
    reviews = ward.connector.reviews
    open_pages = "".join(text for _, text in pages(ward))
    for name in ("first", "second"):
        browser, code = ward.signed_in(), seat(ward, name)
        mark = mark_of(browser.get("/console/reviews/judge").text)
        while (vignette := reviews.next(code)) is not None:
            answer = {
                "vignette": vignette.name,
                "guess": "real",
                "sure": "2",
                "plausible": "no",
                "reason-1": "combination",
            }
            page = browser.post("/console/reviews/judge", data={"form_mark": mark, "code": code} | answer)
            assert page.status_code == 200
        assert "All records are judged" in page.text
        again = browser.post("/console/reviews/judge", data={"form_mark": mark, "code": code} | answer)
        assert again.status_code == 422
        assert "given once" in again.text
    open_pages += str(browser.get(f"/console/reviews/{REVIEW}?format=json").json())
    assert reviews.seed(REVIEW).hex() not in open_pages
    person, key = ward.people["data steward"]
    reviews.close(REVIEW, person, key.sign(closing_bytes(REVIEW, "")))
    report = browser.get(f"/console/reviews/{REVIEW}")
    assert Outline(report.text).problems() == []
    assert reviews.seed(REVIEW).hex() in report.text
    twin = browser.get(f"/console/reviews/{REVIEW}?format=json").json()
    assert twin["result"]["synthetic"] == sum(assignment(reviews.seed(REVIEW), SIZE))
    assert [r["code"] for r in twin["result"]["reasons"]] == ["combination"]

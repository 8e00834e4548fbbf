"""Clinical reviews: where each stands, one record after another for who has a seat, and the figures once it is closed.

Nothing on these pages depends on which records are real before a review is closed. The code of a seat travels in
forms only, never in an address, and no answer can be changed.
"""

from __future__ import annotations

from typing import Any, Final

from synthema.errors import SynthemaError
from synthema.web.console.desk import Desk
from synthema.web.console.pages import Page, Route, Visit

_GUESSES: Final = (("real", "A real patient"), ("synthetic", "A synthetic record"), ("known", "I know this patient"))
_PLAUSIBLE: Final = (("yes", "Plausible: this could be a patient"), ("no", "Implausible: no patient is like this"))
_REASON: Final = "reason-"


def list_reviews(desk: Desk, _visit: Visit) -> Page:
    """The reviews, the newest first, and the outputs that wait for one."""
    value = desk.ask("review/list")
    words = ("--title", "TITLE", "--vignettes", "60", "--reviewers", "3", "--person", "PERSON", "--key", "YOUR-KEY.pem")
    commands = {each["run"]: desk.command("review", "open", each["run"], *words) for each in value["waiting"]}
    return Page("reviews.html", "Clinical reviews: people judge what was made", value, {"commands": commands})


def show_review(desk: Desk, visit: Visit) -> Page:
    """How far a review is; its figures once it is closed."""
    value = desk.ask("review/status", review=visit.path["review"])
    if value["state"] == "closed":
        value = desk.ask("review/report", review=value["review"])
        return Page("review_report.html", f"Review: {value['title']}", value)
    signed = ("--person", "PERSON", "--key", "YOUR-KEY.pem")
    commands = {
        "join": desk.command("review", "join", value["review"], *signed),
        "close": desk.command("review", "close", value["review"], *signed),
    }
    return Page("review_status.html", f"Review: {value['title']}", value, {"commands": commands})


def ask_for_code(_desk: Desk, _visit: Visit) -> Page:
    """The way in for who has a seat."""
    return Page("review_seat.html", "Judge records: your seat", {"asked": "code"}, {"problem": None})


def judge(desk: Desk, visit: Visit) -> Page:
    """Keep the answer that was sent, if one was, and show the record that comes next."""
    code, problem = visit.form.text("code").strip(), None
    try:
        if visit.form.text("vignette"):
            problem = _kept(desk, visit, code)
        found = desk.ask("review/next", code=code)
    except SynthemaError as error:
        value = {"asked": "code", "error": error.as_dict()}
        return Page("review_seat.html", "Judge records: your seat", value, {"problem": error}, status=422)
    shown = found["vignette"]
    more = {
        "code": code,
        "problem": problem,
        "given": _given(visit, shown),
        "guesses": _GUESSES,
        "plausible": _PLAUSIBLE,
        "reason": _REASON,
    }
    title = "All records are judged" if shown is None else f"Record {shown['number']} of {shown['of']}"
    return Page("review_judge.html", title, found, more, status=422 if problem else 200)


def _kept(desk: Desk, visit: Visit, code: str) -> SynthemaError | None:
    """Keep the answer of a form; what is wrong with it, if it was not kept."""
    try:
        desk.ask("review/answer", code=code, vignette=visit.form.text("vignette"), **_answer(visit))
    except SynthemaError as error:
        return error
    return None


def _answer(visit: Visit) -> dict[str, Any]:
    guess, sure, plausible = (visit.form.text(name) for name in ("guess", "sure", "plausible"))
    if guess == "known":
        return {"recognised": True}
    return {
        "guess": guess or None,
        "confidence": int(sure) if sure in ("1", "2", "3") else None,
        "plausible": {"yes": True, "no": False}.get(plausible),
        "reasons": _reasons(visit) if plausible == "no" else [],
        "remark": visit.form.text("remark").strip(),
    }


def _reasons(visit: Visit) -> list[str]:
    return [value for name, value in sorted(visit.form.fields.items()) if name.startswith(_REASON)]


def _given(visit: Visit, shown: dict[str, Any] | None) -> dict[str, Any]:
    """What was typed of an answer that was not kept, so that nobody has to type it again; nothing for a new record."""
    same = shown is not None and shown["name"] == visit.form.text("vignette")
    typed = {name: visit.form.text(name) if same else "" for name in ("guess", "sure", "plausible", "remark")}
    return {**typed, "reasons": _reasons(visit) if same else []}


ROUTES = (
    Route("/reviews", list_reviews),
    Route("/reviews/judge", ask_for_code),
    Route("/reviews/judge", judge, "POST"),
    Route("/reviews/{review}", show_review),
)

"""What a site tells a coordinator of its own decisions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from synthema.assembly.disclosing import OWN, PERMITTED, STOPPED, told_of, told_of_error
from synthema.config import RefusalsTell
from synthema.errors import DeniedError, InputError
from synthema.policy.decision import Reason
from synthema.policy.model import LawReference, Layer

LAW = Reason(
    Layer.UNION, None, None, "prohibition", (LawReference("EHDS", "54(c)", "http://eli"),), "No advertising.",
    actual="dpv:Advertising",
)  # fmt: skip
SITE = Reason(Layer.SITE, None, None, "permission", (), "The privacy loss is at most 4.", actual=12.0)
AGREED = Reason(Layer.AGREEMENT, None, None, "permission", (), "The agreement allows ε up to 6.", actual=12.0)


def answer(effect: str, *reasons: Reason, notes: tuple[str, ...] = ()) -> Any:
    decision = SimpleNamespace(
        effect=effect, digest="sha256:1", reasons=reasons,
        sentences=lambda: ("Denied.", "You asked for 12, we allow 4."),
        as_dict=lambda: {"reasons": "all of them"},
    )  # fmt: skip
    return SimpleNamespace(run="run-1", decision=decision, notes=notes, grant=None)


@pytest.mark.parametrize(("tells", "reasons", "said"), [
    ("nothing", (LAW, SITE), [STOPPED]),
    ("law", (LAW,), ["No advertising. (EHDS 54(c))"]),
    ("law", (LAW, SITE, AGREED), ["No advertising. (EHDS 54(c))", "The agreement allows ε up to 6.", OWN]),
    ("law", (SITE,), [OWN]),
    ("law", (), [OWN]),
])  # fmt: skip
def test_a_refusal_says_what_the_house_chose(tells: RefusalsTell, reasons: tuple[Reason, ...], said: list[str]) -> None:
    told = told_of(answer("deny", *reasons), tells)
    assert told == {"run": "run-1", "effect": "deny", "decisionDigest": "sha256:1", "sentences": said}
    assert "12" not in str(told)


def test_a_house_may_tell_everything() -> None:
    told = told_of(answer("deny", SITE, notes=("A measure is missing.",)), "everything")
    assert told["sentences"] == ["Denied.", "You asked for 12, we allow 4.", "A measure is missing."]
    assert told["decision"] == {"reasons": "all of them"}


def test_a_permission_is_no_story_either() -> None:
    assert told_of(answer("permit", SITE), "law")["sentences"] == [PERMITTED]
    assert told_of(answer("permit", notes=("a measure is missing",)), "law")["sentences"] == [OWN]


def test_an_error_is_told_only_where_it_is_about_what_was_sent() -> None:
    inside = DeniedError("48 of 50 patients are left", fix="ask again")
    outside = InputError("the plan's codebook is not the one here", fix="take the one of the catalogue")
    assert told_of_error(inside, "nothing") == told_of_error(inside, "law") == STOPPED
    assert told_of_error(inside, "everything") == inside.message
    assert told_of_error(outside, "law") == outside.message
    assert told_of_error(outside, "nothing") == STOPPED

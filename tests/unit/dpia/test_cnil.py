"""The exports here are made up from the form's structure; nothing in them was copied, and the names are of nobody."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from synthema.dpia import read_dpia
from synthema.dpia.cnil import CONTEXT, MISSING, PRINCIPLES, import_cnil, plain_text
from synthema.errors import InputError

QUESTIONS = [*CONTEXT, *PRINCIPLES, *(first + n for first in (320, 330, 340) for n in range(1, 7))]


def answer(question: int, text: str | None = None, gauge: int | None = 0, items: list[str] | None = None) -> Any:
    return {"pia_id": 1, "id": question, "reference_to": question, "created_at": "2026-01-01T00:00:00.000Z",
            "data": {"text": text, "gauge": gauge, "list": items or []}}  # fmt: skip


HEAD = {
    "id": 1,
    "status": 3,
    "dbVersion": 201707071818,
    "name": "Registre d'hémopathies rares",
    "category": "health",
    "author_name": "Author Nobody",
    "evaluator_name": "Evaluator Nobody",
    "validator_name": "Validator Nobody",
    "dpos_names": "Officer Nobody (DPO)",
    "people_names": "Patient Nobody",
    "dpo_status": 1,
    "dpo_opinion": "In favour, signed Officer Nobody.",
    "concerned_people_searched_opinion": True,
    "concerned_people_searched_content": "",
    "concerned_people_opinion": "The panel agrees.",
    "rejection_reason": "Incomplete at first",
    "applied_adjustments": "Storage limited",
}
MEASURES = [
    {"pia_id": 1, "title": "Chiffrement des données", "content": "<p>AES on all disks</p>", "placeholder": "x"},
    {"pia_id": 1, "title": "Alone", "content": "<p>Named by no risk</p>"},
]
EVALUATION = {
    "pia_id": 1,
    "reference_to": "2.1",
    "status": 3,
    "evaluation_comment": "Acceptable",
    "action_plan_comment": "Shorten storage",
    "estimated_implementation_date": "2027-03-01T00:00:00.000Z",
    "person_in_charge": "Charge Nobody",
    "gauges": {"x": 0, "y": 0},
}
COMMENT = {"pia_id": 1, "reference_to": "121", "description": "Ask Charge Nobody", "for_measure": False}


def export() -> dict[str, Any]:
    """A whole export as the tool writes one."""
    answers = [answer(q, f"<p>Answer <strong>{q}</strong></p>") for q in [*CONTEXT, *PRINCIPLES]]
    for first in (320, 330, 340):
        answers += [
            answer(first + 1, None, None, ["Distress", "Loss of work"]),
            answer(first + 2, None, None, ["Theft of a disk"]),
            answer(first + 3, None, None, ["An intruder"]),
            answer(first + 4, None, None, ["Chiffrement des données", "Backups"]),
            answer(first + 5, "<p>Severe, says Author Nobody.</p>", 3),
            answer(first + 6, "<p>Unlikely</p>", 2),
        ]
    parts = {"pia": HEAD, "answers": answers, "measures": MEASURES, "evaluations": [EVALUATION], "comments": [COMMENT]}
    return dict(json.loads(json.dumps(parts)))


def draft(value: Any) -> Any:
    return import_cnil(json.dumps(value).encode(), "cnil.json")


def test_everything_that_was_written_is_kept() -> None:
    made = draft(export())
    document = yaml.safe_load(made.yaml)
    assert document == made.document
    assert document["title"] == "Registre d'hémopathies rares"
    assert document["id"] == "registre-d-hemopathies-rares"
    for question, field in CONTEXT.items():
        assert document["processing"][field] == f"Answer {question}"
    for question, field in PRINCIPLES.items():
        assert document["principles"][field] == f"Answer {question}"
    risk = document["risks"][0]
    assert risk["impacts"] == "- Distress\n- Loss of work"
    assert (risk["threats"], risk["sources"]) == ("- Theft of a disk", "- An intruder")
    assert (risk["residual"]["severity"], risk["residual"]["likelihood"]) == (3, 2)
    assert risk["measures"] == ["chiffrement-des-donnees", "backups"]
    assert [m["id"] for m in document["measures"]] == ["chiffrement-des-donnees", "alone", "backups"]
    assert "AES on all disks" in document["measures"][0]["sentence"]
    assert [r["feared_event"] for r in document["risks"]] == [
        "illegitimate access", "unwanted modification", "disappearance",
    ]  # fmt: skip
    assert document["plan"][0] == {
        "id": "evaluation-1", "sentence": "Shorten storage", "responsible": "the person in charge", "due": "2027-03-01",
    }  # fmt: skip
    assert document["views"] == {
        "sought": True, "text": "The panel agrees.", "with_whom": "the persons concerned or their representatives",
    }  # fmt: skip
    assert document["opinion"]["favourable"] is True
    notes = {note["about"]: note["text"] for note in document["notes"]}
    assert notes["CNIL evaluation 2.1"] == "Acceptable"
    assert notes["CNIL comment 121"] == "Ask the person in charge"
    assert notes["CNIL reason for rejection"] == "Incomplete at first"
    assert notes["CNIL applied adjustments"] == "Storage limited"
    assert notes["CNIL category"] == "health"


def test_no_name_of_a_person_is_kept_and_the_draft_says_so() -> None:
    made = draft(export())
    assert "Nobody" not in made.yaml
    assert made.document["roles"] == {"author": "author", "evaluator": "evaluator", "validator": "validator"}
    assert "In favour, signed the data protection officer." in made.document["opinion"]["text"]
    assert "says the author" in made.document["risks"][0]["residual"]["sentence"]
    assert any("kept as roles only" in line for line in made.left_out)
    assert "Other names may stand in the texts" in made.yaml


def test_what_the_form_cannot_say_is_listed() -> None:
    made = draft(export())
    told = "\n".join(made.to_add)
    for word in ("metrics:", "gates:", "plugin", "before measures", "necessity and proportionality", "review_due"):
        assert word in told
    with pytest.raises(InputError):  # a draft is none that could be executed
        read_dpia(made.yaml.encode(), "dpia.yaml")
    assert all(f"# - {line}" in made.yaml for line in made.to_add)


def test_an_empty_export_is_a_draft_with_everything_to_write() -> None:
    made = draft({"pia": {"name": "x"}})
    assert made.document["processing"]["description"] == MISSING
    assert any("illegitimate-access has no severity and no likelihood" in line for line in made.to_add)
    assert any("nothing was written for description" in line for line in made.to_add)


def test_a_whole_form_has_thirty_six_questions() -> None:
    assert len(QUESTIONS) == len(set(QUESTIONS)) == 36


def changed(change: Any) -> bytes:
    value = export()
    change(value)
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"{", "not valid JSON"),
        (b"[]", "valid dictionary|should be"),
        (b'{"pia": {"name": "a", "name": "b"}}', "same key twice"),
        (b'{"answers": []}', "pia: Field required"),
        (changed(lambda v: v["answers"][0].update(reference_to="121")), r"answers.0.reference_to"),
        (changed(lambda v: v["answers"][3]["data"].update(gauge=5)), r"answers.3.data.gauge"),
        (changed(lambda v: v["answers"][3]["data"].update(gauge=True)), r"answers.3.data.gauge"),
        (changed(lambda v: v["answers"][3]["data"].update(text=["x"])), r"answers.3.data.text"),
        (changed(lambda v: v["answers"][3]["data"].update(list="x")), r"answers.3.data.list"),
        (changed(lambda v: v["answers"][3].pop("data")), r"answers.3.data: Field required"),
        (changed(lambda v: v["answers"].append(v["answers"][0])), r"answers.36.reference_to: question 111"),
        (changed(lambda v: v["measures"].append("x")), r"measures.2"),
        (changed(lambda v: v["pia"].update(dpo_opinion=7)), r"pia.dpo_opinion"),
        (changed(lambda v: v.update(comments={})), r"comments"),
    ],
)
def test_bad_input_is_named_by_its_field(data: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said) as error:
        import_cnil(data, "cnil.json")
    assert error.value.where == "cnil.json"


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>One</p><p>Two &amp; three</p>", "One\nTwo & three"),
        ("<ul><li>a</li><li>b</li></ul>", "- a\n- b"),
        ("a<br />b<br>c", "a\nb\nc"),
        ("<script>alert(1)</script>x<style>y</style>", "x"),
        ("  wide\u00a0 space  ", "wide space"),
        ("a\x07b", "ab"),
        ("2 < 3 and 4 > 3", "2 < 3 and 4 > 3"),
        ("", ""),
    ],
)
def test_markup_becomes_plain_text(markup: str, text: str) -> None:
    assert plain_text(markup) == text

"""Reads the JSON export of the CNIL's PIA tool into a draft of ours: its structure only, and no personal names.

Everything that was written is kept: each answer in the field that asks the same, gauges as
levels, and what has no field as a note. Names of authors, evaluators, validators and
officers are replaced by their roles, also where they appear in a text. What that form
cannot say (figures, thresholds, who carries a measure out) is listed as still to be added.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from synthema.canonical import parse_json_strictly
from synthema.dpia.load import SCHEMA_LINE, yaml_text
from synthema.dpia.parts import FearedEvent
from synthema.errors import InputError

MISSING: Final = "[to be written: the import held nothing here]"

CONTEXT: Final = {
    111: "description",
    112: "responsibilities",
    113: "standards",
    121: "data",
    122: "life_cycle",
    123: "assets",
}
PRINCIPLES: Final = {
    211: "purposes",
    212: "lawfulness",
    213: "minimisation",
    214: "accuracy",
    215: "storage",
    221: "information",
    222: "consent",
    223: "access",
    224: "rectification",
    225: "objection",
    226: "processors",
    227: "transfers",
}
RISKS: Final[dict[int, tuple[str, FearedEvent, str]]] = {
    320: ("illegitimate-access", "illegitimate access", "risk:ConfidentialityBreach"),
    330: ("unwanted-modification", "unwanted modification", "risk:UnauthorisedDataModification"),
    340: ("disappearance", "disappearance", "risk:DataLoss"),
}
"""First number of each risk's six questions: impacts, threats, sources, measures, severity, likelihood."""

_ROLES: Final = {
    "author_name": "the author",
    "evaluator_name": "the evaluator",
    "validator_name": "the validator",
    "dpos_names": "the data protection officer",
    "people_names": "the persons concerned",
}
_TECHNICAL: Final = frozenset(
    {"id", "pia_id", "dbVersion", "tableName", "serverUrl", "objectStore", "numberOfQuestions", "status", "progress",
     "created_at", "updated_at", "is_example", "is_archive", "structure_id", "structure_name", "structure_sector_name",
     "structure_data", "requested_hiss", "hiss", "lock_version", "global_status"}
)  # fmt: skip


class _Read(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", frozen=True)


class CnilPia(_Read):
    """The head of an export."""

    name: str = ""
    author_name: str | None = None
    evaluator_name: str | None = None
    validator_name: str | None = None
    dpos_names: str | None = None
    people_names: str | None = None
    dpo_status: int | None = None
    dpo_opinion: str | None = None
    concerned_people_searched_opinion: bool | None = None
    concerned_people_searched_content: str | None = None
    concerned_people_status: int | None = None
    concerned_people_opinion: str | None = None
    rejection_reason: str | None = None


class CnilData(_Read):
    """What was answered: text with markup, a gauge from 1 to 4 (0 or null is none), a list of words."""

    text: str | None = None
    gauge: int | None = Field(default=None, ge=0, le=4)
    items: list[str] | None = Field(default=None, alias="list")


class CnilAnswer(_Read):
    """An answer to one question."""

    reference_to: int
    data: CnilData


class CnilMeasure(_Read):
    """A measure in free words."""

    title: str | None = None
    content: str | None = None


class CnilEvaluation(_Read):
    """An evaluator's judgement of a section, with the action plan for it."""

    reference_to: str | int | None = None
    evaluation_comment: str | None = None
    action_plan_comment: str | None = None
    estimated_implementation_date: str | None = None
    person_in_charge: str | None = None


class CnilComment(_Read):
    """A remark beside a question or measure."""

    reference_to: str | int | None = None
    description: str | None = None


class CnilExport(_Read):
    """The whole export."""

    pia: CnilPia
    answers: list[CnilAnswer] = []
    measures: list[CnilMeasure] = []
    evaluations: list[CnilEvaluation] = []
    comments: list[CnilComment] = []


@dataclass(frozen=True, slots=True)
class CnilDraft:
    """A draft in our form: its YAML, what must be added before it can be executed, and what was left out."""

    yaml: str
    document: dict[str, Any]
    to_add: tuple[str, ...]
    left_out: tuple[str, ...]


def import_cnil(data: bytes, source: str = "cnil.json") -> CnilDraft:
    """Read an export; raises :class:`InputError` naming the field that is wrong."""
    try:
        value = parse_json_strictly(data)
    except InputError as error:
        raise InputError(error.message, where=source, fix=error.fix) from error
    try:
        export = CnilExport.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the export"
        raise InputError(
            f"{field}: {first['msg']}", where=source, fix="export the assessment again as JSON from the PIA tool"
        ) from error
    seen: set[int] = set()
    for n, answer in enumerate(export.answers):
        if answer.reference_to in seen:
            raise InputError(
                f"answers.{n}.reference_to: question {answer.reference_to} is answered twice",
                where=source,
                fix="keep one of the two answers",
            )
        seen.add(answer.reference_to)
    return _Draft(export).made()


class _Draft:
    """Builds the draft from an export."""

    def __init__(self, export: CnilExport) -> None:
        self._export = export
        self._answers = {answer.reference_to: answer.data for answer in export.answers}
        self._names = _names(export)
        self._to_add: list[str] = []

    def made(self) -> CnilDraft:
        pia = self._export.pia
        document: dict[str, Any] = {
            "id": _identifier(pia.name) or "imported",
            "version": "0.1",
            "title": self._text(pia.name) or MISSING,
            "roles": {
                key: role
                for key, name, role in (
                    ("author", pia.author_name, "author"),
                    ("evaluator", pia.evaluator_name, "evaluator"),
                    ("validator", pia.validator_name, "validator"),
                )
                if name
            },
            "processing": self._section(CONTEXT)
            | {"datasets": ["*"], "actions": [], "purposes": [], "data_categories": [], "legal_bases": []},
            "principles": {"necessity": MISSING, "proportionality": MISSING} | self._section(PRINCIPLES),
            "views": self._views(),
            "risks": [self._risk(*item) for item in RISKS.items()],
            "measures": self._measures(),
            "metrics": [],
            "gates": [],
            "plan": self._plan(),
            "opinion": self._opinion(),
            "notes": list(self._notes()),
        }
        to_add = tuple(self._missing(document))
        left_out = _left_out(self._names)
        head = "".join(f"# {line}\n" for line in _head(to_add, left_out))
        return CnilDraft(SCHEMA_LINE + head + yaml_text(document), document, to_add, left_out)

    def _text(self, markup: str | None) -> str:
        """Plain text of an answer, with names of persons replaced by roles."""
        text = plain_text(markup or "")
        for name, role in self._names:
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", role, text, flags=re.IGNORECASE)
        return text

    def _answer(self, question: int) -> str:
        found = self._answers.get(question)
        if found is None:
            return ""
        listed = "\n".join(f"- {self._text(item)}" for item in found.items or [] if item.strip())
        return "\n".join(part for part in (self._text(found.text), listed) if part)

    def _gauge(self, question: int) -> int | None:
        found = self._answers.get(question)
        return (found.gauge or None) if found is not None else None

    def _section(self, questions: Mapping[int, str]) -> dict[str, str]:
        return {field: self._answer(question) or MISSING for question, field in questions.items()}

    def _views(self) -> dict[str, Any]:
        pia = self._export.pia
        sought = bool(pia.concerned_people_searched_opinion)
        text = self._text(pia.concerned_people_opinion if sought else pia.concerned_people_searched_content)
        found: dict[str, Any] = {"sought": sought, "text": text or MISSING}
        if pia.people_names:
            found["with_whom"] = "the persons concerned or their representatives"
        return found

    def _risk(self, first: int, what: tuple[str, FearedEvent, str]) -> dict[str, Any]:
        name, event, kind = what
        severity, likelihood = self._gauge(first + 5), self._gauge(first + 6)
        level = {"severity": severity, "likelihood": likelihood}
        reasons = [text for text in (self._answer(first + 5), self._answer(first + 6)) if text]
        return {
            "id": name,
            "type": kind,
            "feared_event": event,
            "sentence": f"{event.capitalize()} of personal data.",
            "impacts": self._answer(first + 1),
            "threats": self._answer(first + 2),
            "sources": self._answer(first + 3),
            "before": {"severity": None, "likelihood": None},
            "measures": [_identifier(title) for title in self._titles_for(first + 4)],
            "residual": level | {"sentence": "\n".join(reasons) or MISSING},
        }

    def _titles_for(self, question: int) -> list[str]:
        """The measures a risk names: by their titles, in the list of its fourth question."""
        found = self._answers.get(question)
        named = [plain_text(item) for item in (found.items or [])] if found is not None else []
        return list(dict.fromkeys(name for name in named if _identifier(name)))

    def _measures(self) -> list[dict[str, Any]]:
        kept = {}
        for measure in self._export.measures:
            title, content = self._text(measure.title), self._text(measure.content)
            if _identifier(title):
                kept[_identifier(title)] = "\n".join(part for part in (title, content) if part)
        for first in RISKS:
            for title in self._titles_for(first + 4):
                kept.setdefault(_identifier(title), self._text(title))
        return [
            {"id": name, "type": None, "sentence": sentence, "capability": None, "metrics": []}
            for name, sentence in kept.items()
        ]

    def _plan(self) -> list[dict[str, Any]]:
        plan = []
        for number, evaluation in enumerate(self._export.evaluations, 1):
            sentence = self._text(evaluation.action_plan_comment)
            if sentence:
                due = (evaluation.estimated_implementation_date or "")[:10]
                plan.append(
                    {
                        "id": f"evaluation-{number}",
                        "sentence": sentence,
                        "responsible": "the person in charge" if evaluation.person_in_charge else MISSING,
                        "due": due or None,
                    }
                )
        return plan

    def _opinion(self) -> dict[str, Any]:
        pia = self._export.pia
        favourable = {0: False, 1: True}.get(pia.dpo_status if pia.dpo_status is not None else -1)
        text = self._text(pia.dpo_opinion) or MISSING
        return {"given_on": None, "favourable": favourable, "text": text, "role": "data protection officer"}

    def _notes(self) -> Iterator[dict[str, str]]:
        told = {*CONTEXT, *PRINCIPLES, *(first + n for first in RISKS for n in range(1, 7))}
        for question in self._answers:
            if question not in told and self._answer(question):
                yield {"about": f"CNIL answer {question}", "text": self._answer(question)}
        for evaluation in self._export.evaluations:
            if text := self._text(evaluation.evaluation_comment):
                yield {"about": f"CNIL evaluation {evaluation.reference_to or ''}".strip(), "text": text}
        for comment in self._export.comments:
            if text := self._text(comment.description):
                yield {"about": f"CNIL comment {comment.reference_to or ''}".strip(), "text": text}
        yield from self._rest_of_head()

    def _rest_of_head(self) -> Iterator[dict[str, str]]:
        pia = self._export.pia
        if text := self._text(pia.rejection_reason):
            yield {"about": "CNIL reason for rejection", "text": text}
        if pia.concerned_people_searched_opinion and (text := self._text(pia.concerned_people_searched_content)):
            yield {"about": "CNIL search for views", "text": text}
        if not pia.concerned_people_searched_opinion and (text := self._text(pia.concerned_people_opinion)):
            yield {"about": "CNIL views of persons", "text": text}
        for key, value in (pia.model_extra or {}).items():
            kept = isinstance(value, str) and key not in _TECHNICAL and not key.endswith(("_name", "_names"))
            if kept and (text := self._text(value)):
                yield {"about": f"CNIL {key.replace('_', ' ')}"[:200], "text": text}

    def _missing(self, document: dict[str, Any]) -> Iterator[str]:
        yield "metrics: what is measured, how, on whom, in which unit (the CNIL form has no figures)"
        yield "gates: the threshold of each figure, when it is checked, how old its evidence may be"
        yield "measures: the kind of each (DPV), and the plugin, part of the connector or people that carry it out"
        yield "risks: severity and likelihood before measures; the CNIL form gives one level, taken as what remains"
        yield "processing: actions, purposes, categories of data and legal bases as terms; the datasets covered"
        yield "principles: necessity and proportionality in a sentence each (GDPR Art. 35(7)(b))"
        yield "outcome, review_due and triggers; the day of the officer's opinion"
        for risk in document["risks"]:
            gauges = [name for name in ("severity", "likelihood") if risk["residual"][name] is None]
            if gauges:
                yield f"risks: {risk['id']} has no {' and no '.join(gauges)}"
        for part in ("processing", "principles"):
            empty = [key for key, text in document[part].items() if text == MISSING]
            if empty:
                yield f"{part}: nothing was written for {', '.join(empty)}"


def plain_text(markup: str) -> str:
    """The text of an answer without its markup: paragraphs as lines, list items as dashes."""
    reader = _Plain()
    reader.feed(markup)
    reader.close()
    text = unicodedata.normalize("NFC", "".join(reader.parts)).replace("\u00a0", " ")
    text = re.sub("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]", "", text)
    lines = [re.sub(r"[ \t]+", " ", line).strip() for line in text.split("\n")]
    return re.sub(r"\n{2,}", "\n", "\n".join(lines)).strip()


class _Plain(HTMLParser):
    """Collects text; what a browser would not show is left out."""

    _BREAKS: Final = frozenset({"br", "p", "div", "ul", "ol", "tr", "h1", "h2", "h3", "h4"})
    _UNSEEN: Final = frozenset({"script", "style"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._unseen = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._unseen += tag in self._UNSEEN
        if tag == "li":
            self.parts.append("\n- ")
        elif tag in self._BREAKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._unseen -= tag in self._UNSEEN and self._unseen > 0
        if tag in self._BREAKS - {"br"}:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.parts.append(data)


def _names(export: CnilExport) -> list[tuple[str, str]]:
    """Names of persons in the export with the role that stands for each, the longest first."""
    found: dict[str, str] = {}
    for field, role in _ROLES.items():
        if field == "people_names":  # may name a group; it is not kept, but need not be a person's name
            continue
        for name in re.split(r"[,;/\n]| et | and ", getattr(export.pia, field) or ""):
            bare = re.sub(r"\(.*?\)", "", name).strip()
            if len(bare) > 2:
                found.setdefault(bare, role)
    for evaluation in export.evaluations:
        if evaluation.person_in_charge and len(evaluation.person_in_charge.strip()) > 2:
            found.setdefault(evaluation.person_in_charge.strip(), "the person in charge")
    return sorted(found.items(), key=lambda item: -len(item[0]))


def _left_out(names: list[tuple[str, str]]) -> tuple[str, ...]:
    roles = sorted({role for _, role in names})
    said = [f"names of persons: kept as roles only ({', '.join(roles)})"] if roles else []
    return (*said, "numbers and times of the PIA tool itself; markup of texts")


def _head(to_add: tuple[str, ...], left_out: tuple[str, ...]) -> Iterator[str]:
    yield "A draft, imported from the CNIL's PIA tool. It cannot be executed yet. To be added:"
    yield from (f"- {line}" for line in to_add)
    yield "Not taken over:"
    yield from (f"- {line}" for line in left_out)
    yield "Other names may stand in the texts: read them before you hand the assessment on."


def _identifier(text: str) -> str:
    """A short name made of a title: letters without accents, digits, hyphens."""
    bare = unicodedata.normalize("NFKD", plain_text(text)).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", bare).strip("-0123456789")[:79].rstrip("-")

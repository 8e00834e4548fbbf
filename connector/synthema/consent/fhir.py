"""Reads FHIR R4 Consent resources: a Bundle, one resource, or NDJSON as bulk export gives it.

The shape is checked by ``fhir.resources`` (its R4B models; Consent is the same in R4 and R4B).
What a resource means is read strictly on top: a provision that cannot be understood in full, a
modifier extension, or a consent of another scope is refused, since to leave out a restriction
would be to permit more than the person did.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from pydantic import ValidationError

from synthema.canonical import parse_json_strictly
from synthema.clock import from_text
from synthema.consent.age import representative
from synthema.consent.incoming import LARGEST_FILE, ConsentLine, ConsentList, Problem, Reading
from synthema.consent.model import ConsentItem, ConsentState, Representative, start_of
from synthema.errors import InputError
from synthema.vocabulary import load_vocabulary
from synthema.vocabulary.namespaces import SYN, expand

SCOPE = "http://terminology.hl7.org/CodeSystem/consentscope"
REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
ITEMS = SYN + "consent-item"
"""Code system of our own for the boxes of a form; its codes are those of :class:`ConsentItem`."""

_PURPOSES = {
    "HRESCH": expand("ehds:HealthcareScientificResearch"),
    "PUBHLTH": SYN + "Art53-1-a",
    "HQUALIMP": SYN + "Art53-1-f",
}
_STATES = {
    "draft": ConsentState.REQUESTED,
    "proposed": ConsentState.REQUESTED,
    "rejected": ConsentState.REFUSED,
    "inactive": ConsentState.WITHDRAWN,
    "entered-in-error": ConsentState.INVALIDATED,
}
_UNDERSTOOD = frozenset({"type", "period", "purpose", "action", "code", "provision", "id"})
_PARENTS = frozenset({"PRN", "MTH", "FTH", "NMTH", "NFTH", "ADOPTP", "PRNFOST", "STPPRN"})
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")

Json = Mapping[str, Any]


def parse_fhir(text: str, where: str, reading: Reading) -> ConsentList:
    """Read every Consent in a Bundle, a resource, a list of resources or NDJSON.

    The state follows ``status``; an ``active`` one is given or refused as its ``provision`` says. The
    patient's key is ``patient.identifier.value``, or the last part of ``patient.reference``. Where a
    RelatedPerson agreed, the Bundle must hold the Patient with the date of birth, which is not
    kept. Raises :class:`InputError` where there is nothing to read, or ``fhir.resources`` is not installed.
    """
    resources = list(_resources(text, where))
    people = {f"{r['resourceType']}/{r['id']}": r for _, r in resources if "id" in r}
    reader = _Reader(people, reading)
    problems: list[Problem] = []
    found: list[ConsentLine] = []
    for place, resource in resources:
        if resource["resourceType"] != "Consent":
            continue
        try:
            found.append(reader.line(place, resource))
        except _NotUnderstoodError as error:
            problems += error.problems
    if not found and not problems:
        raise InputError("there is no Consent in this file", where=where, fix="export the resources of type Consent")
    problems += _rivals(found)
    return ConsentList(tuple(sorted(found, key=_in_order)), has_opt_outs=False, problems=tuple(problems))


class _NotUnderstoodError(Exception):
    """Why a resource cannot be taken in."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__()
        self.problems = problems


class _Reader:
    """Turns resources into lines."""

    def __init__(self, people: Mapping[str, Json], reading: Reading) -> None:
        self._people = people
        self._reading = reading
        self._model = _consent_model()

    def line(self, place: str, resource: Json) -> ConsentLine:
        """One Consent; raises with everything that is wrong with it."""
        self._check_shape(place, resource)
        _refuse_modifiers(resource, place)
        at = _moment(resource.get("dateTime"), place, "dateTime")
        if at > self._reading.now:
            raise _wrong(place, "dateTime", "lies in the future")
        provision = resource.get("provision") or {}
        status = resource["status"]
        agreed = _Agreed(place, provision, _scope(resource, place)) if status == "active" else None
        if status != "active" and status not in _STATES:
            raise _wrong(place, "status", "is not a status of a Consent", "use one of FHIR R4's")
        state = _STATES[status] if agreed is None else agreed.state
        if agreed is not None and any(check.get("verified") is False for check in resource.get("verification", [])):
            state = ConsentState.REQUESTED  # said to be given, but nobody confirmed it
        policies = resource.get("policy") or [{}]
        source = resource.get("id") or next((i["value"] for i in resource.get("identifier", []) if "value" in i), "")
        meta = resource.get("meta") or {}
        version = str(meta.get("versionId") or meta.get("lastUpdated") or "")
        return ConsentLine(
            where=place,
            patient_key=_patient(resource, place),
            state=state,
            date=at,
            items=frozenset() if agreed is None else agreed.items,
            purposes=frozenset() if agreed is None else agreed.purposes,
            valid_from=_start(provision, place),
            valid_to=_end(provision, place),
            notice_version=policies[0].get("uri"),
            representative=self._representative(resource, place, at) if agreed is not None else None,
            source=(source, version) if source else None,
        )

    def _check_shape(self, place: str, resource: Json) -> None:
        try:
            self._model.model_validate(resource)
        except ValidationError as error:
            raise _NotUnderstoodError(
                *(
                    Problem(
                        place, problem["msg"], ".".join(str(part) for part in problem["loc"]), "see FHIR R4 Consent"
                    )
                    for problem in error.errors(include_input=False)
                )
            ) from None

    def _representative(self, resource: Json, place: str, at: datetime) -> Representative | None:
        performers = [str(each.get("reference", "")) for each in resource.get("performer", [])]
        related = [each for each in performers if each.startswith("RelatedPerson/")]
        if not related:
            return None
        codes = {
            coding.get("code")
            for relation in self._people.get(related[0], {}).get("relationship", [])
            for coding in relation.get("coding", [])
        }
        patient = self._people.get(str(resource["patient"].get("reference", "")), {})
        born = patient.get("birthDate")
        country = next((a["country"] for a in patient.get("address", []) if len(a.get("country", "")) == 2), None)
        if not isinstance(born, str) or not _DAY.fullmatch(born):
            raise _wrong(
                place,
                "performer",
                "a related person agreed, and until when that counts cannot be told",
                "export the Patient with its full birthDate in the same Bundle",
            )
        kind = "parent" if codes & _PARENTS else "guardian"
        try:
            return representative(
                kind, at.date(), born=date.fromisoformat(born), country=country, ages=self._reading.ages
            )
        except (InputError, ValueError) as error:
            raise _wrong(place, "performer", getattr(error, "message", "the birthDate is no day")) from None


class _Agreed:
    """What the provisions of an active Consent permit."""

    def __init__(self, place: str, root: Json, scope_purpose: str | None) -> None:
        self._place = place
        kind = self._kind(root, "provision")
        permitted, items = self._said(root, "provision")
        if kind == "permit":
            purposes = permitted or ({scope_purpose} if scope_purpose else set())
            if not purposes:
                raise _wrong(place, "provision.purpose", "no purpose is named", "name one, e.g. HRESCH")
        elif permitted or items:
            raise _wrong(place, "provision", "a refusal of single purposes does not say what is permitted")
        else:
            purposes = set()
        for index, inner in enumerate(root.get("provision") or []):
            path = f"provision.provision[{index}]"
            named, ticked = self._said(inner, path)
            if self._kind(inner, path) == kind or not (named or ticked) or inner.get("provision"):
                raise _wrong(place, path, "is not a plain exception to the rule above it", "state single exceptions")
            if inner.get("period"):
                raise _wrong(place, f"{path}.period", "an exception for a time only cannot be kept", "remove it")
            if kind == "permit":
                purposes = self._without(purposes, named, path)
                items -= ticked
            else:
                purposes |= named
                items |= ticked
        self.purposes = frozenset(purposes)
        self.items = frozenset(items | {ConsentItem.SECONDARY_USE}) if purposes else frozenset(items)
        self.state = ConsentState.GIVEN if purposes else ConsentState.REFUSED

    def _kind(self, provision: Json, path: str) -> str:
        kind = provision.get("type")
        if kind not in ("permit", "deny"):
            raise _wrong(self._place, f"{path}.type", "does not say whether it permits", "write permit or deny")
        return str(kind)

    def _said(self, provision: Json, path: str) -> tuple[set[str], set[ConsentItem]]:
        """The purposes and boxes a provision names."""
        odd = sorted(key for key in provision if key.removeprefix("_") not in _UNDERSTOOD)
        if odd:
            raise _wrong(
                self._place, f"{path}.{odd[0]}", "this restriction cannot be kept here", "state it by purpose or box"
            )
        actions = [c.get("code") for a in provision.get("action") or [] for c in a.get("coding", [])]
        if actions and not {"use", "disclose", "access"} & set(actions):
            raise _wrong(
                self._place, f"{path}.action", "permits neither access nor use", "consent is for secondary use"
            )
        purposes = {self._purpose(coding, path) for coding in provision.get("purpose") or []}
        items = {
            self._item(coding, path) for concept in provision.get("code") or [] for coding in concept.get("coding", [])
        }
        return purposes, items

    def _purpose(self, coding: Json, path: str) -> str:
        system, code = str(coding.get("system", "")), str(coding.get("code", ""))
        if system in ("", REASON) and code in _PURPOSES:
            return _PURPOSES[code]
        if system + code in load_vocabulary().purposes:
            return system + code
        raise _wrong(
            self._place,
            f"{path}.purpose",
            f"the purpose '{code[:40]}' is not known",
            f"use {', '.join(_PURPOSES)}, or a purpose of EHDS Art. 53 by its IRI",
        )

    def _item(self, coding: Json, path: str) -> ConsentItem:
        code = str(coding.get("code", ""))
        if coding.get("system") != ITEMS or code not in set(ConsentItem):
            raise _wrong(
                self._place, f"{path}.code", f"the code '{code[:40]}' is not known", f"use codes of {ITEMS} for boxes"
            )
        return ConsentItem(code)

    def _without(self, purposes: set[str], named: set[str], path: str) -> set[str]:
        """The purposes that are left; an exception inside a wider purpose would be lost, so it is refused."""
        known = load_vocabulary().purposes
        for exception in named:
            if any(exception != each and known.is_a(exception, each) for each in purposes):
                raise _wrong(
                    self._place, path, "an exception inside a wider purpose cannot be kept", "name narrower purposes"
                )
        return {each for each in purposes if not any(known.is_a(each, exception) for exception in named)}


def _resources(text: str, where: str) -> Iterator[tuple[str, Json]]:
    """Each resource with where it stands."""
    stripped = text.strip()
    lines = [line for line in stripped.splitlines() if line.strip()]
    if len(lines) > 1 and all(line.lstrip().startswith("{") and line.rstrip().endswith("}") for line in lines):
        for number, line in enumerate(lines, 1):
            yield f"line {number}", _resource(_json(line, f"{where}:{number}"), f"line {number}", where)
        return
    value = _json(stripped, where)
    if isinstance(value, dict) and value.get("resourceType") == "Bundle":
        for index, entry in enumerate(value.get("entry") or []):
            place = f"entry[{index}].resource"
            yield place, _resource(entry.get("resource") if isinstance(entry, dict) else None, place, where)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield f"item {index + 1}", _resource(item, f"item {index + 1}", where)
    else:
        yield "Consent", _resource(value, "Consent", where)


def _json(text: str, where: str) -> Any:
    try:
        return parse_json_strictly(text.encode(), max_bytes=LARGEST_FILE)
    except InputError as error:
        error.where = where
        raise


def _resource(value: Any, place: str, where: str) -> Json:
    if not isinstance(value, dict) or not isinstance(value.get("resourceType"), str):
        raise InputError(f"{place} is not a FHIR resource", where=where, fix="give FHIR R4 as JSON or NDJSON")
    return value


def _consent_model() -> Any:
    try:
        return importlib.import_module("fhir.resources.R4B.consent").Consent
    except ImportError as error:
        raise InputError(
            "reading FHIR needs the package fhir.resources, which is not installed",
            fix="install it with: pip install 'synthema[fhir]'",
        ) from error


def _refuse_modifiers(value: Any, place: str) -> None:
    """A modifier extension may turn the meaning around; FHIR forbids to go on without understanding it."""
    if isinstance(value, dict):
        for key in ("modifierExtension", "implicitRules"):
            if key in value:
                raise _wrong(place, key, "may change what the consent means, and is not understood", "remove it")
        for part in value.values():
            _refuse_modifiers(part, place)
    elif isinstance(value, list):
        for part in value:
            _refuse_modifiers(part, place)


def _scope(resource: Json, place: str) -> str | None:
    """The purpose that the scope stands for: that of a research consent is research."""
    codes = {
        coding.get("code") for coding in resource["scope"].get("coding", []) if coding.get("system", SCOPE) == SCOPE
    }
    if "research" in codes:
        return _PURPOSES["HRESCH"]
    if "patient-privacy" in codes:
        return None
    raise _wrong(place, "scope", "is not about research or privacy", "export consents of the scope research")


def _patient(resource: Json, place: str) -> str:
    patient = resource.get("patient") or {}
    identifier = (patient.get("identifier") or {}).get("value")
    reference = str(patient.get("reference") or "").partition("/_history/")[0]
    key = str(identifier or ("" if reference.startswith("#") else reference.rpartition("/")[2])).strip()
    if not key:
        raise _wrong(place, "patient", "does not say who", "give patient.identifier.value, or a reference")
    return key


def _moment(text: Any, place: str, path: str) -> datetime:
    if not isinstance(text, str):
        raise _wrong(place, path, "is missing", "give the day")
    try:
        return from_text(text) if "T" in text else start_of(date.fromisoformat(text))
    except (InputError, ValueError):
        raise _wrong(place, path, "is not a full date", "give it as 2026-11-21, or with time and zone") from None


def _start(provision: Json, place: str) -> datetime | None:
    text = (provision.get("period") or {}).get("start")
    return None if text is None else _moment(text, place, "provision.period.start")


def _end(provision: Json, place: str) -> datetime | None:
    """The first moment after the period; a FHIR period that ends on a day lasts through that day."""
    period = provision.get("period") or {}
    text = period.get("end")
    if text is None:
        return None
    end = _moment(text, place, "provision.period.end")
    return end if "T" in text else end + timedelta(days=1)


def _rivals(found: list[ConsentLine]) -> Iterator[Problem]:
    """Two different consents of one person: which of them counts, only people can say."""
    first: dict[str, ConsentLine] = {}
    for line in found:
        other = first.setdefault(line.patient_key, line)
        same = line.source is not None and other.source is not None and line.source[0] == other.source[0]
        if other is not line and not same:
            yield Problem(
                line.where, f"another consent of the same person stands at {other.where}", "patient", "send one of them"
            )


def _in_order(line: ConsentLine) -> tuple[datetime, int, str]:
    version = line.source[1] if line.source else ""
    return line.date, int(version) if version.isdigit() else 0, version


def _wrong(place: str, path: str, sentence: str, fix: str | None = None) -> _NotUnderstoodError:
    return _NotUnderstoodError(Problem(place, sentence, path, fix))

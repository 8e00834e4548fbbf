"""JSON-LD from outside made safe to parse: one bundled context, no network, and nothing that would vanish.

A JSON-LD processor leaves out a key it has no term for, a relative IRI and a
``null``. In a policy each of these can be the constraint that mattered. So an
undefined word means what ODRL means by it, or else expands, like a relative IRI, into
a name that is refused afterwards with the nearest term; everything else that would be
lost is refused here.

The meaning of ``http://www.w3.org/ns/odrl.jsonld`` is written below as facts: which
term stands for which IRI, and whether its value is a node or a term. (The published
file gives ``neq`` and ``industry`` IRIs that do not exist in ODRL; here they have the right ones.)
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, NoReturn

from synthema.canonical import parse_json_strictly
from synthema.errors import InputError, PolicyLoadError
from synthema.vocabulary.namespaces import ODRL, PREFIXES

RELATIVE: Final = "https://relative.invalid/"
UNKNOWN: Final = "https://unknown.invalid/"


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_NODES = _words("""
profile inheritFrom relation hasPolicy target output partOf source assignee assigner assigneeOf assignerOf
attributedParty attributingParty compensatedParty compensatingParty consentingParty consentedParty informedParty
informingParty trackingParty trackedParty contractingParty contractedParty includedIn implies permission prohibition
obligation duty consequence remedy constraint refinement rightOperandReference and or xone andSequence scope
""")
_TERMS = _words("conflict action operator leftOperand function dataType")
_VALUES = _words("rightOperand unit status")
_NAMES = _words("""
Policy Rule ConflictTerm perm prohibit invalid Agreement Assertion Offer Privacy Request Set Ticket Asset
AssetCollection Party PartyCollection PartyScope Action Permission Prohibition Duty Constraint LogicalConstraint
Operator RightOperand LeftOperand undefined policyUsage
use grantUse aggregate annotate anonymize archive concurrentUse derive digitize display distribute execute extract
give index install modify move play present print read reproduce sell stream synchronize textToSpeech transfer
transform translate acceptTracking attribute compensate delete ensureExclusivity include inform nextPolicy
obtainConsent reviewPolicy uninstall watermark append appendTo attachPolicy attachSource commercialize copy export
license pay share shareAlike write writeTo
absolutePosition absoluteSpatialPosition absoluteTemporalPosition absoluteSize count dateTime delayPeriod
deliveryChannel device elapsedTime event fileFormat industry language media meteredTime payAmount percentage product
purpose recipient relativePosition relativeSpatialPosition relativeTemporalPosition relativeSize resolution spatial
spatialCoordinates system systemDevice timeInterval unitOfCount version virtualLocation
eq gt gteq lt lteq neq isA hasPart isPartOf isAllOf isAnyOf isNoneOf
""")

ODRL_CONTEXT: Final[Mapping[str, Any]] = {
    "odrl": ODRL,
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "owl": "http://www.w3.org/2002/07/owl#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "dct": "http://purl.org/dc/terms/",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "vcard": "http://www.w3.org/2006/vcard/ns#",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "schema": "http://schema.org/",
    "cc": "http://creativecommons.org/ns#",
    "uid": "@id",
    "type": "@type",
    **{name: {"@id": ODRL + name, "@type": "@id"} for name in _NODES},
    **{name: {"@id": ODRL + name, "@type": "@vocab"} for name in _TERMS},
    **{name: {"@id": ODRL + name} for name in (*_VALUES, *_NAMES)},
}
SOTW: Final = "https://w3id.org/force/sotw#"
_REQUEST_CONTEXT: Mapping[str, Any] = {
    "sotw": SOTW,
    "SotW": SOTW + "SotW",
    "EvaluationRequest": SOTW + "EvaluationRequest",
    "RequestParameter": SOTW + "RequestParameter",
    "evaluatedAction": {"@id": SOTW + "evaluatedAction", "@type": "@vocab"},
    "evaluatedParty": {"@id": SOTW + "evaluatedParty", "@type": "@id"},
    "evaluatedTarget": {"@id": SOTW + "evaluatedTarget", "@type": "@id"},
    "requestedAction": {"@id": SOTW + "requestedAction", "@type": "@vocab"},
    "requestingParty": {"@id": SOTW + "requestingParty", "@type": "@id"},
    "requestedTarget": {"@id": SOTW + "requestedTarget", "@type": "@id"},
    "requestParameters": {"@id": SOTW + "requestParameter"},
    "requestParameter": {"@id": SOTW + "requestParameter"},
    "describesFeature": {"@id": SOTW + "describesFeature", "@type": "@id"},
    "value": {"@id": SOTW + "value"},
    "context": {"@id": SOTW + "context"},
    "conditionId": {"@id": SOTW + "conditionID", "@type": "@id"},
    "conditionID": {"@id": SOTW + "conditionID", "@type": "@id"},
}
_WORDS: Final = frozenset((*_NODES, *_TERMS, *_VALUES, *_NAMES, "uid", "type"))
_SEMANTICS = "https://raw.githubusercontent.com/w3c/odrl/refs/heads/master/formal-semantics/ontology/"

KNOWN_CONTEXTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "http://www.w3.org/ns/odrl.jsonld": ODRL_CONTEXT,
    "https://www.w3.org/ns/odrl.jsonld": ODRL_CONTEXT,
    "http://www.w3.org/ns/odrl/2/ODRL22.jsonld": ODRL_CONTEXT,
    "https://w3id.org/force/sotw": _REQUEST_CONTEXT,
    _SEMANTICS + "evaluation_request.json": _REQUEST_CONTEXT,
    _SEMANTICS + "stow.json": _REQUEST_CONTEXT,
}
"""Address → what it stands for. Nothing is ever fetched."""

_KEYWORDS = frozenset({"@context", "@id", "@type", "@value", "@language", "@list", "@set", "@graph"})
_DEFINITION = frozenset({"@id", "@type", "@container", "@context", "@language"})


def closed(data: bytes, *, where: str = "") -> bytes:
    """The document with its contexts written out; raises :class:`PolicyLoadError` on what cannot be read safely."""
    try:
        document = parse_json_strictly(data)
    except InputError as error:
        raise PolicyLoadError(error.message, fix=error.fix, where=where) from error
    return json.dumps(_closed(document, where, top=True)).encode()


def _closed(value: Any, where: str, *, top: bool = False) -> Any:
    if isinstance(value, list):
        return [_closed(item, where, top=top) for item in value]
    if value is None:
        _refuse("the document holds null, which JSON-LD leaves out", "remove the key, or give it a value", where)
    if not isinstance(value, dict):
        if top:
            _refuse("the document is no object", "give one policy, request or state of the world as an object", where)
        return value
    strange = [key for key in value if key.startswith("@") and key not in _KEYWORDS]
    if strange:
        _refuse(f"the keyword '{strange[0]}' is not read", "write the statements plainly", where)
    if "@context" not in value and top:
        _refuse("the document has no @context", "add http://www.w3.org/ns/odrl.jsonld as its @context", where)
    closed_ = {key: _closed(item, where) for key, item in value.items() if key != "@context"}
    if "@context" in value:
        written = list(_contexts(value["@context"], where))
        # Words that the document's own context leaves undefined mean what ODRL means by them;
        # any others become names that are refused later, instead of vanishing.
        closed_["@context"] = [{"@vocab": UNKNOWN}, ODRL_CONTEXT, *written] if top else written
    return closed_


def _contexts(value: Any, where: str) -> Iterator[Mapping[str, Any]]:
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, str):
            if item not in KNOWN_CONTEXTS:
                _refuse(
                    f"the context '{item[:120]}' is not known here, and nothing is fetched",
                    "use http://www.w3.org/ns/odrl.jsonld, and write your own prefixes beside it",
                    where,
                )
            yield KNOWN_CONTEXTS[item]
        elif isinstance(item, dict):
            yield {term: _definition(term, meaning, where) for term, meaning in item.items()}
        else:
            _refuse("the @context is neither an address nor an object", "give either", where)


def _definition(term: str, meaning: Any, where: str) -> Any:
    if term.startswith("@") and term != "@language":
        _refuse(f"a context with '{term}' is not read", "define prefixes and terms only", where)
    if term in _WORDS and not _same(term, meaning):
        _refuse(f"the context gives '{term}' another meaning than ODRL", "use another word for it", where)
    if isinstance(meaning, str):
        # A common slip: the address of the ODRL context given as the namespace of a prefix.
        return ODRL if KNOWN_CONTEXTS.get(meaning) is ODRL_CONTEXT else meaning
    if not isinstance(meaning, dict) or not set(meaning) <= _DEFINITION or "@id" not in meaning:
        _refuse(f"the context defines '{term}' in a way that is not read", "give its @id and @type", where)
    inner = meaning.get("@context")
    return meaning if inner is None else {**meaning, "@context": list(_contexts(inner, where))}


def _same(term: str, meaning: Any) -> bool:
    iri = meaning.get("@id") if isinstance(meaning, dict) else meaning
    return iri in (ODRL + term, f"odrl:{term}", ODRL_CONTEXT[term])


def check_iri(iri: str, *, where: str = "") -> None:
    """Raise :class:`PolicyLoadError` if an IRI is one that a JSON-LD processor would have dropped."""
    if iri.startswith(UNKNOWN):
        term = iri.removeprefix(UNKNOWN)
        near = difflib.get_close_matches(term, [*ODRL_CONTEXT, *_REQUEST_CONTEXT], n=1, cutoff=0.5)
        fix = f"did you mean '{near[0]}'?" if near else "define it in the @context, or write its full IRI"
        _refuse(f"'{term[:80]}' is no term of the context", fix, where)
    if iri.startswith(RELATIVE):
        _refuse(f"'{iri.removeprefix(RELATIVE)[:80]}' is a relative name", "write the full IRI", where)


def prefixes() -> dict[str, str]:
    """Prefixes for writing reports and policies."""
    named = {term: iri for term, iri in ODRL_CONTEXT.items() if isinstance(iri, str) and iri.endswith(("#", "/"))}
    return {**named, **PREFIXES, "sotw": SOTW}


def _refuse(message: str, fix: str, where: str) -> NoReturn:
    raise PolicyLoadError(message, fix=fix, where=where)

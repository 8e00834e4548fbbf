"""A permit in plain British English, point by point, in the order of EHDS Article 68(10)."""

from __future__ import annotations

from collections.abc import Mapping

from synthema.permits.model import Permit
from synthema.vocabulary import Vocabulary

_ANY_TOOL = "any tool that two people of the site approved"


def permit_sentences(permit: Permit, vocabulary: Vocabulary, names: Mapping[str, str] | None = None) -> list[str]:
    """What a permit says: holder, data, purpose, opt-outs, persons, period, tools, outputs, fees, conditions.

    ``names`` gives parties (did) their names.
    """
    named = names or {}

    def party(did: str) -> str:
        return named.get(did, did)

    content = permit.content
    return [
        f"{party(content.holder)} holds this permit of {party(permit.issuer)} ({permit.regime}).",
        *_data(permit, vocabulary, [party(source) for source in content.data.sources]),
        f"(b) Purpose: {vocabulary.label(content.purpose)}.",
        f"(c) Persons who opted out are {_opted_out(permit)}",
        f"(d) Only these persons may work with the data (Art. 73(1)(a)): {', '.join(content.persons)}.",
        f"(e) From {content.valid_from.isoformat()} to {permit.valid_to.isoformat()}{_extension(permit)}.",
        f"(f) Tools: {', '.join(content.tools) or _ANY_TOOL}.",
        f"    What may leave (Art. 73(2)): {_outputs(permit, vocabulary)}.",
        f"(g) Fees: {content.fees}.",
        f"(h) {_conditions(permit)}",
    ]


def _data(permit: Permit, vocabulary: Vocabulary, sources: list[str]) -> list[str]:
    data = permit.content.data
    categories = ", ".join(vocabulary.label(category) for category in data.categories)
    said = data.specification.rstrip(".")
    lines = [f"(a) Data: {', '.join(data.datasets)}, {data.format}, from {', '.join(sources)}: {said} ({categories})."]
    if data.justification:
        lines.append(f"    Why anonymised data do not suffice (Art. 66(3)): {data.justification.rstrip('.')}.")
    return lines


def _opted_out(permit: Permit) -> str:
    reason = permit.content.opt_out_exception
    return f"not left out (Art. 71(4)): {reason.rstrip('.')}." if reason else "left out (Art. 71(3))."


def _extension(permit: Permit) -> str:
    return ", extended once" if permit.extended else "; it can be extended once (Art. 68(12))"


def _outputs(permit: Permit, vocabulary: Vocabulary) -> str:
    formats = vocabulary.data_formats
    return ", ".join(formats.label(formats.resolve(name)) for name in permit.content.outputs)


def _conditions(permit: Permit) -> str:
    conditions = [condition.rstrip(".") for condition in permit.content.conditions]
    return f"Conditions that people watch over: {'; '.join(conditions)}." if conditions else "No further conditions."

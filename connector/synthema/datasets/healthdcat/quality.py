"""The data quality and utility label in a record: the six groups of EHDS Art. 78(3), in words and figures.

Figures are rounded to a hundredth and counts of rows are left out: exact ones, watched over time, would show when one
person's record changes. The label is the data holder's own; it says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from synthema.datasets.healthdcat.terms import Node, text
from synthema.vocabulary import spaced

_OWN_LABEL: Final = (
    "Measured and stated by the data holder's connector in the six groups of EHDS Article 78(3); "
    "no health data access body has granted or verified it."
)
_GROUPS: Final = (
    ("a", "documentation", "Documentation and standards"),
    ("b", "technicalQuality", "Technical quality"),
    ("c", "qualityManagement", "Management of quality"),
    ("d", "coverage", "Coverage"),
    ("e", "accessAndProvision", "Access and provision"),
    ("f", "modifications", "Modifications"),
)
_LEFT_OUT: Final = frozenset({"completenessByVariable", "ruleViolations", "findings"})
_MEASURES: Final = (
    ("documentation", "shareOfVariablesWithStandardCode"),
    ("technicalQuality", "completeness"),
    ("technicalQuality", "uniqueness"),
    ("technicalQuality", "validity"),
    ("technicalQuality", "consistency"),
)


def quality_certificate(iri: str, label: Mapping[str, Any]) -> Node:
    """The quality annotation of the dataset ``iri``: a label as ``synthema.datasets.quality_label`` gives it."""
    return {
        "@id": f"{iri}#quality",
        "@type": "dqv:QualityCertificate",
        "oa:hasTarget": {"@id": iri},
        "oa:motivatedBy": {"@id": "dqv:qualityAssessment"},
        "oa:hasBody": {
            "@id": f"{iri}#quality-label",
            "@type": "syn:QualityLabel",
            "dct:description": text(_OWN_LABEL),
            "syn:labelGroup": [
                {
                    "@id": f"{iri}#label-{letter}",
                    "@type": "syn:LabelGroup",
                    "dct:title": text(f"{title} (EHDS Article 78(3)({letter}))"),
                    "dct:description": [text(sentence) for sentence in _sentences(label[group])],
                }
                for letter, group, title in _GROUPS
            ],
        },
    }


def measurements(iri: str, label: Mapping[str, Any]) -> list[Node]:
    """The label's figures, from 0 to 1, as quality measurements of the dataset ``iri``."""
    return [
        {
            "@id": f"{iri}#measured-{name}",
            "@type": "dqv:QualityMeasurement",
            "dqv:computedOn": {"@id": iri},
            "dqv:isMeasurementOf": {"@id": f"syn:{name}", "@type": "dqv:Metric"},
            "dqv:value": {"@value": f"{label[group][name]:.2f}", "@type": "xsd:decimal"},
        }
        for group, name in _MEASURES
    ]


def _sentences(group: Mapping[str, Any]) -> Iterator[str]:
    for name, value in group.items():
        if name not in _LEFT_OUT:
            yield f"{_words(name)}: {_said(value)}."


def _said(value: Any) -> str:
    if value is None or value == []:
        return "not stated"
    if isinstance(value, float):
        return f"{value:.2f}"
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    return str(value).rstrip(".")


def _words(name: str) -> str:
    """``shareOfVariables`` as people write it: Share of variables."""
    words = spaced(name)
    return words[:1].upper() + words[1:]

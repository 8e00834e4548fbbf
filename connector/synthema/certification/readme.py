"""The certificate in plain words, for whoever opens the package without our software."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from datetime import datetime

from synthema.certification.model import CertificateContent, Figure, PrivacySpent
from synthema.certification.uses import use_sentences

_WIDTH = 78


def readme(content: CertificateContent, issuer: str, valid_from: datetime, valid_until: datetime) -> str:
    """Plain text: what this is, what protects the patients, how good it is, what it is for, how to check it."""
    validity = f"Certified by {issuer}, valid from {valid_from:%Y-%m-%d} until {valid_until:%Y-%m-%d}."
    return "\n".join(_wrapped(_lines(content, validity))) + "\n"


def _lines(content: CertificateContent, validity: str) -> Iterator[str]:
    yield content.title
    yield "=" * min(_WIDTH, len(content.title))
    yield ""
    yield "These rows are synthetic. None of them describes a real person."
    yield (
        f"{content.rows} rows, {content.columns} columns, made by the plugin {content.generator.name} "
        f"{content.generator.version}. {validity}"
    )
    yield ""
    yield "Learned from"
    for source in content.sources:
        yield f"- {source.site}: {source.cohort} patients (dataset {source.dataset})"
    yield ""
    yield "What protects the patients"
    yield f"- {guarantee_sentence(content.privacy.guarantee)}"
    yield from (f"- Assumption: {assumption}" for assumption in content.privacy.guarantee.assumptions)
    yield from _figures(content.privacy.attacks)
    yield ""
    yield "How close it is to real data"
    yield f"- Compared with: {content.utility.held_out}"
    yield from _figures(content.utility.figures)
    yield ""
    yield "Coverage"
    yield from (f"- {sentence}" for sentence in content.coverage)
    yield ""
    yield "Known limits"
    yield from (f"- {sentence}" for sentence in content.limits)
    yield ""
    yield "Allowed uses"
    yield from (f"- {sentence}" for sentence in use_sentences(content.allowed_uses))
    yield from _law(content)
    yield ""
    yield "How to check this package"
    yield "- synthema certificate verify PACKAGE.zip"
    yield "  runs ten numbered checks, from the digest of every file to the logs of the sites."
    yield "- certificate.json is a W3C Verifiable Credential 2.0 (eddsa-jcs-2022); any verifier can check it."


def _law(content: CertificateContent) -> Iterator[str]:
    if content.highly_sensitive:
        yield (
            "- Few and geographically scattered persons stand behind this data: a transfer to third countries "
            "is highly sensitive in the sense of Article 88 EHDS, although the data are not personal."
        )
    if content.regime == "pre-EHDS":
        yield (
            "- Issued before Chapter IV of the EHDS Regulation applies (26 March 2029): the lawful route is the "
            "GDPR with ethics approval and contracts."
        )


def guarantee_sentence(spent: PrivacySpent) -> str:
    """A guarantee as one sentence, with its grade."""
    if spent.epsilon is None:
        return "No differential privacy guarantee; only the attacks listed below were tried."
    return (
        f"Differential privacy for {spent.unit}: epsilon {spent.epsilon:g}, delta {spent.delta:g} "
        f"({spent.mechanism}; accounted by {spent.accountant}; the claim is {spent.assurance})."
    )


def _figures(figures: Iterable[Figure]) -> Iterator[str]:
    for figure in figures:
        m = figure.measurement
        interval = "" if m.lower is None or m.upper is None else f" (95 % interval {m.lower:.4g} to {m.upper:.4g})"
        control = "" if m.control is None else f"; control {m.control:.4g}"
        meaning = f". {m.definition}" if m.definition else ""
        yield f"- {m.metric} at {figure.site}: {m.value:.4g}{interval}, n {m.n}{control}{meaning}"


def _wrapped(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        plain = "".join(character if character.isprintable() else " " for character in line)
        indent = "  " if plain.startswith(("- ", "  ")) else ""
        yield from textwrap.wrap(plain, _WIDTH, subsequent_indent=indent, break_long_words=False) or [""]

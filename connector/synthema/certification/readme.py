"""The certificate in plain words, for whoever opens the package without our software."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from datetime import datetime

from synthema.certification.crate import host_of
from synthema.certification.evidence import read_evidence
from synthema.certification.model import CertificateContent, Figure, PrivacySpent
from synthema.certification.uses import use_sentences
from synthema.vocabulary import load_vocabulary

_WIDTH = 78


def readme(content: CertificateContent, issuer: str, valid_from: datetime, valid_until: datetime) -> str:
    """Plain text: what this is, what protects the patients, how good it is, what it is for, how to check it."""
    validity = (
        f"Certified by {host_of(issuer)} ({issuer}), valid from {valid_from:%Y-%m-%d} until {valid_until:%Y-%m-%d}."
    )
    return "\n".join(_wrapped(_lines(content, issuer, validity))) + "\n"


def _lines(content: CertificateContent, issuer: str, validity: str) -> Iterator[str]:
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
        yield f"- {host_of(source.site)}: {source.cohort} patients (dataset {source.dataset})"
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
    yield "What decided"
    yield from _decisions(content, issuer)
    yield ""
    yield "How to check this package"
    yield "- synthema cert verify PACKAGE.zip --purpose 'health research'"
    yield "  makes numbered checks, from the container to the logs of the sites."
    yield "- certificate.json is a W3C Verifiable Credential 2.0 (eddsa-jcs-2022); any verifier can check it."
    yield "- The whole is a bag (RFC 8493, sha-512) with a Five Safes RO-Crate."
    yield "- Each file in proofs/ proves one entry of a log (C2SP tlog-proof)."


def _decisions(content: CertificateContent, issuer: str) -> Iterator[str]:
    """Who permitted what, one line for each party and ground; the identifiers stand in the certificate."""
    told = [(issuer, proven.decision) for proven in content.decisions]
    for reference in content.evidence:
        statement = read_evidence(reference.credential).statement
        told += [(reference.site, decision) for decision in statement.decisions]
    acts: dict[tuple[str, str, str], list[str]] = {}
    for party, decision in told:
        words = load_vocabulary().label(decision.action) or decision.action
        acts.setdefault((party, decision.effect, decision.basis or ""), []).append(words)
    for (party, effect, basis), done in acts.items():
        ground = f", resting on {basis}" if basis else ""
        yield f"- {host_of(party)}: {effect} to {', '.join(dict.fromkeys(done))}{ground}"
    yield "- The identifiers of the decisions and of their policies stand in certificate.json."


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
        yield f"- {m.metric} at {host_of(figure.site)}: {m.value:.4g}{interval}, n {m.n}{control}{meaning}"


def _wrapped(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        plain = "".join(character if character.isprintable() else " " for character in line)
        indent = "  " if plain.startswith(("- ", "  ")) else ""
        yield from textwrap.wrap(plain, _WIDTH, subsequent_indent=indent, break_long_words=False) or [""]

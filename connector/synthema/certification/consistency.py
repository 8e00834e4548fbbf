"""What must agree inside a certificate: pure comparisons, used before signing and again when verifying."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from synthema.certification.model import (
    CERTIFYING,
    NEEDED_ACTS,
    CertificateContent,
    EvidenceStatement,
    PrivacySpent,
    Source,
    undecided,
)

Statements = Mapping[str, EvidenceStatement]
"""A site's DID → its statement."""


def evidence_contradictions(content: CertificateContent, statements: Statements) -> Iterator[str]:
    """Where sources, figures and evidence do not tell the same story, as sentences."""
    sources = [source.site for source in content.sources]
    if len(set(sources)) != len(sources):
        yield "a site is named twice as source"
    for site in sorted(set(sources) - set(statements)):
        yield f"there is no evidence of {site}, which is named as source"
    for site in sorted(set(statements) - set(sources)):
        yield f"there is evidence of {site}, which is not named as source"
    for source in content.sources:
        statement = statements.get(source.site)
        if statement is not None and source_of(statement) != source:
            yield f"the certificate says something else of the data of {source.site} than that site does"
    for site, statement in statements.items():
        if statement.candidate != content.candidate:
            yield f"the evidence of {site} is about another dataset"
    yield from figure_contradictions(content, statements)


def figure_contradictions(content: CertificateContent, statements: Statements) -> Iterator[str]:
    """Figures that no site measured, or that have no log entry behind them."""
    for figure in content.figures:
        statement = statements.get(figure.site)
        name = f"the figure '{figure.measurement.metric}' of {figure.site}"
        if figure.measurement.log_position is None:
            yield f"{name} has no log entry behind it"
        elif statement is None or figure.measurement not in statement.measurements:
            yield f"{name} is not in that site's evidence"
    for figure in content.privacy.attacks:
        measured = figure.measurement
        if not measured.n or None in (measured.lower, measured.upper, measured.control):
            yield (
                f"the attack '{measured.metric}' at {figure.site} is told without its number of cases, "
                "its interval or its control"
            )


def privacy_contradictions(guarantee: PrivacySpent, statements: Statements) -> Iterator[str]:
    """Sites that spent more than the certificate admits.

    A patient is at one site, so the loss of the whole is that of the site
    that spent most (parallel composition; McSherry 2009).
    """
    for site, statement in statements.items():
        spent = statement.privacy
        if spent.unit != guarantee.unit:
            yield f"{site} counts its privacy loss for '{spent.unit}', the certificate for '{guarantee.unit}'"
        if spent.epsilon is None or guarantee.epsilon is None:
            if spent.epsilon != guarantee.epsilon:
                yield f"{site} and the certificate do not agree on whether there is a guarantee"
        elif spent.epsilon > guarantee.epsilon or spent.delta > guarantee.delta:
            yield f"{site} spent more (ε {spent.epsilon:g}, δ {spent.delta:g}) than the certificate says"


def gate_failures(content: CertificateContent, statements: Statements) -> Iterator[str]:
    """Gates that did not pass, at any site or at the coordinator."""
    if content.gates is not None:
        for failure in content.gates.failures:
            yield f"coordinator: {failure}"
    for site, statement in statements.items():
        for failure in statement.gates.failures:
            yield f"{site}: {failure}"


def decision_failures(content: CertificateContent, statements: Statements) -> Iterator[str]:
    """Decisions that did not permit what was done, at any site or at the issuer, and acts that nobody decided.

    Each site decides that the candidate may leave and be certified, as far as its data are in it; the issuer decides
    on certifying under its agreement with each site.
    """
    own = [proven.decision for proven in content.decisions]
    told = [(site, decision) for site, statement in statements.items() for decision in statement.decisions]
    for who, decision in [*told, *(("the issuer", each) for each in own)]:
        if decision.effect != "permit":
            yield f"the decision of {who} on '{decision.action}' is to deny"
    for site, statement in statements.items():
        for act in undecided(statement.decisions, NEEDED_ACTS):
            yield f"{site} did not decide on {act}"
    if sum(decision.action in CERTIFYING for decision in own) < len(statements):
        yield "the issuer did not decide on certifying the candidate under its agreement with each site"


def source_of(statement: EvidenceStatement) -> Source:
    """How a certificate names the dataset behind a statement."""
    return Source(
        site=statement.site,
        dataset=statement.dataset,
        dataset_digest=statement.dataset_digest,
        cohort=statement.cohort,
        exclusion_list_version=statement.exclusion_list_version,
    )

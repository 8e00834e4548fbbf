"""A permit as a policy (L4): what its points (a) to (h) allow and demand, derived, never written by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final

from synthema.permits.model import Permit
from synthema.policy.model import (
    Combination,
    Condition,
    Constraint,
    Duty,
    Event,
    Kind,
    LawReference,
    Layer,
    Operator,
    Policy,
    Rule,
    Timing,
)
from synthema.policy.phrases import ACTS
from synthema.vocabulary import Vocabulary
from synthema.vocabulary.namespaces import ODRL, SYN

INSIDE: Final = ("analyse", "queryAggregate", "synthesise", "trainModel", "contributeUpdate", "evaluateModel")
"""What an authorised person may do inside the secure processing environment (local names)."""

TOGETHER: Final = INSIDE
"""What several sites may do together without anybody seeing a record (local names): the same acts.

Who asks alone must be a person of the permit; together, enough sites stand in every sum instead.
"""

DELETE_WITHIN: Final = timedelta(days=180)
"""EHDS Art. 68(12): at most six months after the permit's end, in days so that it is never longer."""

PUBLISH_WITHIN: Final = timedelta(days=548)
"""EHDS Art. 61(4): within eighteen months of completion."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the site adds to a permit: the ε of one release, how many sites make a sum, and the exact tools."""

    epsilon: float
    minimum_parties: int = 3
    plugin_digests: tuple[str, ...] = ()


def permit_policy(
    permit: Permit, vocabulary: Vocabulary, *, site: str, datasets: Mapping[str, str], base: str, terms: Terms
) -> Policy:
    """The agreement policy of a permit; ``datasets`` gives the names of its datasets their IRIs.

    It has no end of its own: the state of the permit, which every rule asks for, counts the clock, and so an extension
    needs no new policy.
    """
    identifier = f"{base}/id/policy/{permit.id}"
    content = permit.content
    return Policy(
        id=identifier,
        layer=Layer.AGREEMENT,
        version="1",
        title=f"Permit {permit.id}",
        rules=tuple(_rules(permit, identifier, vocabulary, terms)),
        targets=tuple(datasets[name] for name in content.data.datasets),
        assigner=site,
        assignees=(content.holder,),
        law=(_law("68(10)"),),
        effective_from=datetime.combine(content.valid_from, time(), UTC),
    )


def _rules(permit: Permit, identifier: str, vocabulary: Vocabulary, terms: Terms) -> list[Rule]:
    content = permit.content
    formats = [_format(name, vocabulary) for name in content.outputs]
    leaving = tuple(_format(name, vocabulary) for name in content.outputs if name != "masked")
    common = (
        Constraint(ODRL + "purpose", Operator.IS_A, content.purpose),
        Constraint(SYN + "permitState", Operator.EQ, SYN + "PermitIssued"),
        Constraint(SYN + "dataCategory", Operator.IS_ANY_OF, content.data.categories),
        Constraint(SYN + "epsilonRequested", Operator.LTEQ, float(terms.epsilon)),
        *_tools(terms),
    )
    rules = [
        Rule(
            f"{identifier}#use",
            Kind.PERMISSION,
            (*(SYN + name for name in INSIDE), *((ODRL + "anonymize",) if "anonymised" in content.outputs else ())),
            when=_all(
                *common,
                Constraint(SYN + "authorisedPerson", Operator.IS_ANY_OF, content.persons),
                Constraint(SYN + "outputClass", Operator.IS_ANY_OF, tuple(formats)),
            ),
            law=(_law("68(10)(b)"), _law("73(1)(a)")),
        )
    ]
    if "masked" in content.outputs:
        seen = tuple(_format(name, vocabulary) for name in content.outputs if name in ("aggregate", "masked"))
        rules.append(
            Rule(
                f"{identifier}#together",
                Kind.PERMISSION,
                tuple(SYN + name for name in TOGETHER),
                when=_all(
                    *common,
                    Constraint(SYN + "outputClass", Operator.IS_ANY_OF, seen),
                    Constraint(SYN + "contributingParties", Operator.GTEQ, terms.minimum_parties),
                ),
                law=(_law("68(10)(b)"),),
            )
        )
    if leaving:
        rules.append(
            Rule(
                f"{identifier}#release",
                Kind.PERMISSION,
                (SYN + "export", SYN + "certify"),
                when=_all(*common[:2], Constraint(SYN + "outputClass", Operator.IS_ANY_OF, leaving)),
                law=(_law("73(2)"),),
            )
        )
    return [*rules, _no_reidentification(identifier), *_obligations(identifier)]


def _tools(terms: Terms) -> Sequence[Constraint]:
    if not terms.plugin_digests:
        return ()
    return (Constraint(SYN + "pluginDigest", Operator.IS_ANY_OF, tuple(sorted(set(terms.plugin_digests)))),)


def _no_reidentification(identifier: str) -> Rule:
    return Rule(
        f"{identifier}#no-reidentification",
        Kind.PROHIBITION,
        (SYN + "reidentify",),
        law=(_law("61(3)"),),
        sentence="The holder of the permit must not try to identify the persons in the data",
    )


def _obligations(identifier: str) -> list[Rule]:
    """What the holder of a permit owes by law, as duties with dates."""
    after = Timing.POST
    owed = {
        "acknowledge": (Duty(SYN + "acknowledge", after), "61(4)"),
        "publish": (
            Duty(SYN + "publishResults", after, PUBLISH_WITHIN, Event.COMPLETION, "public reference to the results"),
            "61(4)",
        ),
        "inform": (
            Duty(SYN + "informHDAB", after, PUBLISH_WITHIN, Event.COMPLETION, "digest of the notice"),
            "61(4)",
        ),
        "findings": (Duty(SYN + "reportFinding", after, evidence="digest of the report"), "61(5)"),
        "delete": (
            Duty(ODRL + "delete", after, DELETE_WITHIN, Event.EXPIRY, "certificate of deletion (digest)"),
            "68(12)",
        ),
    }
    acts = tuple(SYN + name for name in INSIDE)
    return [
        Rule(f"{identifier}#{name}", Kind.OBLIGATION, acts, duties=(duty,), law=(_law(article),))
        for name, (duty, article) in owed.items()
    ]


def _all(*constraints: Constraint) -> Condition:
    return constraints[0] if len(constraints) == 1 else Combination("and", constraints)


def _format(name: str, vocabulary: Vocabulary) -> str:
    return vocabulary.data_formats.resolve(name)


def _law(article: str) -> LawReference:
    return LawReference("EHDS", article, ACTS["EHDS"])

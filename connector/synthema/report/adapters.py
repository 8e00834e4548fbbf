"""From the values of other rooms to items of a story: decisions, gates, checks, lineage, certificates.

Decisions and gate reports are taken as the JSON they are stored as, so that a
report can be made long after the run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from synthema.certification import Certificate, Figure, VerificationReport, read_document
from synthema.certification.readme import guarantee_sentence
from synthema.certification.uses import use_sentences
from synthema.clock import duration
from synthema.report.model import (
    Check,
    Checks,
    Code,
    Decision,
    GraphEdge,
    GraphNode,
    Item,
    ProvenanceGraph,
    Reason,
    Shape,
    Table,
)
from synthema.vocabulary import load_vocabulary

_SHAPES: Final[dict[str, Shape]] = {"activity": "activity", "agent": "agent"}
_RELATIONS: Final = {
    "used": "was used by",
    "wasGeneratedBy": "made",
    "wasDerivedFrom": "was the origin of",
    "wasInformedBy": "informed",
    "wasAssociatedWith": "answered for",
    "actedOnBehalfOf": "was represented by",
}
"""PROV relation → the same read from the earlier to the later."""


def decision_item(title: str, record: Mapping[str, Any], sentences: tuple[str, ...] = ()) -> Decision:
    """A policy decision from ``Decision.as_dict()``; ``sentences`` are those of ``Decision.sentences()``, if known."""
    unchangeable = (str(record["unchangeable"]),) if record.get("unchangeable") else ()
    return Decision(
        title=title,
        effect="permit" if record["effect"] == "permit" else "deny",
        sentences=sentences,
        reasons=tuple(
            Reason(
                sentence=_without_evidence(str(reason.get("explanation") or reason["sentence"])),
                rule=str(reason.get("rule") or "").rsplit("/", 1)[-1],
                layer=str(reason.get("layer") or ""),
                article=str(reason.get("article") or ""),
            )
            for reason in record["reasons"]
        ),
        changes=tuple(str(change["sentence"]) for change in record["changes"]) + unchangeable,
        obligations=tuple(_obligation(obligation) for obligation in record["obligations"]),
        digest=str(record.get("request_digest", "")),
    )


def _without_evidence(sentence: str) -> str:
    """The sentence without the address of its evidence, which the stored decision keeps."""
    return re.sub(r" \(shown by \S+\)", "", sentence)


def _obligation(record: Mapping[str, Any]) -> str:
    words = [load_vocabulary().label(str(record["action"]))]
    if record.get("due"):
        words.append(f"until {str(record['due'])[:10]}")
    elif record.get("within"):
        words.append(f"within {_in_words(duration(str(record['within'])))}")
    if record.get("article"):
        words.append(f"({record['article']})")
    return " ".join(words)


def _in_words(span: timedelta) -> str:
    hours = span.seconds // 3600
    return f"{span.days} days" if not hours else f"{24 * span.days + hours} hours"


def gates_item(title: str, record: Mapping[str, Any]) -> Checks:
    """The gates of an impact assessment from ``GateReport.as_dict()``, or from a certificate's record of them."""
    checks = [
        Check(
            str(result["sentence"]),
            ok=bool(result["passed"]),
            note="" if result.get("n") is None else f"n {result['n']}",
        )
        for result in record["results"]
    ]
    return Checks(title, tuple(checks))


def verification_item(title: str, report: VerificationReport) -> Checks:
    """The numbered checks of a registry."""
    return Checks(
        title,
        tuple(
            Check(r.title, ok=r.ok, reason=r.reason, fix=r.fix, note=f"({r.note})" if r.note else "")
            for r in report.results
        ),
    )


def graph_item(title: str, graph: Mapping[str, Any], *, alt: str = "", agents: bool = False) -> ProvenanceGraph:
    """The drawing of ``Lineage.graph_of()``: what was there first stands on the left.

    Agents are left out unless asked for: they touch every step and hide the flow.
    """
    nodes = tuple(
        GraphNode(
            str(node["id"]),
            str(node["label"]),
            ", ".join(str(name).rpartition("#")[2] for name in node["types"]),
            _SHAPES.get(str(node["kind"]), "entity"),
        )
        for node in graph["nodes"]
        if agents or node["kind"] != "agent"
    )
    known = {node.id for node in nodes}
    edges = tuple(
        GraphEdge(
            str(edge["target"]), str(edge["source"]), _RELATIONS.get(str(edge["relation"]), str(edge["relation"]))
        )
        for edge in graph["edges"]
        if edge["source"] in known and edge["target"] in known
    )
    said = f"{len(nodes)} things and steps with {len(edges)} links, from origins on the left to results on the right."
    return ProvenanceGraph(title, nodes, edges, alt or said)


def certificate_items(document: Mapping[str, Any]) -> tuple[Item, ...]:
    """The card of a certificate: what it is about, what protects, what was measured, limits and uses, and its JSON."""
    certificate = read_document(Certificate, document)
    content = certificate.credential_subject
    facts: tuple[tuple[str, str], ...] = (
        ("Dataset", content.title),
        ("Digest of the rows", content.candidate),
        ("Size", f"{content.rows} rows, {content.columns} columns"),
        ("Generator", f"{content.generator.name} {content.generator.version}"),
        ("Issuer", certificate.issuer),
        ("Valid", f"{certificate.valid_from:%Y-%m-%d} to {certificate.valid_until:%Y-%m-%d}"),
        ("Regime", content.regime),
        ("Guarantee", guarantee_sentence(content.privacy.guarantee)),
        ("Compared with", content.utility.held_out),
    )
    words = [
        *(("Assumption", sentence) for sentence in content.privacy.guarantee.assumptions),
        *(("Coverage", sentence) for sentence in content.coverage),
        *(("Limit", sentence) for sentence in content.limits),
        *(("Use", sentence) for sentence in use_sentences(content.allowed_uses)),
    ]
    return (
        Table("The certificate at a glance", ("What", "Said"), facts),
        _figures("Attacks that were tried", content.privacy.attacks),
        _figures("How close it is to real patients", content.utility.figures),
        Table("To know before use", ("Kind", "Said"), tuple(words)),
        Code.json("The certificate as JSON", dict(document)),
    )


def _figures(title: str, figures: tuple[Figure, ...]) -> Table:
    rows = tuple(
        (m.metric, figure.site, m.value, m.lower, m.upper, m.control, m.n, m.log_position)
        for figure, m in ((figure, figure.measurement) for figure in figures)
    )
    columns = ("Figure", "Measured at", "Value", "95 % from", "to", "Control", "n", "Log position")
    return Table(title, columns, rows)

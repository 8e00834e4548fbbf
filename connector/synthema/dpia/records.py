"""What is kept beside the assessments: figures, releases, and what people declared about them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import Any, Final, Literal

from sqlalchemy import Column, Connection, Float, ForeignKey, Integer, String, Table, Text, insert, select

from synthema.canonical import canonical_json
from synthema.dpia.check import Evidence
from synthema.dpia.conformance import Release
from synthema.ids import new_id
from synthema.storage import UtcDateTime, metadata

Declaration = Literal["done", "raised", "answered", "signature withdrawn", "recalled"]
DECLARATIONS: Final[dict[Declaration, str]] = {
    "done": "I declare that this item of the action plan is done.",
    "raised": "I declare that this reason to review the assessment has come up (GDPR Art. 35(11)).",
    "answered": "I declare that this reason to review was examined and that the risk has not changed.",
    "signature withdrawn": "I withdraw my approval of this data protection impact assessment.",
    "recalled": "I declare that this release was recalled from its recipients.",
}
"""What a person signs, by kind; the statement is part of what is signed, so that it fits nothing else."""

dpia_evidence = Table(
    "dpia_evidence",
    metadata,
    Column("id", String, primary_key=True),
    Column("version_id", String, ForeignKey("dpia_versions.id"), nullable=False, index=True),
    Column("about", String, index=True),  # the release it was measured on; none for what belongs to a run only
    Column("metric", String, nullable=False),
    Column("value", Float, nullable=False),
    Column("lower", Float),
    Column("upper", Float),
    Column("n", Integer, nullable=False),
    Column("unit", String),
    Column("population", String),
    Column("kind", String),
    Column("confidence", Float),
    Column("source", String, nullable=False),
    Column("measured_at", UtcDateTime, nullable=False),
)

dpia_releases = Table(
    "dpia_releases",
    metadata,
    Column("id", String, primary_key=True),
    Column("dpia_id", String, nullable=False, index=True),
    Column("version_id", String, ForeignKey("dpia_versions.id"), nullable=False),
    Column("thing", String, nullable=False, unique=True),
    Column("released_at", UtcDateTime, nullable=False),
)

dpia_declarations = Table(
    "dpia_declarations",
    metadata,
    Column("id", String, primary_key=True),
    Column("dpia_id", String, nullable=False, index=True),
    Column("version_id", String, ForeignKey("dpia_versions.id"), nullable=False, index=True),
    Column("kind", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("person_id", String, nullable=False),
    Column("signature", String, nullable=False),
    Column("declared_at", UtcDateTime, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Declared:
    """What a person declared about a version, and when."""

    version: str
    kind: Declaration
    subject: str
    text: str
    person: str
    at: datetime


def declaration_bytes(kind: Declaration, digest: str, subject: str, text: str) -> bytes:
    """What a person signs to declare something about the version with this digest."""
    statement = {"statement": DECLARATIONS[kind], "digest": digest, "subject": subject, "text": text}
    return canonical_json(statement)


def add_evidence(connection: Connection, version: str, figures: Iterable[Evidence], about: str | None) -> None:
    """Keep figures as they were measured; what is no finite number is no evidence of anything."""
    rows = [
        {"id": new_id("figure"), "version_id": version, "about": about}
        | {name: getattr(figure, name) for name in Evidence.__slots__}
        for figure in figures
        if all(isfinite(end) for end in (figure.value, figure.lower, figure.upper) if end is not None)
    ]
    if rows:
        connection.execute(insert(dpia_evidence), rows)


def latest_evidence(connection: Connection, version: str) -> dict[str, Evidence]:
    """The last figure of each metric that was kept under a version."""
    query = select(dpia_evidence).where(dpia_evidence.c.version_id == version).order_by(dpia_evidence.c.measured_at)
    return {row["metric"]: _evidence(row) for row in connection.execute(query).mappings()}


def add_release(connection: Connection, dpia_id: str, version: str, thing: str, at: datetime) -> None:
    """Note that something left under an assessment; noting it again changes nothing."""
    if connection.execute(select(dpia_releases.c.id).where(dpia_releases.c.thing == thing)).first() is None:
        connection.execute(
            insert(dpia_releases).values(
                id=new_id("release"), dpia_id=dpia_id, version_id=version, thing=thing, released_at=at
            )
        )


def releases_of(connection: Connection, dpia_id: str, recalled: Iterable[str]) -> tuple[Release, ...]:
    """What left under any version of an assessment and was not recalled, with what was measured on it."""
    gone = set(recalled)
    left = select(dpia_releases).where(dpia_releases.c.dpia_id == dpia_id).order_by(dpia_releases.c.released_at)
    kept = [row for row in connection.execute(left).mappings() if row["thing"] not in gone]
    things = select(dpia_releases.c.thing).where(dpia_releases.c.dpia_id == dpia_id)
    figures = select(dpia_evidence).where(dpia_evidence.c.about.in_(things)).order_by(dpia_evidence.c.measured_at)
    about: dict[str, list[Evidence]] = {row["thing"]: [] for row in kept}
    for row in connection.execute(figures).mappings():
        about.get(row["about"], []).append(_evidence(row))
    return tuple(Release(row["thing"], row["released_at"], tuple(about[row["thing"]])) for row in kept)


def sources_of(connection: Connection, thing: str) -> tuple[str, ...]:
    """In which runs a release was measured, each once, the first one first."""
    query = select(dpia_evidence.c.source).where(dpia_evidence.c.about == thing).order_by(dpia_evidence.c.measured_at)
    return tuple(dict.fromkeys(connection.scalars(query)))


def _evidence(row: Any) -> Evidence:
    return Evidence(**{name: row[name] for name in Evidence.__slots__})


def add_declaration(connection: Connection, dpia_id: str, declared: Declared, signature: bytes) -> None:
    """Keep what a person declared, with their signature."""
    connection.execute(
        insert(dpia_declarations).values(
            id=new_id("declaration"),
            dpia_id=dpia_id,
            version_id=declared.version,
            kind=declared.kind,
            subject=declared.subject,
            text=declared.text,
            person_id=declared.person,
            signature=signature.hex(),
            declared_at=declared.at,
        )
    )


def declarations_of(connection: Connection, dpia_id: str) -> tuple[Declared, ...]:
    """What was declared about any version of an assessment, the oldest first."""
    query = (
        select(dpia_declarations)
        .where(dpia_declarations.c.dpia_id == dpia_id)
        .order_by(dpia_declarations.c.declared_at, dpia_declarations.c.id)
    )
    return tuple(
        Declared(row["version_id"], row["kind"], row["subject"], row["text"], row["person_id"], row["declared_at"])
        for row in connection.execute(query).mappings()
    )


def still_raised(declared: Sequence[Declared], version: str) -> dict[str, datetime]:
    """Triggers of a version that were raised and not answered since."""
    found: dict[str, datetime] = {}
    for item in declared:
        if item.version == version and item.kind == "raised":
            found.setdefault(item.subject, item.at)
        elif item.version == version and item.kind == "answered":
            found.pop(item.subject, None)
    return found

"""The registers that permits allow: who has access to what for which purpose (EHDS Art. 58), and counts (Art. 59).

Made to be published: it names parties and datasets, never persons.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from statistics import median
from typing import Any, Final

from synthema.clock import to_text
from synthema.permits.model import Permit, PermitState
from synthema.vocabulary import Vocabulary

COLUMNS: Final = (
    "permit", "holder", "issuer", "datasets", "categories", "purpose", "format", "issued", "valid_from", "valid_to",
    "state", "results",
)  # fmt: skip
_PUBLIC: Final = (PermitState.ISSUED, PermitState.SUSPENDED, PermitState.REVOKED, PermitState.EXPIRED)


@dataclass(frozen=True, slots=True)
class Entry:
    """One permit as the public register shows it; ``results`` are public references (EHDS Art. 58(1)(d), 61(4))."""

    permit: str
    holder: str
    issuer: str
    datasets: tuple[str, ...]
    categories: tuple[str, ...]
    purpose: str
    format: str
    issued: str
    valid_from: str
    valid_to: str
    state: str
    results: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """The figures a two-yearly report asks for (EHDS Art. 59)."""

    applications: int
    issued: int
    refused: int
    waiting: int
    revoked: int
    suspended: int
    expired: int
    extended: int
    median_days: float | None
    by_purpose: dict[str, int]


def public_register(
    permits: Sequence[Permit],
    vocabulary: Vocabulary,
    results: Mapping[str, Sequence[str]],
    names: Mapping[str, str] | None = None,
) -> list[Entry]:
    """Every permit that was ever issued, the latest first; ``results`` gives published results by permit."""
    named = names or {}
    issued = [permit for permit in permits if permit.state in _PUBLIC and permit.approved_at is not None]
    return [
        Entry(
            permit=permit.id,
            holder=named.get(permit.content.holder, permit.content.holder),
            issuer=named.get(permit.issuer, permit.issuer),
            datasets=permit.content.data.datasets,
            categories=tuple(vocabulary.label(category) for category in permit.content.data.categories),
            purpose=vocabulary.label(permit.content.purpose),
            format=permit.content.data.format,
            issued="" if permit.approved_at is None else to_text(permit.approved_at)[:10],
            valid_from=permit.content.valid_from.isoformat(),
            valid_to=permit.valid_to.isoformat(),
            state=permit.state.value.removeprefix("Permit").lower(),
            results=tuple(results.get(permit.id, ())),
        )
        for permit in sorted(issued, key=lambda p: (p.approved_at or p.applied_at, p.id), reverse=True)
    ]


def report_counts(
    permits: Sequence[Permit], vocabulary: Vocabulary, since: datetime | None = None, until: datetime | None = None
) -> Counts:
    """How many permits were asked for, issued and refused, and how many days a decision took (applications in between).

    Permits of other bodies count here from the day they were taken in.
    """
    chosen = [
        permit
        for permit in permits
        if (since is None or permit.applied_at >= since) and (until is None or permit.applied_at < until)
    ]
    states = Counter(permit.state for permit in chosen)
    days = [(p.decided_at - p.applied_at).total_seconds() / 86_400 for p in chosen if p.decided_at is not None]
    purposes = Counter(vocabulary.label(p.content.purpose) for p in chosen if p.state in _PUBLIC)
    return Counts(
        applications=len(chosen),
        issued=sum(states[state] for state in _PUBLIC),
        refused=states[PermitState.REFUSED],
        waiting=states[PermitState.REQUESTED],
        revoked=states[PermitState.REVOKED],
        suspended=states[PermitState.SUSPENDED],
        expired=states[PermitState.EXPIRED],
        extended=sum(permit.extended for permit in chosen),
        median_days=round(median(days), 1) if days else None,
        by_purpose=dict(sorted(purposes.items())),
    )


def as_csv(entries: Sequence[Entry]) -> str:
    """The register as CSV (RFC 4180); several values of one cell are joined by "; "."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow(COLUMNS)
    for entry in entries:
        writer.writerow([_cell(getattr(entry, name)) for name in COLUMNS])
    return stream.getvalue()


def as_json(entries: Sequence[Entry], counts: Counts) -> dict[str, Any]:
    """Register and counts as one JSON value."""
    return {"register": [asdict(entry) for entry in entries], "counts": asdict(counts)}


def as_markdown(entries: Sequence[Entry], counts: Counts, name: str, on: datetime) -> str:
    """Register and counts as a page to publish."""
    days = "no decision yet" if counts.median_days is None else f"{counts.median_days:g} days"
    lines = [
        f"# Data permits of {name}",
        "",
        f"As of {on.date().isoformat()}. Register of EHDS Article 58, figures of Article 59.",
        "",
        "| Holder | Data | Purpose | Issued | Until | State | Results |",
        "|---|---|---|---|---|---|---|",
        *(
            "| "
            + " | ".join(
                _plain(_cell(value))
                for value in (e.holder, e.datasets, e.purpose, e.issued, e.valid_to, e.state, e.results)
            )
            + " |"
            for e in entries
        ),
        "",
        f"Applications: {counts.applications}. Issued: {counts.issued}. Refused: {counts.refused}.",
        f"Waiting: {counts.waiting}. Revoked: {counts.revoked}. Median time to a decision: {days}.",
    ]
    return "\n".join(lines) + "\n"


def _cell(value: str | tuple[str, ...]) -> str:
    text = "; ".join(value) if isinstance(value, tuple) else value
    # A cell that begins like a formula would be run by a spreadsheet.
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text


def _plain(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")

"""``synthema lineage``: questions to the log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from synthema.cli.client import call
from synthema.cli.options import HERE, HomeOption
from synthema.cli.output import Format, FormatOption, answer, say, show_table

app = typer.Typer(help="Lineage: where a thing comes from, what became of it, who saw what.")

ThingArgument = Annotated[str, typer.Argument(help="IRI of the thing, as the log names it.", metavar="IRI")]


@app.command("origin")
def origin(iri: ThingArgument, home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """Say where a thing comes from, back to the beginning.

    Example: synthema lineage origin https://a.example/id/run/run-… --home clinic
    """
    _ask("origin", iri, home, output)


@app.command("derived")
def derived(iri: ThingArgument, home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """Say what became of a thing: all that was made from it.

    Example: synthema lineage derived https://a.example/id/dataset/dataset-… --home clinic
    """
    _ask("derived", iri, home, output)


@app.command("plugin")
def plugin(
    digest: Annotated[str, typer.Argument(help="Digest of the plugin's files, sha256:…")],
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Say which steps used a plugin.

    Example: synthema lineage plugin sha256:… --home clinic
    """
    _ask("plugin", digest, home, output)


@app.command("agent")
def agent(
    iri: Annotated[str, typer.Argument(help="IRI or did of a person, connector or organisation.", metavar="IRI")],
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Say what a person, connector or organisation did.

    Example: synthema lineage agent did:web:hub.example --home clinic
    """
    _ask("agent", iri, home, output)


@app.command("permit")
def permit(
    named: Annotated[str, typer.Argument(help="Permit, e.g. permit-…, or IRI of an agreement.", metavar="PERMIT")],
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Say what happened under a permit or an agreement: decisions, grants, runs, what came out.

    Example: synthema lineage permit permit-… --home clinic
    """
    _ask("permit", named, home, output)


@app.command("patient")
def patient(
    named: Annotated[
        str, typer.Argument(help="Token of the patient, or with --dataset the key in it.", metavar="TOKEN")
    ],
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", help="The dataset that the patient's key is of.", show_default=False),
    ] = None,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Say what was derived from a patient's record. The log holds no patients: the cohort lists tell where it is.

    Example: synthema lineage patient 1017 --dataset mgus --home clinic
    """
    _ask("patient", named, home, output, dataset)


@app.command("seen")
def seen(
    period: Annotated[str, typer.Argument(help="Year, month or day in UTC, e.g. 2026-03.", metavar="WHEN")],
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Say who came to see what in a time: rows inside a run, files that were handed out, sums, the log itself.

    Example: synthema lineage seen 2026-03 --home clinic
    """
    _ask("seen", period, home, output)


@app.command("graph")
def graph(iri: ThingArgument, home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """Give what leads to a thing and what follows from it, as nodes and edges for drawing.

    Example: synthema lineage graph https://a.example/id/study/study-… --format json --home hub
    """
    answer(call(home, "lineage/ask", {"question": "graph", "about": iri}), output, _show_graph)


def _ask(question: str, about: str, home: Path, output: Format, dataset: str | None = None) -> None:
    value = {"question": question, "about": about} | ({"dataset": dataset} if dataset else {})
    answer(call(home, "lineage/ask", value), output, lambda found: say(*found["sentences"]))


def _show_graph(found: dict[str, Any]) -> None:
    labels = {node["id"]: node["label"] for node in found["nodes"]}
    rows = ((labels[e["source"]], e["relation"], labels[e["target"]]) for e in found["edges"])
    show_table(("What", "Relation", "From"), rows, empty="The log holds nothing about this.")

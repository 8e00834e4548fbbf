"""``synthema catalogue`` and ``synthema dataset describe``: what outsiders read of a house's datasets."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from synthema.cli.client import call
from synthema.cli.files import read_yaml, write_new
from synthema.cli.options import HERE, HomeOption, OutputOption
from synthema.cli.output import Format, FormatOption, answer, say, show_table

app = typer.Typer(help="Health catalogue: the HealthDCAT-AP records that others find your datasets by.")


class Form(StrEnum):
    """How a record is written."""

    TURTLE = "turtle"
    JSON_LD = "json-ld"
    RDF_XML = "rdf-xml"
    N_TRIPLES = "n-triples"


def add_to(datasets: typer.Typer) -> None:
    """Put ``describe`` among the commands on datasets."""
    datasets.command("describe")(describe)


def describe(
    dataset: Annotated[str, typer.Argument(help="Name of the dataset.", metavar="NAME")],
    file: Annotated[
        Path, typer.Argument(help="What the catalogue should say, as YAML: only what changes.", metavar="FACTS.yaml")
    ],
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """State or correct what the catalogue says of a dataset: contact, access body, provenance, retention, who may read.

    Example: synthema dataset describe mgus facts.yaml

    What decisions rest on (legal basis, categories, ethics approval, level of access) is not changed here: add the
    table again with another description.
    """
    value = {"dataset": dataset, "facts": read_yaml(file)}
    answer(call(home, "dataset/describe", value), output, _show_described)


def _show_described(found: dict[str, Any]) -> None:
    say(f"{found['dataset']}, version {found['version']}: {', '.join(found['described'])} is stated now.")
    if found["missing"]:
        say("A HealthDCAT-AP record of it still lacks:", *_lines(found["missing"]))
    else:
        say("Its HealthDCAT-AP record is complete: synthema catalogue export --dataset " + found["dataset"])


@app.command("show")
def show(home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """Show which datasets on offer have a complete record, who may read it, and what the others lack.

    Example: synthema catalogue show --home clinic
    """
    answer(call(home, "catalogue/show"), output, _show_states)


def _show_states(states: list[dict[str, Any]]) -> None:
    rows = (
        (s["dataset"], s["title"], s["readers"], "complete" if s["complete"] else f"lacks {len(s['missing'])} facts")
        for s in states
    )
    show_table(("Dataset", "Title", "Readers", "Record"), rows, empty="Nothing is on offer: synthema offer publish")
    for state in states:
        if state["missing"]:
            say("", f"The record of {state['dataset']} is in no catalogue until these are stated:")
            say(*_lines(state["missing"]))
            say(f"Write them into a file, then: synthema dataset describe {state['dataset']} facts.yaml")


@app.command("export")
def export(
    file: OutputOption,
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", help="Name of one dataset; the public catalogue if left out.", metavar="NAME"),
    ] = None,
    form: Annotated[Form, typer.Option("--form", help="Form of RDF.")] = Form.TURTLE,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Write the record of a dataset, or the public catalogue as a harvester reads it, into a new file.

    Example: synthema catalogue export --dataset mgus --form turtle -o mgus.ttl
    """
    made = call(home, "catalogue/export", {"dataset": dataset, "form": form.value})
    write_new(file, made["text"].encode())
    what = "The public catalogue" if dataset is None else f"The record of {dataset}"
    answer(
        {"file": str(file), "mediaType": made["mediaType"]},
        output,
        lambda _: say(
            f"{what} is in {file} ({made['mediaType']}).",
            "It follows HealthDCAT-AP release 8; that is no admission to the catalogue of HealthData@EU.",
        ),
    )


@app.command("croissant")
def croissant(
    artefact: Annotated[str, typer.Argument(help="Digest of the released package.", metavar="DIGEST")],
    file: OutputOption,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Describe a released synthetic dataset in Croissant 1.1, with its terms of use, for machine learning tools.

    Example: synthema catalogue croissant sha256:… -o croissant.json
    """
    import json

    made = call(home, "catalogue/croissant", {"artefact": artefact})
    write_new(file, (json.dumps(made, ensure_ascii=False, indent=2) + "\n").encode())
    answer(
        {"file": str(file)},
        output,
        lambda _: say(
            f"The Croissant description is in {file}.",
            "It is no certificate: whoever loads the rows verifies the package first (synthema cert verify).",
        ),
    )


def _lines(missing: list[dict[str, str]]) -> list[str]:
    return [f"  {each['field']}: {each['sentence']}; e.g. {each['example']}" for each in missing]

"""``synthema dataset`` and ``synthema offer``: tables of patients, and what is offered of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synthema.cli.client import call
from synthema.cli.files import codebook_text, read_json, read_text, read_yaml, write_new
from synthema.cli.options import HERE, HomeOption
from synthema.cli.output import Format, FormatOption, answer, say, short, show_table, working
from synthema.errors import InputError

if TYPE_CHECKING:
    from synthema.datasets import Codebook

app = typer.Typer(help="Datasets: take in tables of patients, and check them beforehand.")
offer = typer.Typer(help="Offers: what this connector shows its partners in the data space.")

TableArgument = Annotated[Path, typer.Argument(help="Table of patients as CSV.", metavar="FILE.csv")]
CodebookOption = Annotated[
    str, typer.Option("--codebook", help="Name of a bundled dictionary, or path of a codebook.", metavar="NAME|FILE")
]


@app.command("add")
def add(
    file: TableArgument,
    codebook: CodebookOption,
    name: Annotated[str, typer.Option("--name", help="Short name; the same for all versions, e.g. mgus.")],
    title: Annotated[str, typer.Option("--title", help="Title for people.")],
    metadata: Annotated[
        Path, typer.Option("--metadata", help="What people outside may know of it, as YAML.", metavar="FILE.yaml")
    ],
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Take in a table as a new, sealed version of a dataset; all of it or nothing.

    Example: synthema dataset add mgus.csv --codebook mgus --name mgus --title "MGUS cohort" --metadata mgus.yaml
    """
    value = {
        "name": name,
        "title": title,
        "file": file.name,
        "table": read_text(file),
        "codebook": codebook_text(codebook),
        "metadata": read_yaml(metadata),
    }
    with working(f"Reading and sealing {file.name} …"):
        added = call(home, "dataset/add", value)
    answer(
        added,
        output,
        lambda version: say(
            f"{version['title']}, version {version['version']}: {version['rows']} patients are sealed.",
            f"Digest: {version['digest']}",
            *_warnings(version["quality"]),
        ),
    )


def _warnings(quality: dict[str, Any]) -> list[str]:
    return [f"Look at this: {finding['sentence']}" for finding in quality["findings"]]


@app.command("list")
def list_datasets(home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """List the datasets of a connector, the newest version first.

    Example: synthema dataset list --home clinic
    """
    answer(call(home, "dataset/list"), output, _show)


def _show(versions: list[dict[str, Any]]) -> None:
    rows = ((v["name"], v["version"], v["title"], v["rows"], v["id"], short(v["digest"])) for v in versions)
    show_table(
        ("Name", "Version", "Title", "Patients", "Identifier", "Digest"),
        rows,
        empty="There is no dataset yet: synthema dataset add",
    )


@app.command("check")
def check(file: TableArgument, codebook: CodebookOption, output: FormatOption = Format.TEXT) -> None:
    """Look for faults in a table before it is taken in; needs no connector and keeps nothing.

    Example: synthema dataset check mgus.csv --codebook mgus
    """
    from synthema.datasets import assess, inspect_source

    book = _codebook(codebook)
    inspection = inspect_source(file, book)
    quality = assess(inspection.table, book) if inspection.table is not None else None
    weighed = quality.findings if quality else ()
    found = {
        "file": str(file),
        "rows": inspection.rows,
        "findings": [
            {"column": f.column, "sentence": f.sentence, "fix": f.fix, "lines": f.lines} for f in inspection.findings
        ],
        "quality": quality.as_dict() if quality else None,
        "lines": [[inspection.lines[row] for row in finding.rows] for finding in weighed],
        "fit": not inspection.findings and (quality is None or quality.passes),
    }

    def show(value: dict[str, Any]) -> None:
        say(*(finding.text() for finding in inspection.findings))
        for finding in weighed:
            head = "This keeps the table out" if finding.severity == "block" else "Look at this"
            say(f"{head}: {finding.text(inspection.lines)}")
        say(
            f"{inspection.rows} rows: nothing is in the way of taking this table in."
            if value["fit"]
            else f"{inspection.rows} rows: mend what is named above, then check again."
        )

    answer(found, output, show)
    if not found["fit"]:
        raise typer.Exit(InputError.exit_status)


@app.command("codebook")
def codebook_draft(
    schema: Annotated[
        Path, typer.Argument(help="A SYNTHEMA JSON schema, or a flat JSON Schema.", metavar="SCHEMA.json")
    ],
    name: Annotated[str, typer.Option("--name", help="Short name of the codebook, e.g. aml-clinic.")],
    title: Annotated[str, typer.Option("--title", help="Title for people.")],
    disease: Annotated[
        str, typer.Option("--disease", help="The disease as a word or IRI of the vocabulary, e.g. AML.")
    ],
    dictionary: Annotated[
        str | None,
        typer.Option("--dictionary", help="Bundled dictionary that lends what it knows.", metavar="NAME"),
    ] = None,
    into: Annotated[
        Path | None, typer.Option("--into", "-o", help="File to write the draft to.", metavar="FILE.yaml")
    ] = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Draft a codebook from a schema, and say what a person must still fill in; reads no data.

    Example: synthema dataset codebook AML_schema.json --name aml --title AML --disease AML --dictionary aml -o aml.yaml
    """
    from synthema.datasets import dictionary as bundled_dictionary
    from synthema.datasets.importing import import_schema
    from synthema.vocabulary import load_vocabulary

    draft = import_schema(
        read_json(schema),
        name=name,
        title=title,
        disease=load_vocabulary().diseases.resolve(disease),
        known=bundled_dictionary(dictionary) if dictionary else None,
        where=str(schema),
    )
    if into is not None:
        write_new(into, draft.text().encode())
    found = {
        "draft": draft.document,
        "open": draft.open_points,
        "assumed": draft.assumed,
        "flags": draft.flags,
        "leftOut": draft.left_out,
    }

    def show(_value: dict[str, Any]) -> None:
        if into is None:
            say(draft.text().rstrip())
            return
        say(f"{len(draft.document['variables'])} variables are in the draft {into}.")
        say(*(f"Open: {point}" for point in draft.open_points), *(f"Left out: {point}" for point in draft.left_out))
        say(f"{len(draft.assumed) + len(draft.flags)} things were assumed; they stand at the head of the file.")

    answer(found, output, show)


def _codebook(given: str) -> Codebook:
    from synthema.datasets import dictionary, load_codebook

    path = Path(given)
    return load_codebook(path) if path.suffix or path.is_file() else dictionary(given)


@offer.command("publish")
def publish(
    policy: Annotated[Path, typer.Argument(help="The agreement policy, in the form of a DPO.", metavar="FILE.yaml")],
    dataset: Annotated[str, typer.Option("--dataset", help="Name of the dataset.")],
    epsilon: Annotated[float, typer.Option("--epsilon", help="Privacy loss ε that one agreement may spend.")],
    delta: Annotated[float, typer.Option("--delta", help="Its δ, below one in the number of patients.")],
    total_epsilon: Annotated[
        float, typer.Option("--total-epsilon", help="Privacy loss ε that all recipients together may spend.")
    ],
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Offer a dataset to partners, under an agreement policy and a privacy budget.

    Example: synthema offer publish agreement.yaml --dataset mgus --epsilon 3 --delta 1e-6 --total-epsilon 6
    """
    value = {
        "dataset": dataset,
        "policy": read_text(policy),
        "epsilon": epsilon,
        "delta": delta,
        "total_epsilon": total_epsilon,
    }
    answer(
        call(home, "offer/publish", value),
        output,
        lambda made: say(
            f"{dataset} is on offer ({made['offer']}): up to ε = {epsilon:g} for each agreement.",
            *_not_yet_listed(dataset, made["missing"]),
        ),
    )


def _not_yet_listed(dataset: str, missing: list[str]) -> list[str]:
    if not missing:
        return []
    return [
        f"Its HealthDCAT-AP record lacks {', '.join(missing)}, so it stands in no health catalogue yet.",
        (
            "See what to state with: synthema catalogue show. "
            f"State it with: synthema dataset describe {dataset} facts.yaml"
        ),
    ]

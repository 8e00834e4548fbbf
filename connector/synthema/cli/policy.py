"""``synthema policy``: writing and understanding policies, without any connector."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synthema.cli.files import read_text, write_new
from synthema.cli.options import assignments
from synthema.cli.output import Format, FormatOption, answer, remember, say, show_table

if TYPE_CHECKING:
    from synthema.policy.model import Policy
    from synthema.vocabulary import Vocabulary

app = typer.Typer(help="Policies: write, check, explain, test, sign.")

PolicyArgument = Annotated[Path, typer.Argument(help="A policy in the form of a DPO.", metavar="FILE.yaml")]

FileOption = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="File to write; printed if left out.", metavar="FILE", show_default=False),
]


class Layout(StrEnum):
    """How a policy is explained."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"
    HTML = "html"


class Rdf(StrEnum):
    """What a policy is written as for machines."""

    TURTLE = "turtle"
    JSONLD = "jsonld"
    NQUADS = "nquads"


def _layout(context: typer.Context, value: Layout) -> Layout:
    remember(context, Format.JSON if value is Layout.JSON else Format.TEXT)
    return value


def _written(file: Path | None, text: str) -> None:
    """Say that a file is written, or write to stdout what would stand in it, as it is."""
    if file is not None:
        say(f"{file} is written.")
    else:
        sys.stdout.write(text)


@app.command("templates")
def templates(output: FormatOption = Format.TEXT) -> None:
    """List the templates to start from, with the values each one needs.

    Example: synthema policy templates
    """
    from synthema.policy.templates import placeholders, template_names

    known = [{"template": name, "values": list(placeholders(name))} for name in template_names()]
    answer(
        known,
        output,
        lambda rows: show_table(
            ("Template", "Needs"), ((r["template"], ", ".join(r["values"])) for r in rows), empty="There are none."
        ),
    )


@app.command("new")
def new(
    template: Annotated[str, typer.Argument(help="Name of a template; see: synthema policy templates")],
    values: Annotated[
        list[str] | None, typer.Option("--set", help="A value the template needs; repeatable.", metavar="KEY=VALUE")
    ] = None,
    file: FileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Make a policy from a template.

    Example: synthema policy new study-agreement --set name=mgus --set epsilon=3 -o agreement.yaml
    """
    from synthema.policy.templates import render

    text = render(template, assignments(values or [], "--set"))
    if file is not None:
        write_new(file, text.encode())
    made = {"policy": text, "file": str(file) if file else None}
    done = f"{file} is written. Next: synthema policy lint {file}"
    answer(made, output, lambda value: say(done if file else value["policy"].rstrip("\n")))


@app.command("explain")
def explain(
    policy: PolicyArgument,
    layout: Annotated[
        Layout,
        typer.Option("--format", callback=_layout, help="Text to read, markdown or html to file, json for machines."),
    ] = Layout.TEXT,
    file: FileOption = None,
) -> None:
    """Say in plain sentences what a policy means; as a page to print and file with --format html.

    Example: synthema policy explain research.yaml --format html -o research.html
    """
    from synthema.policy import plain
    from synthema.policy.outline import policy_outline

    read, vocabulary = _read(policy)
    outline = policy_outline(read, vocabulary)
    sentences = list(plain.lines(outline))
    made = {"policy": read.id, "sentences": sentences}
    if layout is Layout.JSON:
        text = json.dumps(made, ensure_ascii=False, indent=2) + "\n"
    elif layout is Layout.TEXT:
        text = "".join(f"{line}\n" for line in sentences)
    else:
        text = plain.markdown(outline) if layout is Layout.MARKDOWN else plain.page(outline)
    if file is not None:
        write_new(file, text.encode())
        made = {"policy": read.id, "file": str(file)}
    told = Format.JSON if layout is Layout.JSON else Format.TEXT
    answer(made, told, lambda _: _written(file, text))


@app.command("export")
def export(
    policy: PolicyArgument,
    to: Annotated[Rdf, typer.Option("--to", help="Form of ODRL 2.2 to write.")] = Rdf.TURTLE,
    base: Annotated[
        str | None,
        typer.Option("--base", help="Address of the connector, for short names.", metavar="URL", show_default=False),
    ] = None,
    file: FileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Write a policy as ODRL 2.2 in the Synthema profile, for other systems.

    Example: synthema policy export research.yaml --to jsonld -o research.jsonld
    """
    from synthema.policy.odrl import policy_digest, to_odrl
    from synthema.policy.rdf import to_nquads, to_turtle

    read, _ = _read(policy, base)
    if to is Rdf.TURTLE:
        text = to_turtle(read)
    elif to is Rdf.NQUADS:
        text = to_nquads(read).decode()
    else:
        text = json.dumps(to_odrl(read), ensure_ascii=False, indent=2) + "\n"
    if file is not None:
        write_new(file, text.encode())
    made = {
        "policy": read.id,
        "digest": policy_digest(read),
        "to": str(to),
        "text": text,
        "file": str(file) if file else None,
    }
    answer(made, output, lambda _: _written(file, text))


@app.command("schema")
def schema(file: FileOption = None) -> None:
    """Print the JSON Schema of the form, with which editors complete and check a policy while you type.

    Example: synthema policy schema -o policy.schema.json
    """
    from synthema.policy.schema import schema_text
    from synthema.vocabulary import load_vocabulary

    text = schema_text(load_vocabulary())
    if file is None:
        sys.stdout.write(text)
        return
    write_new(file, text.encode())
    say(f"{file} is written. First line of a policy: # yaml-language-server: $schema={file.name}")


def _read(file: Path, base: str | None = None) -> tuple[Policy, Vocabulary]:
    from synthema.policy.authoring import DEFAULT_BASE, parse_policy
    from synthema.vocabulary import load_vocabulary

    vocabulary = load_vocabulary()
    return parse_policy(read_text(file), vocabulary, file=str(file), base=base or DEFAULT_BASE), vocabulary

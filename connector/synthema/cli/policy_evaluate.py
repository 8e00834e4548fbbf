"""``synthema policy evaluate`` and ``import``: ODRL of others, without any connector."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synthema.cli.client import call
from synthema.cli.files import read_bytes, write_new
from synthema.cli.options import HERE, HomeOption
from synthema.cli.output import Format, FormatOption, answer, print_envelope, say
from synthema.errors import DeniedError, InputError

if TYPE_CHECKING:
    from synthema.policy.evaluator import Evaluation
    from synthema.policy.intake import Graph

_PANEL = "ODRL of others"


class ReportFormat(StrEnum):
    """How an evaluation is told."""

    TEXT = "text"
    JSON = "json"
    TURTLE = "turtle"
    JSON_LD = "jsonld"
    N_QUADS = "nquads"


class Duties(StrEnum):
    """What keeps a permission from being used."""

    STRICT = "strict"
    LAX = "lax"


class Behaviour(StrEnum):
    """What counts where no rule speaks."""

    CLOSED = "closed"
    DEFAULT_CLOSED = "default-closed"
    OPEN = "open"


class Missing(StrEnum):
    """Whether a prohibition counts whose condition cannot be told."""

    CAUTIOUS = "cautious"
    CLOSED = "closed"


class Words(StrEnum):
    """The vocabulary of the report."""

    FORCE = "force"
    W3C = "w3c"


def add_to(app: typer.Typer) -> None:
    """Put these commands beside the others on policies."""
    app.command("evaluate", rich_help_panel=_PANEL)(evaluate)
    app.command("import", rich_help_panel=_PANEL)(import_policy)
    app.command("report", rich_help_panel="At a connector")(report)


def evaluate(
    *,
    policy: Annotated[
        list[Path], typer.Option("--policy", help="ODRL as .ttl, .trig, .nq or .jsonld; repeatable.", metavar="FILE")
    ],
    world: Annotated[Path, typer.Option("--world", help="The state of the world, in RDF.", metavar="FILE")],
    request: Annotated[
        Path | None,
        typer.Option(
            "--request",
            help="The evaluation request, in RDF; without one, what the world says was done is checked.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    duties: Annotated[
        Duties, typer.Option("--duties", help="Whether a duty not yet fulfilled blocks, or only a violated one.")
    ] = Duties.STRICT,
    behaviour: Annotated[
        Behaviour, typer.Option("--behaviour", help="What counts where no rule speaks.")
    ] = Behaviour.CLOSED,
    missing: Annotated[
        Missing, typer.Option("--missing", help="Whether a prohibition counts whose condition cannot be told.")
    ] = Missing.CAUTIOUS,
    offers: Annotated[
        bool, typer.Option("--offers", help="Evaluate offers too, which the W3C draft rules out.")
    ] = False,
    at: Annotated[
        str | None,
        typer.Option("--at", help="The time, if not the one of the world.", metavar="TIME", show_default=False),
    ] = None,
    vocabulary: Annotated[
        Words, typer.Option("--vocabulary", help="Names in the RDF report: FORCE's, or those of the W3C draft.")
    ] = Words.FORCE,
    output: Annotated[
        ReportFormat, typer.Option("--format", help="Text for people, json, or the compliance report as RDF.")
    ] = ReportFormat.TEXT,
) -> None:
    """Evaluate ODRL 2.2 policies for a request; exits 3 on deny, or when what was done does not comply.

    Example: synthema policy evaluate --policy rules.ttl --request request.ttl --world world.ttl --format turtle
    """
    from synthema.policy.evaluator import Options, as_json, compliance_report, read_request, read_world, sentences
    from synthema.policy.evaluator import evaluate as evaluate_policies
    from synthema.policy.intake import Syntax, read_policies

    graphs = [_graph(path) for path in policy]
    result = evaluate_policies(
        [written for graph in graphs for written in read_policies(graph)],
        read_world(_graph(world)),
        None if request is None else read_request(_graph(request)),
        sources=graphs,
        at=_moment(at),
        options=Options(duties=duties.value, behaviour=behaviour.value, missing=missing.value, offers=offers),
    )
    syntaxes = {
        ReportFormat.TURTLE: Syntax.TURTLE,
        ReportFormat.JSON_LD: Syntax.JSON_LD,
        ReportFormat.N_QUADS: Syntax.N_QUADS,
    }
    if output is ReportFormat.TEXT:
        say(*sentences(result))
    elif output is ReportFormat.JSON:
        print_envelope({"status": "ok", "data": as_json(result)})
    else:
        typer.echo(compliance_report(result, vocabulary.value, syntaxes[output]).decode(), nl=False)
    if not _passes(result):
        raise typer.Exit(DeniedError.exit_status)


def _passes(result: Evaluation) -> bool:
    return result.compliant if result.asked is None else result.effect == "permit"


def _moment(text: str | None) -> datetime | None:
    from synthema.clock import from_text

    return None if text is None else from_text(text)


def _graph(path: Path) -> Graph:
    from synthema.policy.intake import read_graph, syntax_of

    return read_graph(read_bytes(path), syntax_of(path.name), where=str(path))


def import_policy(
    file: Annotated[Path, typer.Argument(help="ODRL as .ttl, .trig, .nq or .jsonld.", metavar="FILE")],
    *,
    layer: Annotated[
        str | None,
        typer.Option(
            "--layer",
            help="For a policy without our profile: site, dataset or agreement.",
            metavar="LAYER",
            show_default=False,
        ),
    ] = None,
    title: Annotated[
        str, typer.Option("--title", help="For a policy without our profile: its title.")
    ] = "Policy taken over",
    version: Annotated[str, typer.Option("--version", help="For a policy without our profile: its version.")] = "1",
    target: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="File to write; printed if left out.", metavar="FILE", show_default=False),
    ] = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Turn an ODRL policy into the form of a DPO; what the Synthema profile has no words for is refused.

    Example: synthema policy import rules.ttl -o rules.yaml
    """
    from synthema.policy.intake import import_policies
    from synthema.policy.intake.profile import Adopted
    from synthema.policy.writing import write_form
    from synthema.vocabulary import load_vocabulary

    pinned = load_vocabulary()
    adopted = None if layer is None else Adopted(_layer(layer), version, title)
    policies = import_policies(_graph(file), pinned, adopted=adopted)
    if len(policies) != 1:
        raise InputError(f"the file holds {len(policies)} policies", where=str(file), fix="give one in each file")
    text = write_form(policies[0], pinned)
    if target is not None:
        write_new(target, text.encode())
    made: dict[str, Any] = {"policy": policies[0].id, "form": text, "file": str(target) if target else None}
    done = f"{target} is written. Next: synthema policy lint {target}"
    answer(made, output, lambda value: say(done if target else value["form"].rstrip("\n")))


def _layer(name: str) -> Any:
    from synthema.policy.model import LAYER_NAMES, Layer

    for layer, word in LAYER_NAMES.items():
        if name.casefold() in (word, layer.value.casefold()):
            return Layer(layer)
    words = ", ".join(LAYER_NAMES.values())
    raise InputError(f"'{name}' is no layer", fix=f"use one of: {words}")


class Rdf(StrEnum):
    """A syntax of RDF, or one JSON value around Turtle."""

    TURTLE = "turtle"
    N_QUADS = "nquads"
    JSON_LD = "jsonld"
    JSON = "json"


def report(
    run: Annotated[str, typer.Argument(help="Identifier of the run that was decided.", metavar="RUN")],
    home: HomeOption = HERE,
    output: Annotated[Rdf, typer.Option("--format", help="The syntax of RDF; json is Turtle in one JSON value.")] = (
        Rdf.TURTLE
    ),
) -> None:
    """Tell the decision on a run as a compliance report in RDF, with the facts used and their evidence.

    Example: synthema policy report run-… --home clinic
    """
    syntax = Rdf.TURTLE if output is Rdf.JSON else output
    told = call(home, "policy/report", {"run": run, "format": syntax.value})
    if output is Rdf.JSON:
        print_envelope({"status": "ok", "data": told})
    else:
        typer.echo(told["report"], nl=False)

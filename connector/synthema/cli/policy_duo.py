"""``synthema policy from-duo`` and ``to-duo``: codes of the Data Use Ontology as a policy, and a policy as codes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from synthema.cli.files import read_text, write_new
from synthema.cli.options import assignments
from synthema.cli.output import Format, FormatOption, answer, say, show_table
from synthema.cli.policy import PolicyArgument
from synthema.errors import InputError

_PANEL = "Data Use Ontology"
_VALUES = ("name", "title", "dataset", "version")


def add_to(app: typer.Typer) -> None:
    """Put these commands beside the others about policies."""
    app.command("duo", rich_help_panel=_PANEL)(duo)
    app.command("from-duo", rich_help_panel=_PANEL)(from_duo)
    app.command("to-duo", rich_help_panel=_PANEL)(to_duo)
    app.command("match-duo", rich_help_panel=_PANEL)(match_duo)


def duo(output: FormatOption = Format.TEXT) -> None:
    """List the codes of the Data Use Ontology (DUO), with what each one says and needs.

    Example: synthema policy duo
    """
    from synthema.policy.duo_codes import CODES

    known = [
        {"code": c.code, "duo": c.curie, "kind": c.kind, "sentence": c.sentence, "needs": c.needs}
        for c in CODES
        if c.kind != "heading"
    ]
    answer(
        known,
        output,
        lambda rows: show_table(
            ("Code", "Kind", "Says", "Needs"),
            ((r["code"], r["kind"], r["sentence"], r["needs"]) for r in rows),
            empty="There are none.",
        ),
    )


def from_duo(
    codes: Annotated[list[str], typer.Argument(help="Codes, e.g. HMB NPU DS=ORPHA:519", metavar="CODE…")],
    *,
    values: Annotated[
        list[str] | None,
        typer.Option("--set", help="name, title, dataset and version of the policy; repeatable.", metavar="KEY=VALUE"),
    ] = None,
    no_ai_training: Annotated[
        bool, typer.Option("--no-ai-training", help="Forbid the training of algorithms, too; DUO has no code for it.")
    ] = False,
    file: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="File to write; printed if left out.", metavar="FILE", show_default=False),
    ] = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Make a dataset policy from DUO codes; codes that contradict one another are refused.

    Example: synthema policy from-duo HMB NPU DS=ORPHA:519 --set name=aml --set title="AML registry" --set dataset=aml
    """
    from synthema.policy.duo import DuoHead, policy_from_duo
    from synthema.policy.duo_codes import parse_codes
    from synthema.vocabulary import load_vocabulary

    given = {"version": "1"} | assignments(values or [], "--set")
    if set(given) != set(_VALUES):
        raise InputError("name, title and dataset are needed, and nothing else", fix="give each with --set")
    head = DuoHead(given["name"], given["title"], given["dataset"], given["version"])
    text = policy_from_duo(parse_codes(codes), head, load_vocabulary(), no_ai_training=no_ai_training)
    if file is not None:
        write_new(file, text.encode())
    made = {"policy": text, "file": str(file) if file else None}
    done = f"{file} is written. Next: synthema policy explain {file}"
    answer(made, output, lambda value: say(done if file else value["policy"].rstrip("\n")))


def to_duo(file: PolicyArgument, output: FormatOption = Format.TEXT) -> None:
    """Say of each DUO code whether a policy keeps it: in every permission, in some, or not.

    Example: synthema policy to-duo aml.yaml
    """
    from synthema.policy.authoring import parse_policy
    from synthema.policy.duo_match import codes_of
    from synthema.vocabulary import load_vocabulary

    vocabulary = load_vocabulary()
    policy = parse_policy(read_text(file), vocabulary, file=str(file))
    matches = [match.as_dict() for match in codes_of(policy, vocabulary)]

    def text(rows: list[dict[str, Any]]) -> None:
        kept = [row for row in rows if row["holds"] != "no"]
        shown = ((r["code"] + (f"={r['value']}" if r["value"] else ""), r["holds"], r["sentence"]) for r in kept)
        show_table(("Code", "Kept", "Says"), shown, empty="This policy keeps none of the codes.")
        say(f"Not kept: {', '.join(row['code'] for row in rows if row['holds'] == 'no')}.")

    answer(matches, output, text)


def match_duo(
    codes: Annotated[list[str], typer.Argument(help="Codes of a dataset, e.g. HMB NPU DS=ORPHA:519", metavar="CODE…")],
    *,
    facts: Annotated[
        list[str] | None,
        typer.Option("--fact", help="What is known of the request; repeatable.", metavar="OPERAND=VALUE"),
    ] = None,
    action: Annotated[str, typer.Option("--action", help="What is to be done with the data.")] = "analyse",
    party: Annotated[str, typer.Option("--party", help="Who asks.", metavar="DID")] = "did:web:applicant.example",
    output: FormatOption = Format.TEXT,
) -> None:
    """Say of each code of a dataset whether a request fits it; what is not known stays open.

    Example: synthema policy match-duo HMB NPU DS=ORPHA:519 --fact purpose="health research" --fact disease=AML
    """
    from synthema.clock import SystemClock
    from synthema.policy.analysis import facts_of
    from synthema.policy.duo_codes import parse_codes
    from synthema.policy.duo_match import fits
    from synthema.policy.requests import access_request
    from synthema.vocabulary import load_vocabulary

    vocabulary = load_vocabulary()
    request = access_request(
        vocabulary,
        id="application",
        action=action,
        target="urn:dataset:asked-for",
        assignee=party,
        at=SystemClock().now(),
        facts=facts_of(assignments(facts or [], "--fact"), vocabulary),
    )
    found = [fit.as_dict() for fit in fits(parse_codes(codes), request, vocabulary)]

    def text(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            say(f"{row['code']}: {row['fit']}", *(f"  {sentence}" for sentence in row["sentences"]))

    answer(found, output, text)

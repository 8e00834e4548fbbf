"""``synthema request`` and ``synthema artefact``: asking for a run, and taking what was released."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Annotated, Any

import typer

from synthema.cli.client import call
from synthema.cli.files import read_yaml, write_new
from synthema.cli.options import HERE, HomeOption, OutputOption
from synthema.cli.output import Format, FormatOption, answer, say, show_table, working
from synthema.errors import DeniedError, InputError, IntegrityError

app = typer.Typer(help="Requests: ask for a run on a site's data, and see what was decided.")
artefact = typer.Typer(help="Artefacts: the files that runs released.")


@app.command("submit")
def submit(
    file: Annotated[Path, typer.Argument(help="The run request as YAML.", metavar="FILE.yaml")],
    *,
    decide_only: Annotated[bool, typer.Option("--decide-only", help="Get the decision, but do not run yet.")] = False,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Ask for a run: it is decided, run, measured and released or withheld; exits 3 on deny, 6 when withheld.

    Example: synthema request submit request.yaml --home clinic
    """
    value = {"request": _read(file), "execute": not decide_only}
    with working("Deciding, and running what is permitted …"):
        result = call(home, "request/submit", value)
    answer(result, output, _show_result)
    if result["effect"] != "permit":
        raise typer.Exit(DeniedError.exit_status)
    if not result.get("verdict", {"released": True})["released"]:
        raise typer.Exit(IntegrityError.exit_status)


@app.command("run")
def run(
    identifier: Annotated[str, typer.Argument(help="Identifier of the run.", metavar="RUN")],
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Run what was permitted earlier with --decide-only, once and before its grant expires; exits 6 when withheld.

    Example: synthema request run run-… --home clinic
    """
    with working("Running …"):
        result = call(home, "request/run", {"run": identifier})
    answer(result, output, lambda value: _show_verdict(value["verdict"]))
    if not result["verdict"]["released"]:
        raise typer.Exit(IntegrityError.exit_status)


def _read(file: Path) -> dict[str, Any]:
    """The request in a file; raises :class:`InputError` naming the field that is wrong."""
    from pydantic import ValidationError

    from synthema.runs.model import RunRequest

    value = read_yaml(file)
    try:
        RunRequest.model_validate({"requester": "this connector", **value, "id": "given when it is decided"})
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{field}: {first['msg']}", where=str(file), fix=f"correct '{field}'") from error
    return value


def _show_result(result: dict[str, Any]) -> None:
    say(*result["sentences"], f"Run: {result['run']}")
    if verdict := result.get("verdict"):
        _show_verdict(verdict)


def _show_verdict(verdict: dict[str, Any]) -> None:
    say("", *verdict["sentences"])
    say("Released:" if verdict["released"] else "Withheld: the output stays inside and is deleted.")
    say(*(f"  {file['name']}  {file['digest']}" for file in verdict["artefacts"]))


@app.command("list")
def list_requests(home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """List the latest requests with where they stand, the newest first.

    Example: synthema request list --home clinic
    """

    def show(runs: list[dict[str, Any]]) -> None:
        rows = ((r["run"], r["state"], r["action"], r["dataset"], r["epsilon"], r["created"]) for r in runs)
        show_table(("Run", "State", "Action", "Dataset", "ε", "Asked"), rows, empty="Nothing was asked for yet.")

    answer(call(home, "request/list"), output, show)


@app.command("show")
def show_request(
    run: Annotated[str, typer.Argument(help="Identifier of the run.")],
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Show one request: its state, why it was decided so, and its files.

    Example: synthema request show run-… --home clinic
    """
    answer(call(home, "request/show", {"run": run}), output, _show_run)


def _show_run(run: dict[str, Any]) -> None:
    say(f"{run['run']} is {run['state']}{': ' + run['reason'] if run['reason'] else ''}")
    say(f"{run['requester']} asked to {run['action']} on {run['dataset']} for {run['purpose']}.")
    decision = run["decision"] or {}
    say(*(reason["explanation"] for reason in decision.get("reasons", [])))
    changes = [f"  {change['sentence']}" for change in decision.get("changes", [])]
    say(*(["What would permit it:", *changes] if changes else []))
    for act in run.get("acts", []):
        say("", f"Of its output: {act['effect']} to {act['action'].rpartition('#')[2]}, decision {act['id']}.")
        say(*act["sentences"])
    say(*(f"  {file['state']}: {file['name']}  {file['digest']}" for file in run["artefacts"]))


@artefact.command("save")
def save(
    digest: Annotated[str, typer.Argument(help="Digest of the file, sha256:…")],
    file: OutputOption,
    person: Annotated[
        str | None,
        typer.Option("--person", help="Role account that fetches it; an anonymised table goes to its permit's only."),
    ] = None,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Save a released file; its bytes are checked against the digest.

    Example: synthema artefact save sha256:… -o synthetic.parquet --home clinic
    """
    from synthema.canonical import digest_bytes

    found = call(home, "artefact/fetch", {"digest": digest, "person": person})
    content = base64.b64decode(found.pop("content"))
    if digest_bytes(content) != digest:
        raise IntegrityError("the bytes are not those of the digest", fix="run: synthema log verify")
    write_new(file, content)
    answer(found | {"file": str(file)}, output, lambda value: say(f"{file}: {value['bytes']} bytes, as released."))

"""``synthema study``: federated studies that a hub conducts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from synthema.cli.client import call, call_served
from synthema.cli.files import codebook_text
from synthema.cli.options import HERE, HomeOption
from synthema.cli.output import Format, FormatOption, answer, progress, say, show_table, working

app = typer.Typer(help="Studies between sites: check, run, follow.")

STATUS_OF = {"released": 0, "refused": 3, "stopped": 6, "failed": 6}
"""Final state of a study → exit status."""

StudyArgument = Annotated[Path, typer.Argument(help="What the researcher decided.", metavar="STUDY.yaml")]
CodebookOption = Annotated[
    str | None,
    typer.Option(
        "--codebook",
        help="A dictionary's name or a codebook's path, instead of the one the study names.",
        metavar="NAME|FILE",
        show_default=False,
    ),
]


@app.command("check")
def check(study: StudyArgument, codebook: CodebookOption = None, output: FormatOption = Format.TEXT) -> None:
    """Check a study file and its codebook, without any connector.

    Example: synthema study check study.yaml
    """
    from synthema.datasets.codebook import dictionary, read_codebook
    from synthema.federation.form import check_study

    form, book = _read(study, codebook)
    known = read_codebook(book, form["codebook"]) if "\n" in book else dictionary(book)
    check_study(study, known)
    found = {
        "title": form["title"],
        "sites": len(form["sites"]) or None,
        "codebook": known.id,
        "fields": form["fields"],
    }

    def text(value: dict[str, Any]) -> None:
        sites = f"{value['sites']} sites" if value["sites"] else "the sites that the catalogue query finds"
        say(
            f"{value['title']}: {sites}, {len(value['fields'])} variables of {value['codebook']}. The file is complete."
        )

    answer(found, output, text)


@app.command("run")
def run(
    study: StudyArgument,
    *,
    codebook: CodebookOption = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow the study to its end.")] = True,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Begin a study at a running hub and follow it; exits 0 when released, 3 when refused, 6 when stopped or failed.

    Example: synthema study run study.yaml --home hub
    """
    form, book = _read(study, codebook)
    started = call_served(home, "study/start", {"study": form, "codebook": book})
    if wait:
        _watch(home, started["study"], form["title"], output)
    answer(started, output, _begun)


@app.command("start")
def start(
    study: StudyArgument,
    *,
    codebook: CodebookOption = None,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Begin a study at a running hub and leave it to itself; it goes on after a restart of the hub too.

    Example: synthema study start study.yaml --home hub
    """
    form, book = _read(study, codebook)
    answer(call_served(home, "study/start", {"study": form, "codebook": book}), output, _begun)


@app.command("watch")
def watch(
    study: Annotated[str, typer.Argument(help="Identifier of the study.")],
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Follow a study to its end, round by round; exits 0 when released, 3 when refused, 6 when stopped or failed.

    Example: synthema study watch study-… --home hub
    """
    _watch(home, study, study, output)


@app.command("schema")
def schema() -> None:
    """Print the JSON Schema of study files, for editors that check while one writes.

    Example: synthema study schema > study.schema.json
    """
    from synthema.federation.form import schema_text

    say(schema_text().rstrip("\n"))


def _begun(started: dict[str, Any]) -> None:
    say(f"{started['study']} has begun. Follow it with: synthema study watch {started['study']}")


def _watch(home: Path, study: str, title: str, output: Format) -> NoReturn:
    with working(f"{title} …") as tell:
        ended = follow(home, study, tell)
    answer(ended, output, _show)
    raise typer.Exit(STATUS_OF[ended["state"]])


def follow(home: Path, study: str, tell: Callable[[str], None]) -> dict[str, Any]:
    """Look at a study until it has ended, telling a terminal each step; returns it as it ended."""
    told, opened = 0, 0
    while True:
        asked = {"study": study, "events": told, "opened": opened}
        seen: dict[str, Any] = call_served(home, "study/watch", asked)
        for event in seen["events"][told:]:
            if progress.is_terminal:
                progress.print(_event(event), markup=False)
        told = len(seen["events"])
        if seen["state"] in STATUS_OF:
            return seen
        so_far = seen.get("progress")
        opened = so_far["opened"] if so_far else 0
        tell(f"{seen['title']}: {seen['state']}{_rounds_so_far(so_far)} …")


def _rounds_so_far(so_far: dict[str, Any] | None) -> str:
    """How far the rounds are, in a few words."""
    if so_far is None or not so_far["opened"]:
        return ""
    spent = so_far["rho"] / so_far["rhoPlanned"]
    return f", round {so_far['opened']} of at most {so_far['planned']}, {spent:.0%} of its privacy budget"


@app.command("show")
def show(
    study: Annotated[str, typer.Argument(help="Identifier of the study.")],
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Show a study: its state, its story and its result.

    Example: synthema study show study-… --home hub
    """
    answer(call(home, "study/show", {"study": study}), output, _show)


@app.command("rounds")
def rounds(
    study: Annotated[str, typer.Argument(help="Identifier of the study.")],
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """List the opened rounds of a study: who took part, at what privacy cost.

    Example: synthema study rounds study-… --home hub
    """

    def text(opened: list[dict[str, Any]]) -> None:
        rows = ((r["round"], len(r["survivors"]), len(r["dropped"]), r["rho"], r["sigma"]) for r in opened)
        show_table(("Round", "Sites", "Dropped", "ρ", "σ"), rows, empty="No round is open yet.")

    answer(call(home, "study/rounds", {"study": study}), output, text)


@app.command("list")
def list_studies(home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """List the studies of a hub, the newest first.

    Example: synthema study list --home hub
    """

    def text(studies: list[dict[str, Any]]) -> None:
        rows = ((s["id"], s["title"], s["state"], s["reason"]) for s in studies)
        show_table(("Study", "Title", "State", "Reason"), rows, empty="There is no study yet: synthema study run")

    answer(call(home, "study/list"), output, text)


@app.command("engine")
def engine(
    folder: Annotated[Path, typer.Argument(help="Where FLARE's environment is, or shall be.", metavar="FOLDER")],
    constraints: Annotated[
        Path | None, typer.Option("--constraints", help="Exact versions for pip.", metavar="FILE", show_default=False)
    ] = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Find NVIDIA FLARE 2.9, which carries rounds between machines, or install it into an environment of its own.

    Example: synthema study engine flare-environment
    """
    from synthema.federation.flare import FlareEnvironment

    made = FlareEnvironment(folder.resolve()).make(constraints)
    answer(
        {"folder": str(made.folder), "version": made.version()},
        output,
        lambda value: say(f"NVIDIA FLARE {value['version']} is in {value['folder']}."),
    )


def _read(study: Path, codebook: str | None) -> tuple[dict[str, Any], str]:
    """The study as JSON, and its codebook as an operation takes it."""
    from synthema.federation.form import load_study

    form = load_study(study)
    book = codebook_text(codebook) if codebook is not None else codebook_text(form.codebook, beside=study.parent)
    return form.model_dump(mode="json"), book


def _show(study: dict[str, Any]) -> None:
    say(f"{study['title']} ({study['id']}) is {study['state']}{': ' + study['reason'] if study['reason'] else '.'}")
    engine = study.get("engine")
    if engine:
        say(f"  {_carrier(engine)}")
    so_far = study.get("progress")
    if so_far:
        say(
            f"  {so_far['opened']} of at most {so_far['planned']} rounds are open, at ρ = {so_far['rho']:.4g} of "
            f"{so_far['rhoPlanned']:.4g}; {len(so_far['present'])} of {so_far['sites']} sites are with it now, "
            f"{so_far['needed']} are needed."
        )
    say(*(f"  {_event(event)}" for event in study["events"]))
    result = study["result"] or {}
    say(*(f"{key}: {result[key]}" for key in ("certificate", "package") if isinstance(result.get(key), str)))


def _carrier(engine: dict[str, Any]) -> str:
    """Which engine carries the rounds, in a sentence."""
    if engine["name"] == "embedded":
        return "The connectors' own channel carries its rounds, on one machine."
    return f"NVIDIA FLARE carries its rounds, from {engine['host']}:{engine['port']}."


def _event(event: dict[str, Any]) -> str:
    """One step of a study's story; a refusal with the reasons the site gave."""
    place = f" {event['site']}:" if "site" in event else ""
    told = event.get("answer", {})
    reasons = told["sentences"] if told.get("effect") == "deny" else []
    return "\n    ".join([f"{event['at'][11:19]}{place} {event['text']}", *reasons])

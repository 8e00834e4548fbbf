"""``synthema study``: federated studies that a hub conducts."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from synthema.canonical import canonical_json
from synthema.cli.client import call, call_served
from synthema.cli.files import codebook_text, read_bytes, read_json, write_new
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
    said = f", round {so_far['opened']} of at most {so_far['planned']}"
    if not so_far["rhoPlanned"]:
        return f"{said}, without noise"
    return f"{said}, {so_far['rho'] / so_far['rhoPlanned']:.0%} of its privacy budget"


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


@app.command("report")
def report(
    study: Annotated[str, typer.Argument(help="Identifier of the study.")],
    *,
    file: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            show_default=False,
            help="File to write, never overwritten: a page if it ends in .html, else the released JSON.",
        ),
    ] = None,
    proof: Annotated[
        Path | None,
        typer.Option("--proof", metavar="FILE", show_default=False, help="Write what shows that it was permitted."),
    ] = None,
    home: HomeOption = HERE,
    format_: FormatOption = Format.TEXT,
) -> None:
    """Show the released report of a study, or write it to a file as a page or as data.

    Example: synthema study report study-… --output report.html --home hub
    """
    page = file is not None and file.suffix.lower() in (".html", ".htm")
    found = call(home, "study/report", {"study": study, "page": page})
    if file is not None:
        write_new(file, found["page"].encode() if page else b64decode(found["content"]))
    if proof is not None:
        write_new(proof, canonical_json(found["proof"]))
    written = [str(path) for path in (file, proof) if path is not None]

    def text(value: dict[str, Any]) -> None:
        if written:
            say(f"{value['digest']} is in {' and '.join(written)}.")
            return
        figures = value["report"]["figures"]
        rows = ((f["id"], f["definition"], f["value"], f["lower"], f["upper"], f["n"]) for f in figures["metrics"])
        show_table(("Figure", "Of what", "Value", "95 % from", "to", "Patients"), rows, empty="It has no figures.")
        say(*figures["notes"])

    shown = {key: value for key, value in found.items() if key not in ("page", "content")}
    answer({**shown, "files": written}, format_, text)


@app.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(help="The report, as JSON.", metavar="REPORT.json")],
    proof: Annotated[Path, typer.Argument(help="What shows that it was permitted.", metavar="PROOF.json")],
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Check a released report against its proof: bytes, sites, decisions, log; exits 6 where something does not hold.

    Example: synthema study verify report.json proof.json --home clinic
    """
    asked = {"content": b64encode(read_bytes(file)).decode(), "proof": read_json(proof)}

    def text(value: dict[str, Any]) -> None:
        noise = value["privacy"]
        protected = f"ε = {noise['epsilon']:g}, δ = {noise['delta']:g}" if noise else "no noise"
        say(
            f"{value['title']}: this is the report that {value['coordinator']} released, and all {len(value['sites'])} "
            f"sites whose data are in it permitted that.",
            f"At least {value['smallestCount']} patients stand behind each figure; {protected}.",
        )

    answer(call(home, "study/verify", asked), output, text)


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
        cost = f"at ρ = {so_far['rho']:.4g} of {so_far['rhoPlanned']:.4g}" if so_far["rhoPlanned"] else "without noise"
        say(
            f"  {so_far['opened']} of at most {so_far['planned']} rounds are open, {cost}; "
            f"{len(so_far['present'])} of {so_far['sites']} sites are with it now, "
            f"{so_far['needed']} are needed."
        )
    say(*(f"  {_event(event)}" for event in study["events"]))
    result = study["result"] or {}
    say(*(f"{key}: {result[key]}" for key in ("certificate", "package", "report") if isinstance(result.get(key), str)))


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

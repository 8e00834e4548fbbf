"""``synthema dpia``: impact assessments that the connector carries out."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from synthema.cli.client import call
from synthema.cli.files import read_bytes, read_text, write_new
from synthema.cli.options import (
    HERE,
    HomeOption,
    KeyOption,
    OutputOption,
    PassphraseOption,
    PersonOption,
    assignments,
    open_key,
)
from synthema.cli.output import Format, FormatOption, answer, note, say, short, show_table
from synthema.errors import InputError, NotFoundError

app = typer.Typer(help="Impact assessments that the connector carries out: write, compare, sign, watch, hand out.")

DpiaArgument = Annotated[str, typer.Argument(help="Identifier of the assessment.", metavar="DPIA")]


class Form(StrEnum):
    """The forms an assessment is handed out in."""

    HTML = "html"
    TURTLE = "turtle"
    NQUADS = "nquads"
    YAML = "yaml"


class Said(StrEnum):
    """What can be declared of an assessment."""

    DONE = "done"
    RAISED = "raised"
    ANSWERED = "answered"
    WITHDRAWN = "signature withdrawn"
    RECALLED = "recalled"


@app.command("check")
def check(
    file: Annotated[Path, typer.Argument(help="The assessment as YAML.", metavar="FILE.yaml")],
    output: FormatOption = Format.TEXT,
) -> None:
    """Read an assessment and say how each risk leads to a gate; no connector is needed.

    Example: synthema dpia check synthetic-data.yaml
    """
    from synthema.dpia import describe, read_dpia

    dpia = read_dpia(read_bytes(file), str(file))
    value = {
        "title": dpia.title,
        "version": dpia.version,
        "digest": dpia.digest,
        "sentences": list(describe(dpia)),
        "unconfirmed": list(dpia.unconfirmed()),
    }
    answer(
        value,
        output,
        lambda found: say(
            f"{found['title']} ({found['version']})",
            *found["sentences"],
            f"{len(found['unconfirmed'])} of {len(dpia.gates)} thresholds are to be confirmed by the site.",
        ),
    )


@app.command("propose")
def propose(
    file: Annotated[Path, typer.Argument(help="The assessment as YAML.", metavar="FILE.yaml")],
    *,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="You are the DPO and confirm every threshold for this site.")
    ] = False,
    threshold: Annotated[
        list[str] | None,
        typer.Option("--threshold", help="Another threshold for a gate; repeatable.", metavar="GATE=NUMBER"),
    ] = None,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Hand an impact assessment to a connector, where two people sign it.

    Example: synthema dpia propose synthetic-data.yaml --confirm --home clinic
    """
    value = {
        "text": read_text(file),
        "file": file.name,
        "confirm": confirm,
        "thresholds": _numbers(assignments(threshold or [], "--threshold")),
    }
    answer(
        call(home, "dpia/propose", value),
        output,
        lambda made: say(
            f"Kept for signature: {made['title']}",
            f"Identifier: {made['dpia']}",
            f"Digest: {made['digest']}",
            *_told(made["changes"]),
            "Next, two people, one of them a DPO: synthema dpia sign",
        ),
    )


def _numbers(texts: dict[str, str]) -> dict[str, float]:
    try:
        return {gate: float(text) for gate, text in texts.items()}
    except ValueError as error:
        raise InputError("a threshold is a number", where="--threshold", fix="write e.g. 0.2") from error


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="JSON export of the CNIL's PIA tool.", metavar="CNIL.json")],
    output: OutputOption,
    form: FormatOption = Format.TEXT,
) -> None:
    """Make a draft from an export of the CNIL's PIA tool, roles for names, and list what must be added to execute it.

    Example: synthema dpia import cnil.json -o dpia.yaml
    """
    from synthema.dpia.cnil import import_cnil

    draft = import_cnil(read_bytes(file), str(file))
    write_new(output, draft.yaml.encode())
    value = {"file": str(output), "toAdd": list(draft.to_add), "leftOut": list(draft.left_out)}
    answer(
        value,
        form,
        lambda made: say(
            f"The draft is in {made['file']}. It cannot be executed yet; to be added:",
            *(f"- {line}" for line in made["toAdd"]),
            "Not taken over:",
            *(f"- {line}" for line in made["leftOut"]),
            "Other names may stand in the texts: read them. Then: synthema dpia check",
        ),
    )


@app.command("sign")
def sign(
    dpia: DpiaArgument,
    person: PersonOption,
    key: KeyOption,
    home: HomeOption = HERE,
    passphrase_file: PassphraseOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Sign an impact assessment; the second signature puts it in force. Before, you see what it changes.

    Example: synthema dpia sign dpia-… --person person-… --key officer.pem --home clinic
    """
    from synthema.dpia import signing_bytes

    found = next((known for known in call(home, "dpia/list") if known["dpia"] == dpia), None)
    if found is None:
        raise NotFoundError("there is no such assessment", fix="list them with: synthema dpia list")
    note(*_told(call(home, "dpia/diff", {"new": dpia})["changes"]), f"You sign '{found['title']}', {found['digest']}.")
    signature = open_key(key, passphrase_file).sign(signing_bytes(found["digest"])).hex()
    answer(
        call(home, "dpia/sign", {"dpia": dpia, "person": person, "signature": signature}),
        output,
        lambda value: say(f"The assessment is {value['state']} ({len(value['signedBy'])} of 2 signatures)."),
    )


@app.command("list")
def list_assessments(home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """List the impact assessments of a connector, the newest first.

    Example: synthema dpia list --home clinic
    """
    answer(call(home, "dpia/list"), output, _show)


@app.command("show")
def show(dpia: DpiaArgument, home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """Show an assessment from risk to gate, and what it changes against the one in force.

    Example: synthema dpia show dpia-… --home clinic
    """
    answer(
        call(home, "dpia/show", {"dpia": dpia}),
        output,
        lambda found: say(
            f"{found['title']} ({found['version']}): {found['state']}", *found["sentences"], *_told(found["changes"])
        ),
    )


@app.command("status")
def status(dpia: DpiaArgument, home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """Say what of an assessment holds now: measures, gates with their evidence, and what falls due next.

    Example: synthema dpia status dpia-… --home clinic
    """
    answer(call(home, "dpia/status", {"dpia": dpia}), output, _show_status)


@app.command("diff")
def diff(
    old: Annotated[str, typer.Argument(help="Identifier or YAML file of the old version.", metavar="OLD")],
    new: Annotated[str, typer.Argument(help="Identifier or YAML file of the new version.", metavar="NEW")],
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Say in sentences what changed between two versions, first what lets more pass.

    Example: synthema dpia diff old.yaml new.yaml
    """
    if Path(old).is_file() and Path(new).is_file():
        from synthema.dpia import load_dpia
        from synthema.dpia.diff import compare

        found = compare(load_dpia(Path(old)), load_dpia(Path(new)))
        value: Any = {"old": old, "new": new, "changes": [change.as_dict() for change in found]}
    else:
        value = call(home, "dpia/diff", {"old": old, "new": new})
    answer(value, output, lambda made: say(*(_told(made["changes"]) or ["Nothing changed."])))


@app.command("export")
def export(
    dpia: Annotated[str, typer.Argument(help="Identifier of the assessment, or its YAML file.", metavar="DPIA")],
    output: OutputOption,
    to: Annotated[Form, typer.Option("--to", help="A page to print, DPV as RDF, or YAML.")] = Form.HTML,
    home: HomeOption = HERE,
) -> None:
    """Write an assessment as a page to print (the four CNIL sections), as DPV RDF, or as YAML.

    Example: synthema dpia export dpia-… --to html -o assessment.html --home clinic
    """
    text = _from_file(Path(dpia), to) if Path(dpia).is_file() else _from_connector(home, dpia, to)
    write_new(output, text.encode())
    say(f"Written: {output}")


@app.command("declare")
def declare(
    dpia: DpiaArgument,
    what: Annotated[Said, typer.Argument(help="What you declare.")],
    subject: Annotated[str, typer.Argument(help="Item of the plan, reason to review, person, or release.")],
    *,
    text: Annotated[str, typer.Option("--text", help="What was done or found; no names of persons.")],
    person: PersonOption,
    key: KeyOption,
    home: HomeOption = HERE,
    passphrase_file: PassphraseOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Declare under your signature: an item done, a reason to review raised or answered, your signature withdrawn.

    Example: synthema dpia declare dpia-… done practise-restore --text "in 40 minutes" --person person-… --key k.pem
    """
    value = {"dpia": dpia, "kind": str(what), "subject": subject, "text": text}
    data = bytes.fromhex(call(home, "dpia/declaring", value)["sign"])
    signature = open_key(key, passphrase_file).sign(data).hex()
    answer(
        call(home, "dpia/declare", value | {"person": person, "signature": signature}),
        output,
        lambda made: say(
            f"Declared: {what} '{subject}'. The assessment "
            + ("holds." if made["conformant"] else "does not hold now: synthema dpia status")
        ),
    )


@app.command("withdraw")
def withdraw(dpia: DpiaArgument, home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """Take an assessment out of force; what it covered is denied from now on.

    Example: synthema dpia withdraw dpia-… --home clinic
    """
    answer(call(home, "dpia/withdraw", {"dpia": dpia}), output, lambda made: say(f"The assessment is {made['state']}."))


@app.command("remeasure")
def remeasure(
    release: Annotated[str, typer.Argument(help="The release as the status lists it.", metavar="RELEASE")],
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Measure a release again and hold it against the post-release gates.

    Example: synthema dpia remeasure http://clinic.example/id/run/run-… --home clinic
    """
    answer(
        call(home, "dpia/remeasure", {"release": release}),
        output,
        lambda made: say("Passed." if made["passed"] else "Not passed.", *made["sentences"]),
    )


def _from_file(path: Path, to: Form) -> str:
    from synthema.clock import SystemClock
    from synthema.dpia import dump_yaml, load_dpia
    from synthema.dpia.page import page
    from synthema.dpia.rdf import to_nquads, to_turtle

    dpia = load_dpia(path)
    match to:
        case Form.HTML:
            return page(dpia, SystemClock().now())
        case Form.TURTLE:
            return to_turtle(dpia)
        case Form.NQUADS:
            return to_nquads(dpia).decode()
        case Form.YAML:
            return dump_yaml(dpia)


def _from_connector(home: Path, dpia: str, to: Form) -> str:
    return str(call(home, "dpia/export", {"dpia": dpia, "to": str(to)})["text"])


def _told(changes: list[dict[str, str]]) -> list[str]:
    """Changes as lines; those that let more pass say so first."""
    return [f"{'LOOSER: ' if change['direction'] == 'looser' else ''}{change['sentence']}" for change in changes]


def _show_status(found: dict[str, Any]) -> None:
    held = "conformant" if found["conformant"] else "NOT CONFORMANT: requests are denied"
    say(f"{found['title']} ({found['version']}): {found['state']}, {held}.", *found["sentences"])
    rows = (
        (
            gate["gate"],
            gate["phase"],
            "to be confirmed" if not gate["confirmed"] else {None: "not measured yet", True: "passed"}.get(
                gate["passed"], "not passed"
            ),
            "" if gate["measured"] is None else gate["measured"]["value"],
            "" if gate["measured"] is None else _age(gate["measured"]["ageSeconds"]),
            "" if gate["measured"] is None else gate["measured"]["evidence"],
        )
        for gate in found["gates"]
    )  # fmt: skip
    show_table(("Gate", "Phase", "Standing", "Measured", "Age", "Evidence"), rows, empty="There are no gates.")
    for finding in found["findings"]:
        if finding["holds"] and finding["kind"] in ("measure", "plan", "gate"):
            say(f"✓ {finding['sentence']}")
    due = found["nextDue"]
    say("Nothing falls due." if due is None else f"Next: {due['sentence']}")


def _age(seconds: int) -> str:
    days, rest = divmod(seconds, 86400)
    return f"{days} d" if days else f"{rest // 3600} h" if rest >= 3600 else f"{rest // 60} min"


def _show(assessments: list[dict[str, Any]]) -> None:
    rows = ((a["dpia"], a["title"], a["state"], len(a["signedBy"]), short(a["digest"])) for a in assessments)
    show_table(
        ("Identifier", "Title", "State", "Signatures", "Digest"),
        rows,
        empty="There is none yet: synthema dpia propose",
    )

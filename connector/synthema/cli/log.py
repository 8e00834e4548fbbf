"""``synthema log``: the memory of a connector, verified, read, proven."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from synthema.cli.client import call
from synthema.cli.files import read_json, read_text, write_new
from synthema.cli.options import HERE, HomeOption, OutputOption
from synthema.cli.output import Format, FormatOption, answer, say, short, show_table, working

app = typer.Typer(help="The log: verify it, read it, prove an entry to a stranger.")


@app.command("verify")
def verify(home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """Recompute the whole log and compare it with every signed head; exits 6 naming the first changed entry.

    Example: synthema log verify --home clinic
    """
    with working("Recomputing the log …"):
        report = call(home, "log/verify")
    answer(report, output, lambda value: say(value["sentence"], f"Root: {value['root']}"))


@app.command("entries")
def entries(
    after: Annotated[int, typer.Option("--after", help="Start behind this entry.", min=-1)] = -1,
    limit: Annotated[int, typer.Option("--limit", help="How many.", min=1, max=1000)] = 50,
    *,
    full: Annotated[bool, typer.Option("--full", help="Show the statements of each entry (N-Quads).")] = False,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """List entries of the log, the oldest first.

    Example: synthema log entries --after 20 --home clinic
    """

    def show(found: list[dict[str, Any]]) -> None:
        if full:
            say(*(f"entry {e['sequence']}, {e['recorded']}\n{e['body']}" for e in found))
            return
        rows = ((e["sequence"], e["recorded"], _label(e), short(e["leafHash"])) for e in found)
        show_table(("Entry", "Recorded", "What happened", "Hash"), rows, empty="There are no entries behind this one.")

    answer(call(home, "log/entries", {"after": after, "limit": limit}), output, show)


def _label(entry: dict[str, Any]) -> str:
    """What an entry's activity is called; the graph's name where it says nothing for people."""
    from synthema.provenance.model import PROV, RDF_TYPE, RDFS_LABEL

    lines = entry["body"].splitlines()
    activities = {line.split(" ", 1)[0] for line in lines if f"<{RDF_TYPE}> <{PROV}Activity>" in line}
    for line in lines:
        subject, _, rest = line.partition(" ")
        if subject in activities and rest.startswith(f"<{RDFS_LABEL}> "):
            return str(json.loads(rest.removeprefix(f"<{RDFS_LABEL}> ").rpartition('"')[0] + '"'))
    return str(entry["graph"])


@app.command("prove")
def prove(
    entry: Annotated[int, typer.Argument(help="Position of the entry, from 0.", min=0)],
    file: OutputOption,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Write a proof that the log holds an entry; a stranger can check it without any network.

    Example: synthema log prove 12 -o proof.json --home clinic
    """
    bundle = call(home, "log/prove", {"entry": entry})
    write_new(file, (json.dumps(bundle, ensure_ascii=False, indent=2) + "\n").encode())
    answer(
        {"file": str(file), "entry": entry, "key": bundle["key"]},
        output,
        lambda value: say(
            f"{file} proves entry {entry}.",
            "Who checks it must know this key from elsewhere:",
            value["key"],
        ),
    )


@app.command("verify-bundle")
def verify_bundle(
    file: Annotated[Path, typer.Argument(help="A proof made with: synthema log prove", metavar="FILE")],
    key: Annotated[str, typer.Option("--key", help="The log's key, name+id+key, or a file that holds it.")],
    witness: Annotated[
        list[str] | None, typer.Option("--witness", help="Key of a witness you trust, or its file; repeatable.")
    ] = None,
    quorum: Annotated[int, typer.Option("--quorum", help="How many witnesses must have seen the log.", min=0)] = 0,
    output: FormatOption = Format.TEXT,
) -> None:
    """Check a proof without any network or connector; exits 6 when it does not hold.

    Example: synthema log verify-bundle proof.json --key clinic.key
    """
    from synthema.clock import to_text
    from synthema.provenance import VerifierKey
    from synthema.provenance import verify_bundle as verify_proof

    witnesses = [VerifierKey.parse(_key(text)) for text in witness or []]
    held = verify_proof(read_json(file), VerifierKey.parse(_key(key)), witnesses=witnesses, quorum=quorum)
    found = {
        "entry": held.sequence,
        "log": held.checkpoint.origin,
        "size": held.checkpoint.size,
        "witnessed": {name: to_text(at) for name, at in held.witnessed.items()},
        "body": held.body.decode(),
    }
    answer(
        found,
        output,
        lambda value: say(
            f"The proof holds: entry {value['entry']} stands in the log {value['log']} of {value['size']} entries.",
            *(f"Seen by {name} on {at}." for name, at in value["witnessed"].items()),
            value["body"].rstrip("\n"),
        ),
    )


def _key(given: str) -> str:
    """A key as text, or from the file of this name."""
    return given if "+" in given else read_text(Path(given)).strip()


@app.command("export")
def export(
    file: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="File to write; printed if left out.", metavar="FILE", show_default=False),
    ] = None,
    home: HomeOption = HERE,
) -> None:
    """Export the whole log as N-Quads (PROV-O), for any RDF tool.

    Example: synthema log export -o log.nq --home clinic
    """
    text = call(home, "log/export")["nquads"]
    if file is None:
        sys.stdout.write(text)
        return
    write_new(file, text.encode())
    say(f"{file}: {len(text.splitlines())} statements.")

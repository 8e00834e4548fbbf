"""``synthema log``: the memory of a connector, verified, read, proven, exported, asked."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synthema.cli.client import call
from synthema.cli.files import read_bytes, read_text, write_new
from synthema.cli.options import HERE, HomeOption, KeyOption, OutputOption, PassphraseOption, PersonOption, open_key
from synthema.cli.output import Format, FormatOption, answer, note, say, short, show_table, working
from synthema.errors import InputError

if TYPE_CHECKING:
    from synthema.provenance import HeadKeys

app = typer.Typer(help="The log: verify it, read it, prove an entry to a stranger.")

_PAGE = 500

LogKeyOption = Annotated[str, typer.Option("--key", help="The log's key, name+id+key, or a file that holds it.")]
DidOption = Annotated[
    Path | None,
    typer.Option(
        "--did",
        help="The connector's DID document (/.well-known/did.json), for a log whose key was changed since.",
        metavar="FILE",
        show_default=False,
    ),
]
WitnessOption = Annotated[
    list[str] | None, typer.Option("--witness", help="Key of a witness you trust, or its file; repeatable.")
]
QuorumOption = Annotated[int, typer.Option("--quorum", help="How many witnesses must have seen the log.", min=0)]


class Form(StrEnum):
    """What an export is written as."""

    NQUADS = "nquads"
    TRIG = "trig"
    TURTLE = "turtle"
    JSONLD = "jsonld"


@app.command("verify")
def verify(
    since: Annotated[
        int, typer.Option("--since", help="First entry to recompute; those before are trusted as stored.", min=0)
    ] = 0,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Recompute the log and compare it with every signed head; exits 6 naming the first changed entry.

    Example: synthema log verify --home clinic
    """
    with working("Recomputing the log …"):
        report = call(home, "log/verify", {"since": since})
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


@app.command("keys")
def keys(home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """Show the keys that others need to check this log and what this connector witnesses; former ones with their end.

    Example: synthema log keys --home clinic
    """
    answer(
        call(home, "log/keys"),
        output,
        lambda value: say(
            f"Log: {value['log']}",
            *(f"Log until entry {each['entry']} ({each['until']}): {each['key']}" for each in value["former"]),
            f"Witness: {value['witness']}",
        ),
    )


@app.command("rotate")
def rotate(
    reason: Annotated[str, typer.Option("--reason", help="Why; it goes into the log.")],
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Give the log a new key; the old one signs for it and is destroyed. What it signed before stays good.

    Example: synthema log rotate --reason "the key is two years old" --home clinic
    """

    def show(found: dict[str, Any]) -> None:
        say(
            f"From entry {found['entry']} on, a new key signs this log:",
            found["successor"],
            "Both keys say so in that entry, and in the DID document: partners follow by themselves.",
            "Whoever checks this log with the old key from a file needs the new one.",
        )

    answer(call(home, "log/rotate", {"reason": reason}), output, show)


@app.command("prove")
def prove(
    entry: Annotated[int, typer.Argument(help="Position of the entry, from 0.", min=0)],
    file: OutputOption,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Write a proof that the log holds an entry (C2SP tlog-proof); a stranger can check it without any network.

    Example: synthema log prove 12 -o entry-12.tlog-proof --home clinic
    """
    found = call(home, "log/prove", {"entry": entry})
    write_new(file, found["proof"].encode())
    answer(
        {"file": str(file), "entry": entry, "key": found["key"]},
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
    key: LogKeyOption,
    did: DidOption = None,
    witness: WitnessOption = None,
    quorum: QuorumOption = 0,
    output: FormatOption = Format.TEXT,
) -> None:
    """Check a proof without any network or connector; exits 6 when it does not hold.

    Example: synthema log verify-bundle entry-12.tlog-proof --key clinic.key

    The key is one you have from elsewhere. After the log got another key, add the connector's DID document:
    it proves which keys came before and after.
    """
    from synthema.clock import to_text
    from synthema.provenance import VerifierKey
    from synthema.provenance import verify_bundle as verify_proof

    witnesses = [VerifierKey.parse(_key(text)) for text in witness or []]
    held = verify_proof(read_text(file), _trusted(key, did), witnesses=witnesses, quorum=quorum)
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


@app.command("verify-tiles")
def verify_tiles(
    folder: Annotated[Path, typer.Argument(help="A folder made with: synthema log export --tiles", metavar="DIR")],
    key: LogKeyOption,
    did: DidOption = None,
    witness: WitnessOption = None,
    quorum: QuorumOption = 0,
    output: FormatOption = Format.TEXT,
) -> None:
    """Check a whole exported log without any network or connector; exits 6 naming the first changed entry.

    Example: synthema log verify-tiles clinic-log --key clinic.key
    """
    from synthema.clock import to_text
    from synthema.provenance import VerifierKey
    from synthema.provenance import verify_tiles as verify_folder

    witnesses = [VerifierKey.parse(_key(text)) for text in witness or []]
    with working("Recomputing the log …"):
        held = verify_folder(folder, _trusted(key, did), witnesses=witnesses, quorum=quorum)
    found = {
        "sentence": held.sentence(),
        "log": held.checkpoint.origin,
        "size": held.checkpoint.size,
        "root": held.checkpoint.root.hex(),
        "witnessed": {name: to_text(at) for name, at in held.witnessed.items()},
    }
    answer(
        found,
        output,
        lambda value: say(
            value["sentence"],
            f"Root: {value['root']}",
            *(f"Seen by {name} on {at}." for name, at in value["witnessed"].items()),
        ),
    )


def _trusted(key: str, did: Path | None) -> HeadKeys:
    """The key the caller trusts; with a DID document, all keys of the log that handovers join to it."""
    from synthema.canonical import parse_json_strictly
    from synthema.provenance import VerifierKey, published_keys

    trusted = VerifierKey.parse(_key(key))
    if did is None:
        return trusted
    document = parse_json_strictly(read_bytes(did))
    if not isinstance(document, dict):
        raise InputError("this is not a DID document", where=str(did), fix="save <address>/.well-known/did.json as is")
    return published_keys(document).require(trusted)


def _key(given: str) -> str:
    """A key as text, or from the file of this name."""
    return given if "+" in given else read_text(Path(given)).strip()


@app.command("export")
def export(
    file: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="File to write; printed if left out.", metavar="FILE", show_default=False),
    ] = None,
    form: Annotated[Form, typer.Option("--as", help="Format of RDF; only nquads is byte for byte what is hashed.")] = (
        Form.NQUADS
    ),
    tiles: Annotated[
        Path | None,
        typer.Option(
            "--tiles",
            help="Folder for static files (C2SP tlog-tiles) instead; an earlier export there is brought up to date.",
            metavar="DIR",
            show_default=False,
        ),
    ] = None,
    home: HomeOption = HERE,
) -> None:
    """Export the whole log as PROV-O for any RDF tool, or with --tiles as files that a stranger can check.

    Example: synthema log export --as trig -o log.trig --home clinic
    """
    if tiles is not None:
        if file is not None or form is not Form.NQUADS:
            raise InputError("tiles are a folder of their own form", fix="leave -o and --as out")
        _export_tiles(home, tiles)
        return
    from synthema.provenance import serialise

    content = serialise(_bodies(home), form.value)
    if file is None:
        sys.stdout.write(content.decode())
        return
    write_new(file, content)
    say(f"{file}: the log as {form.value}, {len(content)} bytes.")


def _export_tiles(home: Path, folder: Path) -> None:
    from synthema.provenance import LogKeys, VerifierKey, write_tiles

    head = call(home, "log/checkpoint")
    keys = LogKeys.read(VerifierKey.parse(head["key"]), head["handovers"])
    with working("Writing the log …"):
        new = write_tiles(folder, head["checkpoint"], keys, _bodies(home, head["size"]))
    say(
        f"{folder}: the log of {head['size']} entries, {new} new files.",
        "Who checks it must know this key from elsewhere:",
        head["key"],
    )


def _bodies(home: Path, size: int | None = None) -> Iterator[bytes]:
    """The entries as they are hashed, page by page; ``size`` cuts off what came later."""
    after = -1
    while size is None or after + 1 < size:
        limit = _PAGE if size is None else min(_PAGE, size - after - 1)
        page = call(home, "log/entries", {"after": after, "limit": limit})
        if not page:
            return
        yield from (entry["body"].encode() for entry in page)
        after = page[-1]["sequence"]


@app.command("reindex")
def reindex(home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """Throw the index for questions away and make it again from the log, which is not changed.

    Example: synthema log reindex --home clinic
    """
    with working("Making the index again …"):
        found = call(home, "log/reindex")
    answer(found, output, lambda value: say(f"The index holds all {value['entries']} entries ({value['store']})."))


@app.command("witnessed")
def witnessed(home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """Show the partners' logs that this connector watches, and the contradictions it found.

    Example: synthema log witnessed --home clinic
    """

    def show(found: dict[str, Any]) -> None:
        rows = ((log["log"], log["size"], log["cosigned"]) for log in found["logs"])
        show_table(("Log", "Entries", "Cosigned"), rows, empty="No partner has shown its log yet.")
        for finding in found["findings"]:
            say(
                "",
                f"{finding['log']} contradicted itself on {finding['found']}: {finding['reason']}.",
                "Both heads below are signed with its key; keep them as evidence.",
                finding["cosigned"].rstrip("\n"),
                "",
                finding["refused"].rstrip("\n"),
            )

    answer(call(home, "log/witnessed"), output, show)


@app.command("forget")
def forget(
    log: Annotated[str, typer.Argument(help="Name of the partner's log, as in: synthema log witnessed", metavar="LOG")],
    reason: Annotated[str, typer.Option("--reason", help="With whom it was agreed, and why; it goes into the log.")],
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Let a partner's log begin anew, after its key was lost; what was found against it stays.

    Example: synthema log forget clinic.example/log --reason "its disk burnt, agreed with its DPO" --home hub
    """
    answer(
        call(home, "log/forget", {"log": log, "reason": reason}),
        output,
        lambda found: say(f"The next head of {found['log']} counts as its first ({found['entries']} entries before)."),
    )


@app.command("query")
def query(
    file: Annotated[Path, typer.Argument(help="A question in SPARQL 1.1: SELECT, ASK or CONSTRUCT.", metavar="FILE")],
    person: PersonOption,
    key: KeyOption,
    passphrase_file: PassphraseOption = None,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Ask the log a question of your own; for auditors, read-only, bounded in time, and recorded in the log.

    Example: synthema log query question.rq --person person-… --key auditor.pem --home clinic
    """
    from synthema.clock import SystemClock, to_text
    from synthema.provenance import check_question, question_bytes

    question = read_text(file)
    check_question(question)
    asked = SystemClock().now()
    origin = call(home, "log/keys")["origin"]
    signature = open_key(key, passphrase_file).sign(question_bytes(origin, question, asked)).hex()
    value = {"question": question, "person": person, "asked": to_text(asked), "signature": signature}
    with working("Asking the log …"):
        found = call(home, "log/query", value)
    note(f"Recorded as entry {found['entry']} of the log.")
    answer(found, output, lambda value: _show_answer(value["answer"]))


def _show_answer(found: dict[str, Any]) -> None:
    if "ntriples" in found:
        say(found["ntriples"].rstrip("\n"))
    elif "boolean" in found:
        say("Yes." if found["boolean"] else "No.")
    else:
        names = found["head"]["vars"]
        rows = ([row.get(name, {}).get("value") for name in names] for row in found["results"]["bindings"])
        show_table(names, rows, empty="The log holds nothing that answers this.")

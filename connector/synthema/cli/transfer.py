"""``synthema transfer``: fetch what was released, have a named study run at a partner, watch and stop either."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from synthema.cli.agreement import AgreementArgument
from synthema.cli.client import call, call_served
from synthema.cli.files import read_yaml
from synthema.cli.options import HERE, HomeOption, OutputOption
from synthema.cli.output import Format, FormatOption, answer, progress, say, show_table, working
from synthema.errors import ConflictError, InputError, IntegrityError

app = typer.Typer(help="Transfers: fetch released data, run a named study at a partner, stop either.")

TransferArgument = Annotated[str, typer.Argument(help="Identifier of the transfer.", metavar="TRANSFER")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; the partner reads it, and the log keeps it.")]

_BETWEEN_LOOKS: Final = 0.2
_BLOCK: Final = 1024 * 1024


@app.command("fetch")
def fetch(
    agreement: AgreementArgument,
    file: OutputOption,
    *,
    artefact: Annotated[
        str | None,
        typer.Option(
            "--artefact",
            help="Digest of a result that was ordered under the agreement; its own dataset if left out.",
            show_default=False,
        ),
    ] = None,
    digest: Annotated[
        str | None, typer.Option("--digest", help="Digest you know from elsewhere; checked too.", show_default=False)
    ] = None,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Fetch a released artefact under an agreement; an interrupted download goes on where it stopped.

    Example: synthema transfer fetch https://hub.example/id/agreement/agreement-… -o package.zip --home registry

    The bytes are checked against their digest before you get them. Exits 3 when the partner's policies deny it.
    """
    if file.exists():
        raise ConflictError("this file exists already", where=str(file), fix="choose another name")
    begun = call_served(home, "transfer/fetch", {"agreement": agreement, "artefact": artefact, "digest": digest})
    with _bar(file.name) as show:
        ended = _follow(home, begun["fetch"], show)
    if ended["state"] != "complete":
        _raise(ended["error"])
    _copy(home / ended["file"], file, ended["digest"])
    answer(
        ended | {"saved": str(file)},
        output,
        lambda done: say(f"{file}: {done['size']} bytes, as their digest {done['digest']} says."),
    )


def _follow(home: Path, identifier: str, show: Any) -> dict[str, Any]:
    while True:
        seen: dict[str, Any] = call_served(home, "transfer/progress", {"fetch": identifier})
        show(seen["received"], seen["size"])
        if seen["state"] != "fetching":
            return seen
        time.sleep(_BETWEEN_LOOKS)


@contextmanager
def _bar(name: str) -> Iterator[Any]:
    """A progress bar on a terminal; the value is told bytes received and bytes in all."""
    if not progress.is_terminal:
        yield lambda _received, _size: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=progress) as bars:
        task = bars.add_task(name, total=None)
        yield lambda received, size: bars.update(task, completed=received, total=size)


def _copy(source: Path, target: Path, digest: str) -> None:
    """Copy a fetched file out of the connector's home, as its digest says it must be."""
    found = hashlib.sha256()
    try:
        with source.open("rb") as read, target.open("xb") as write:
            while block := read.read(_BLOCK):
                found.update(block)
                write.write(block)
    except FileExistsError as error:
        raise ConflictError("this file exists already", where=str(target), fix="choose another name") from error
    except OSError as error:
        raise InputError(
            f"the file cannot be written: {error.strerror}", where=str(target), fix="choose a folder you may write to"
        ) from error
    if f"sha256:{found.hexdigest()}" != digest:
        target.unlink()
        raise IntegrityError("the fetched bytes were changed on disk", where=str(source), fix="fetch them again")


def _raise(error: dict[str, str]) -> None:
    """What went wrong in the connector, as an error of this command."""
    from synthema.assembly.remote import RemoteError

    raise RemoteError(error)


@app.command("compute")
def compute(
    agreement: AgreementArgument,
    study: Annotated[Path, typer.Argument(help="The named study as YAML.", metavar="STUDY.yaml")],
    *,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow the computation to its end.")] = True,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Have a named study run where the data are; exits 0 when its results were released, 3 when denied, 6 otherwise.

    Example: synthema transfer compute https://a.example/id/agreement/agreement-… study.yaml --home hub

    The file says what is to be done: title, purpose, action, kind, anonymise, compute, evaluate, output, epsilon,
    delta, rows, holdout. Patients' rows stay where they are; only what passes the provider's checks can be fetched.
    """
    with working("Asking the provider …"):
        begun = call_served(home, "transfer/compute", {"agreement": agreement, "order": read_yaml(study)})
    if not wait:
        answer(begun, output, lambda made: say(f"{made['transfer']} has started."))
        return
    with working("The study runs at the provider …") as tell:
        ended = _until_ended(home, begun["transfer"], tell)
    answer(ended, output, _show_transfer)
    if ended["state"] != "COMPLETED":
        raise typer.Exit(IntegrityError.exit_status)


def _until_ended(home: Path, transfer: str, tell: Any) -> dict[str, Any]:
    while True:
        seen: dict[str, Any] = call_served(home, "transfer/show", {"transfer": transfer})
        if seen["state"] in ("COMPLETED", "TERMINATED"):
            return seen
        tell(f"The study is {(seen['computation'] or {}).get('state', seen['state'])} at the provider …")
        time.sleep(_BETWEEN_LOOKS)


@app.command("list")
def list_transfers(home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """List the transfers with partners, the newest first.

    Example: synthema transfer list --home hub
    """

    def show(found: list[dict[str, Any]]) -> None:
        rows = ((t["transfer"], t["role"], t["partner"], t["format"], t["state"], "; ".join(t["reasons"]))
                for t in found)  # fmt: skip
        show_table(
            ("Transfer", "We are", "Partner", "Format", "State", "Reasons"),
            rows,
            empty="There is no transfer yet: synthema transfer fetch, or synthema transfer compute",
        )

    answer(call(home, "transfer/list"), output, show)


@app.command("show")
def show_transfer(transfer: TransferArgument, home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """Show one transfer: where it stands, its messages, and what a computation has released.

    Example: synthema transfer show transfer-… --home hub
    """
    answer(call(home, "transfer/show", {"transfer": transfer}), output, _show_transfer)


def _show_transfer(found: dict[str, Any]) -> None:
    reasons = f": {'; '.join(found['reasons'])}" if found["reasons"] else "."
    say(f"{found['transfer']} ({found['format']}) is {found['state']}{reasons}")
    if found["problem"]:
        say(f"Its data plane was not told yet: {found['problem']}")
    say(*(f"  {message['at'][11:19]} {message['message']} → {message['state']}" for message in found["messages"]))
    computation = found["computation"]
    if computation is None:
        return
    say(f"The study '{computation['title']}' is {computation['state']}.")
    for file in computation["artefacts"]:
        say(f"  {file['name']}  {file['bytes']} bytes  {file['digest']}")
    if computation["artefacts"]:
        say(f"Fetch one with: synthema transfer fetch {found['agreement']} --artefact DIGEST -o FILE")


@app.command("suspend")
def suspend(
    transfer: TransferArgument, reason: ReasonOption, home: HomeOption = HERE, output: FormatOption = Format.TEXT
) -> None:
    """Stop a transfer for now: no byte more, and a computation under way ends.

    Example: synthema transfer suspend transfer-… --reason "an incident is looked into" --home clinic
    """
    value = {"transfer": transfer, "reason": reason}
    answer(
        call_served(home, "transfer/suspend", value),
        output,
        lambda _: say("Nothing flows any more.", f"To go on: synthema transfer resume {transfer}"),
    )


@app.command("resume")
def resume(transfer: TransferArgument, home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """Let a suspended transfer go on; a computation is asked of the policies anew, and begins anew.

    Example: synthema transfer resume transfer-… --home clinic
    """
    answer(call_served(home, "transfer/resume", {"transfer": transfer}), output, lambda _: say("The transfer goes on."))


@app.command("end")
def end(
    transfer: TransferArgument, reason: ReasonOption, home: HomeOption = HERE, output: FormatOption = Format.TEXT
) -> None:
    """End a transfer for good; a computation under way ends without a result.

    Example: synthema transfer end transfer-… --reason "not needed any more" --home hub
    """
    value = {"transfer": transfer, "reason": reason}
    answer(call(home, "transfer/end", value), output, lambda _: say("The transfer has ended."))

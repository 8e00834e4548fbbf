"""``synthema key``: replace the key of a connector's identity while everything goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from synthema.cli.client import call
from synthema.cli.options import HERE, HomeOption
from synthema.cli.output import Format, FormatOption, answer, say, show_table

app = typer.Typer(help="The key of this connector's identity: look at its versions, replace it.")


@app.command("rotate")
def rotate(
    *,
    purpose: Annotated[str, typer.Argument(help="Which key: assertion.", metavar="PURPOSE")],
    reason: Annotated[str, typer.Option("--reason", help="Why, in one sentence; it stands in the log.")],
    notice: Annotated[
        float,
        typer.Option(
            "--notice",
            help="Seconds the new key is published before it signs; more for partners that keep documents longer.",
        ),
    ] = 90.0,
    compromised: Annotated[
        bool, typer.Option("--compromised", help="The old key may be known to others: revoke it now.")
    ] = False,
    home: HomeOption = HERE,
    authority: Annotated[bool, typer.Option("--authority", help="The home is that of an authority.")] = False,
    output: FormatOption = Format.TEXT,
) -> None:
    """Replace a key without downtime: the new one is published now and signs after the notice.

    Example: synthema key rotate assertion --reason "the key is a year old" --home clinic
    """
    value = {"purpose": purpose, "reason": reason, "notice_seconds": notice, "compromised": compromised}
    answer(_call(home, "key/rotate", value, authority=authority), output, _show_rotation)


def _call(home: Path, operation: str, value: dict[str, Any], *, authority: bool) -> Any:
    if authority:
        from synthema.cli.authority import call_authority

        return call_authority(home, operation, value)
    return call(home, operation, value)


def _show_rotation(value: dict[str, Any]) -> None:
    if value["compromised"]:
        say(
            f"{value['replaced']} is revoked: nothing it signed counts any more, whatever date it bears.",
            f"{value['new']} signs from now on. Partners refuse the old key as soon as they read the new document, "
            "at the latest in 10 minutes; call those for whom that is too long.",
            "Next: have your credentials issued again, and issue anew what you signed and still stand by.",
        )
        return
    say(
        f"{value['new']} is published now and signs from {value['signsFrom']}.",
        f"{value['replaced']} is believed until {value['oldBelievedUntil']}; what it signed before that stays good.",
        "Nothing is to be done: partners learn the new key with the first signature they do not know.",
    )


@app.command("list")
def list_keys(home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """List the versions of the identity's key: which signs, and until when each is believed.

    Example: synthema key list --home clinic
    """
    answer(call(home, "key/list"), output, _show)


def _show(keys: list[dict[str, Any]]) -> None:
    def standing(key: dict[str, Any]) -> str:
        if key["revoked"]:
            return "revoked"
        return "signs" if key["signs"] else f"ended {key['ends'][:19]}" if key["ends"] else f"from {key['begins'][:19]}"

    rows = ((key["key"], standing(key), key["publicKey"]) for key in keys)
    show_table(("Key", "State", "Public key"), rows, empty="There are no keys.")

"""``synthema credential``: what this connector shows of itself, and what partners have shown it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from synthema.cli.client import call, call_served
from synthema.cli.options import HERE, HomeOption
from synthema.cli.output import Format, FormatOption, answer, say, show_table

app = typer.Typer(help="Credentials: what this connector shows of itself, and what partners have shown it.")


@app.command("list")
def list_held(home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """List the credentials this connector holds and shows to partners.

    Example: synthema credential list --home clinic
    """
    answer(call(home, "credential/list"), output, _show_held)


def _show_held(value: list[dict[str, Any]]) -> None:
    rows = ((v["type"], v["issuer"], (v["validUntil"] or "no end")[:10], "yes" if v["valid"] else "NO") for v in value)
    show_table(("Credential", "Issuer", "Until", "Valid"), rows, empty="This connector holds no credential.")


@app.command("partners")
def list_shown(home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """List what partners have shown, by credentials that were verified.

    Example: synthema credential partners --home clinic
    """
    answer(call(home, "credential/partners"), output, _show_shown)


def _show_shown(value: list[dict[str, Any]]) -> None:
    rows = ((v["says"], v["issuer"], (v["validUntil"] or "no end")[:10], v["statusSeen"][:16]) for v in value)
    empty = "No partner has shown a credential yet."
    show_table(("What it says", "Issuer", "Until", "Not revoked as of"), rows, empty=empty)


@app.command("request")
def request(
    issuer: Annotated[str, typer.Argument(help="The issuer (its did).", metavar="DID")],
    kinds: Annotated[list[str], typer.Argument(help="The credentials to ask for, by type.", metavar="TYPE...")],
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Ask an issuer for credentials. Its people decide; what it delivers is verified before it is kept.

    Example: synthema credential request did:web:space.example PermitHolderCredential
    """
    value = {"issuer": issuer, "kinds": kinds}
    answer(call_served(home, "credential/request", value), output, lambda made: say(
        f"Asked {issuer} for {', '.join(kinds)}: {made['request']}.",
        "Next: synthema credential requests, to see what became of it.",
    ))  # fmt: skip


@app.command("requests")
def list_requests(home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """List what this connector asked issuers for, and what issuers offered.

    Example: synthema credential requests --home clinic
    """
    answer(call(home, "credential/requests"), output, _show_requests)


def _show_requests(value: dict[str, Any]) -> None:
    asked = ((r["issuer"], ", ".join(r["asks"]), r["state"], r["reason"] or "") for r in value["requests"])
    show_table(("Issuer", "Asked for", "State", "Reason"), asked, empty="Nothing was asked for.")
    offered = ((o["issuer"], ", ".join(str(c["type"]) for c in o["credentials"])) for o in value["offers"])
    show_table(("Issuer", "Offers"), offered, empty="Nothing was offered.")


@app.command("client")
def make_client(home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """Let another program of the house ask for this connector's tokens (OAuth 2.0 client credentials).

    Example: synthema credential client --home clinic

    Whoever has the secret speaks for this connector; it is shown once.
    """
    answer(call(home, "credential/client"), output, lambda made: say(
        f"Client: {made['client']}", f"Secret: {made['secret']}", f"It asks at: {made['address']}",
    ))  # fmt: skip


@app.command("clients")
def list_clients(home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """List the programs that may ask for this connector's tokens.

    Example: synthema credential clients --home clinic
    """

    def show(value: list[dict[str, Any]]) -> None:
        rows = ((v["client"], v["made"][:16], "ended" if v["ended"] else "may ask") for v in value)
        show_table(("Client", "Made", "State"), rows, empty="No other program asks for tokens.")

    answer(call(home, "credential/clients"), output, show)


@app.command("end-client")
def end_client(
    client: Annotated[str, typer.Argument(help="The client that is to get no more tokens.", metavar="CLIENT")],
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """End a client; tokens it has are good for two minutes at most.

    Example: synthema credential end-client client-0192 --home clinic
    """
    answer(call(home, "credential/end-client", {"client": client}), output, lambda _: say(f"{client} has ended."))

"""``synthema negotiation``: what partners and we negotiate, and a person's word where one is awaited."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from synthema.cli.client import call
from synthema.cli.options import HERE, HomeOption, KeyOption, PassphraseOption, PersonOption, open_key
from synthema.cli.output import Format, FormatOption, answer, note, say, show_table

app = typer.Typer(help="Negotiations with partners: look up, approve, refuse.")

NegotiationArgument = Annotated[str, typer.Argument(help="Identifier of the negotiation.", metavar="NEGOTIATION")]


@app.command("list")
def list_negotiations(home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """List the negotiations with partners, the newest first, and which of them wait for a person.

    Example: synthema negotiation list --home clinic
    """

    def show(found: list[dict[str, Any]]) -> None:
        rows = (
            (n["negotiation"], n["role"], n["partner"], n["dataset"], "waits for you" if n["waits"] else n["state"])
            for n in found
        )
        show_table(
            ("Negotiation", "We are", "Partner", "Dataset", "State"), rows, empty="There has been no negotiation yet."
        )

    answer(call(home, "negotiation/list"), output, show)


@app.command("show")
def show(negotiation: NegotiationArgument, home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """Show a negotiation: the terms on the table in sentences, what it waits for, its messages.

    Example: synthema negotiation show negotiation-… --home clinic
    """

    def tell(found: dict[str, Any]) -> None:
        say(f"{found['negotiation']} with {found['partner']} about {found['dataset']}: {found['state']}.")
        say(*(f"It waits for a person: {reason}" for reason in found["reasons"] if found["waits"]))
        say(*(f"Reason: {reason}" for reason in found["reasons"] if not found["waits"]))
        say("The terms on the table:", *(f"  {sentence}" for sentence in found["sentences"]))
        say(*(f"  {m['at']}  {m['direction']:<3}  {m['message']}  → {m['state']}" for m in found["messages"]))
        if found["waits"]:
            say(f"Next: synthema negotiation approve {negotiation} --person person-… --key FILE, or refuse")

    answer(call(home, "negotiation/show", {"negotiation": negotiation}), output, tell)


@app.command("approve")
def approve(
    negotiation: NegotiationArgument,
    *,
    person: PersonOption,
    key: KeyOption,
    home: HomeOption = HERE,
    passphrase_file: PassphraseOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Let a negotiation that waits go on, as data protection officer: you sign the terms on the table.

    Example: synthema negotiation approve negotiation-… --person person-… --key officer.pem --home clinic
    """
    asked = call(home, "negotiation/signing", {"negotiation": negotiation})
    note(*asked["sentences"])
    signature = open_key(key, passphrase_file).sign(bytes.fromhex(asked["sign"])).hex()
    value = {"negotiation": negotiation, "person": person, "signature": signature}
    answer(
        call(home, "negotiation/approve", value),
        output,
        lambda n: say(f"Approved; the negotiation with {n['partner']} goes on."),
    )


@app.command("refuse")
def refuse(
    negotiation: NegotiationArgument,
    *,
    person: PersonOption,
    reason: Annotated[str, typer.Option("--reason", help="Why; the partner reads it, and the log keeps it.")],
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """End a negotiation as data protection officer; the partner is told the reason.

    Example: synthema negotiation refuse negotiation-… --person person-… --reason "not this purpose" --home clinic
    """
    value = {"negotiation": negotiation, "person": person, "reason": reason}
    answer(call(home, "negotiation/refuse", value), output, lambda n: say(f"Refused; {n['partner']} is told."))

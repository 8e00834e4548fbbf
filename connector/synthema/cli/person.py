"""``synthema person``: role accounts, the people who sign for a connector."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from synthema.cli.client import call
from synthema.cli.options import HERE, HomeOption, PassphraseOption, passphrase
from synthema.cli.output import Format, FormatOption, answer, say, show_table
from synthema.errors import SynthemaError

app = typer.Typer(help="Role accounts: who signs policies, assessments and plugins.")


@app.command("new")
def new(
    role: Annotated[
        list[str],
        typer.Option("--role", help="dpo, data steward, operator, researcher, clinician or auditor; repeatable."),
    ],
    key: Annotated[
        Path, typer.Option("--key", help="New file for the private key; its holder keeps it.", metavar="FILE")
    ],
    home: HomeOption = HERE,
    passphrase_file: PassphraseOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Make a key for a person and register their role account with the connector.

    Example: synthema person new --home clinic --role dpo --key officer.pem
    """
    from synthema.config import load_settings
    from synthema.identity import PersonKey

    load_settings(home)
    made = PersonKey.create(key, passphrase(passphrase_file, new=True))
    try:
        account = call(home, "people/register", {"roles": role, "public_key": made.public_key.hex()})
    except SynthemaError:
        key.unlink()  # a key without an account would only confuse
        raise
    answer(
        account | {"key": str(key), "roles": role},
        output,
        lambda value: say(
            f"{value['person']} may now sign as {' and '.join(role)}.",
            f"The private key is in {key}. Give it to its holder and keep no copy.",
        ),
    )


@app.command("list")
def list_people(home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """List the role accounts of a connector.

    Example: synthema person list --home clinic
    """
    answer(call(home, "people/list"), output, _show)


def _show(people: list[dict[str, Any]]) -> None:
    rows = ((person["person"], ", ".join(person["roles"])) for person in people)
    show_table(("Account", "Roles"), rows, empty="Nobody is registered yet: synthema person new")

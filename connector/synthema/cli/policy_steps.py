"""``synthema policy`` at a connector: draft, sign, activate, withdraw, list, show."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from synthema.cli.client import call
from synthema.cli.files import read_text
from synthema.cli.options import HERE, HomeOption, KeyOption, PassphraseOption, PersonOption, open_key
from synthema.cli.output import Format, FormatOption, answer, note, say, short, show_table
from synthema.cli.policy import PolicyArgument
from synthema.errors import ConflictError, NotFoundError

_PANEL = "At a connector"

NameArgument = Annotated[str, typer.Argument(help="Identifier of the policy, or its last part.", metavar="POLICY")]
VersionOption = Annotated[
    str | None, typer.Option("--version", help="Its version; the newest if left out.", show_default=False)
]


def add_to(app: typer.Typer) -> None:
    """Put these commands beside those that need no connector."""
    app.command("draft", rich_help_panel=_PANEL)(draft)
    app.command("sign", rich_help_panel=_PANEL)(sign)
    app.command("activate", rich_help_panel=_PANEL)(activate)
    app.command("withdraw", rich_help_panel=_PANEL)(withdraw)
    app.command("list", rich_help_panel=_PANEL)(list_policies)
    app.command("show", rich_help_panel=_PANEL)(show)


def draft(
    file: PolicyArgument,
    cases: Annotated[
        Path | None,
        typer.Option(
            "--cases", help="Cases the policy must decide rightly to count.", metavar="FILE.yaml", show_default=False
        ),
    ] = None,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Hand a policy to a connector, where two people sign it.

    Example: synthema policy draft research.yaml --home clinic
    """

    def text(value: dict[str, Any]) -> None:
        say(*value["sentences"], "")
        say(*(f"{f['severity']}: {f['sentence']}\n  Acknowledge as: {f['key']}" for f in value["findings"]))
        say(*(case["sentence"] for case in value["cases"]))
        if value["changes"]:
            say("Against the version in force:", *(f"  {sentence}" for sentence in value["changes"]))
        say(f"Kept as a draft: {value['policy']}, version {value['version']}", f"Digest: {value['digest']}")
        blocked = "It cannot be signed before what is named above is mended or acknowledged."
        say(blocked if value["obstacles"] else "Next, two people, one of them a DPO: synthema policy sign")

    value = {"text": read_text(file), "file": file.name} | ({"cases": read_text(cases)} if cases else {})
    answer(call(home, "policy/draft", value), output, text)


def sign(
    policy: NameArgument,
    person: PersonOption,
    key: KeyOption,
    home: HomeOption = HERE,
    version: VersionOption = None,
    acknowledge: Annotated[
        list[str] | None,
        typer.Option("--acknowledge", help="Name of a finding you have seen and accept; repeatable."),
    ] = None,
    passphrase_file: PassphraseOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Sign a draft; the second signature puts the policy in force.

    Example: synthema policy sign research --person person-… --key officer.pem --home clinic
    """
    from synthema.policy import signing_bytes

    found = _find(home, policy, version)
    note(f"You sign {found['policy']}, version {found['version']}, {found['digest']}.")
    # Made here from the digest that is shown, so that nobody signs bytes they cannot read.
    statement = signing_bytes(found["policy"], found["version"], found["digest"])
    signature = open_key(key, passphrase_file).sign(statement).hex()
    value = {"policy": found["policy"], "version": found["version"], "person": person, "signature": signature}
    value |= {"acknowledge": acknowledge} if acknowledge else {}
    answer(call(home, "policy/sign", value), output, _show_state)


def _show_state(value: dict[str, Any]) -> None:
    say(f"The policy is {value['state']} ({len(value['signedBy'])} of 2 signatures).")


def activate(
    policy: NameArgument, home: HomeOption = HERE, version: VersionOption = None, output: FormatOption = Format.TEXT
) -> None:
    """Say whether a policy is in force, and if not, what is missing; the second signature activates it.

    Example: synthema policy activate research --home clinic
    """
    found = _find(home, policy, version)
    if found["state"] != "active":
        raise ConflictError(
            f"version {found['version']} of this policy is {found['state']}, "
            f"with {len(found['signedBy'])} of 2 signatures",
            where=found["policy"],
            fix="let two different people sign it, one of them a DPO: synthema policy sign",
        )
    answer(found, output, lambda value: say(f"{value['policy']}, version {value['version']}, is in force."))


def withdraw(
    policy: NameArgument, home: HomeOption = HERE, version: VersionOption = None, output: FormatOption = Format.TEXT
) -> None:
    """Take a policy out of force: what it permitted is denied from now on.

    Example: synthema policy withdraw research --home clinic
    """
    found = _find(home, policy, version)
    value = {"policy": found["policy"], "version": found["version"]}
    answer(call(home, "policy/withdraw", value), output, lambda made: say(f"The policy is {made['state']}."))


def list_policies(home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """List the policies of a connector and where each one stands.

    Example: synthema policy list --home clinic
    """

    def text(policies: list[dict[str, Any]]) -> None:
        rows = ((p["policy"], p["version"], p["layer"], p["state"], short(p["digest"])) for p in policies)
        empty = "There is no policy of this site yet: synthema policy new"
        show_table(("Policy", "Version", "Layer", "State", "Digest"), rows, empty=empty)

    answer(call(home, "policy/list"), output, text)


def show(
    policy: NameArgument, home: HomeOption = HERE, version: VersionOption = None, output: FormatOption = Format.TEXT
) -> None:
    """Show a policy of a connector in plain sentences.

    Example: synthema policy show research --home clinic
    """
    found = _find(home, policy, version)
    shown = call(home, "policy/show", {"policy": found["policy"], "version": found["version"]})
    answer(shown, output, lambda value: say(*value["sentences"], f"State: {value['state']}"))


def _find(home: Path, policy: str, version: str | None) -> dict[str, Any]:
    """The listed version that a person means; raises :class:`NotFoundError`."""
    for known in call(home, "policy/list"):
        named = known["policy"] == policy or known["policy"].rpartition("/")[2] == policy
        if named and version in (None, known["version"]):
            return dict(known)
    raise NotFoundError("there is no such policy", fix="list the policies with: synthema policy list")

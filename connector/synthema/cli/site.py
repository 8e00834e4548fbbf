"""``synthema site``: a connector's place in a data space."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from synthema.cli.client import call, call_served
from synthema.cli.connector import RoleName
from synthema.cli.files import read_json
from synthema.cli.options import HERE, HomeOption
from synthema.cli.output import Format, FormatOption, answer, say, show_table

app = typer.Typer(help="Join a data space with an invitation, look at both sides, propose members, leave.")


@app.command("join")
def join(
    invitation: Annotated[Path, typer.Argument(help="The invitation the authority wrote.", metavar="FILE")],
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Join a data space in ten steps; one that fails tells its number. The connector must be served meanwhile.

    Example: synthema site join invitation.json --home clinic
    """
    joined = call_served(home, "site/join", {"invitation": read_json(invitation)})
    answer(joined, output, lambda value: _show_joined(value, home))


def _show_joined(value: dict[str, Any], home: Path) -> None:
    for taken in value["steps"]:
        say(f"ok  {taken['number']:>2}  {taken['step']}")
    say(
        "",
        f"This connector is a member of {value['space']}. It holds: {', '.join(value['credentials'])}.",
        f"Members it deals with from now on: {', '.join(m['name'] for m in value['members']) or 'none yet'}.",
        f"Next: synthema site status --home {home}, to see that the others know you.",
    )


@app.command("status")
def status(home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """Show what each side sees: this connector, its authority, and each member.

    Example: synthema site status --home clinic
    """
    answer(call(home, "site/status"), output, _show_status)


def _show_status(value: dict[str, Any]) -> None:
    theirs = value["authoritySees"]
    why = f" ({theirs['reason']})" if theirs.get("reason") and theirs["state"] != "active" else ""
    say(
        f"{value['space']}, authority {value['authority']}",
        f"We see ourselves as: {value['state']}, since {value['joined'][:10]}.",
        f"The authority sees us as: {theirs.get('state')}{why}.",
        f"The list of members is version {value['listVersion']}, seen {value['listSeen'][:16]}, "
        f"{'holds until' if value['listHolds'] else 'ENDED at'} {value['listUntil'][:16]}.",
        *(f"{held['type']}, valid until {held['until'][:10]}." for held in value["credentials"]),
        "",
    )
    rows = ((m["name"], m["role"], "yes" if m["knowsUs"] else "NO", m["said"]) for m in value["membersSee"])
    show_table(("Member", "Role", "Knows us", "What it says"), rows, empty="There are no other members yet.")


@app.command("invite")
def invite(
    address: Annotated[str, typer.Option("--address", help="Public address of the connector.", metavar="URL")],
    name: Annotated[str, typer.Option("--name", help="Name of its organisation.")],
    role: Annotated[RoleName, typer.Option("--role", help="What it will be.")],
    reason: Annotated[str, typer.Option("--reason", help="Why it should be a member.")],
    place: Annotated[str | None, typer.Option("--place", help="Country it is established in, e.g. DE.")] = None,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Propose a new member to the authority, whose people decide and write the invitation.

    Example: synthema site invite --address https://d.example --name "Clinic D" --role site --reason "joins the study"
    """
    value = {"url": address, "name": name, "role": role.value, "place": place, "reason": reason}
    answer(
        call_served(home, "site/invite", value),
        output,
        lambda made: say(
            f"{made['proposal']}: the authority has your proposal.",
            f"There: synthema authority invite --proposal {made['proposal']} -o invitation.json",
        ),
    )


@app.command("leave")
def leave(
    reason: Annotated[str, typer.Option("--reason", help="Why, in one sentence; the members' list tells it.")],
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Leave the data space: credentials are revoked, agreements with its members end.

    Example: synthema site leave --reason "the study has ended" --home clinic
    """
    answer(call_served(home, "site/leave", {"reason": reason}), output, _show_left)


def _show_left(value: dict[str, Any]) -> None:
    say(
        f"This connector has left {value['space']}. Its credentials are revoked.",
        f"Agreements with members that ended: {value['agreementsEnded']}. Members are told, or ask within a minute.",
        "What stays: your log, and the members' logs with what they witnessed; certified datasets and their "
        "certificates; the budget that was spent; the duties that outlast an agreement (synthema obligation list).",
        "Nobody takes calls from this connector any more, except partners of your own settings. "
        "A new invitation is the way back.",
    )

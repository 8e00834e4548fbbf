"""``synthema authority``: the governance body of a data space of one's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from synthema.cli.connector import Mode, RoleName
from synthema.cli.files import write_new
from synthema.cli.options import OutputOption, assignments
from synthema.cli.output import Format, FormatOption, answer, note, say, show_table

app = typer.Typer(help="Run a data space of your own: invite, admit, issue credentials, suspend, revoke.")

AuthorityHome = Annotated[
    Path, typer.Option("--home", help="Folder of the authority; the folder you are in if left out.",
                       show_default=False, metavar="DIR"),
]  # fmt: skip
HERE = Path()
ReasonOption = Annotated[str, typer.Option("--reason", help="Why, in one sentence; it stands in the log.")]
AboutArgument = Annotated[str, typer.Argument(help="A member (its did) or a credential (its number).", metavar="WHO")]


@app.command("init")
def init(
    home: Annotated[Path, typer.Option("--home", help="New folder of the authority.", metavar="DIR")],
    name: Annotated[str, typer.Option("--name", help="Name of the data space.")],
    public_url: Annotated[str, typer.Option("--public-url", help="Address that members reach.", metavar="URL")],
    management_url: Annotated[
        str, typer.Option("--management-url", help="Address inside the house only.", metavar="URL")
    ],
    mode: Annotated[Mode, typer.Option("--mode", help="Demo mode takes addresses without TLS.")] = Mode.PRODUCTION,
    output: FormatOption = Format.TEXT,
) -> None:
    """Make an authority: its home folder, keys, settings file and management token.

    Example: synthema authority init --home authority --name "Rare blood diseases" --public-url
    https://authority.example --management-url http://127.0.0.1:9100
    """
    from synthema.assembly.joining.home import SETTINGS_FILE, initialise_authority

    settings = initialise_authority(
        home, name=name, public_url=public_url, management_url=management_url, mode=mode.value
    )
    made = {"home": str(settings.home), "did": settings.did, "settings": str(settings.home / SETTINGS_FILE)}
    answer(
        made,
        output,
        lambda value: say(
            f"The authority of '{name}' is ready in {value['home']}.",
            f"Its identifier is {value['did']}.",
            f"Next: synthema authority serve --home {home}, then invite: synthema authority invite --help",
        ),
    )


@app.command("serve")
def serve(home: AuthorityHome = HERE) -> None:
    """Serve an authority until it is told to stop (Ctrl-C, or SIGTERM from a service manager).

    Example: synthema authority serve --home authority
    """
    from synthema.assembly.joining.home import load_authority
    from synthema.web.authority import serve_authority

    settings = load_authority(home)
    note(f"{settings.name}: public at {settings.public_url}, management at {settings.management_url}")
    serve_authority(settings)
    note("stopped; everything is written")


@app.command("invite")
def invite(
    *,
    file: OutputOption,
    address: Annotated[
        str | None, typer.Option("--address", help="Public address of the connector to invite.", metavar="URL")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of its organisation.")] = None,
    role: Annotated[RoleName | None, typer.Option("--role", help="What it will be.")] = None,
    place: Annotated[str | None, typer.Option("--place", help="Country it is established in, e.g. DE.")] = None,
    hours: Annotated[float, typer.Option("--hours", help="How long the invitation is open, at most 336.")] = 72.0,
    proposal: Annotated[
        str | None, typer.Option("--proposal", help="A member's proposal to follow; see: synthema authority list")
    ] = None,
    home: AuthorityHome = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Write a signed invitation for one connector, to be used once and soon.

    Example: synthema authority invite --address https://a.example --name "Clinic A" --role site -o clinic-a.json
    """
    given = {"address": address, "name": name, "role": role.value if role else None, "place": place}
    value = _of_proposal(home, proposal) | {field: said for field, said in given.items() if said is not None}
    made = call_authority(home, "authority/invite", value | {"hours": hours})
    write_new(file, (json.dumps(made, ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode())
    answer(
        made | {"file": str(file)},
        output,
        lambda value: say(
            f"{file} invites {value['name']} at {value['address']} as a {value['role']}, until {value['expires']}.",
            "It holds a code that works once: hand it over as you would a password, not by plain mail.",
            f"Tell them this key by telephone: {value['key']}",
            f"There: synthema site join {file.name}",
        ),
    )


def _of_proposal(home: Path, proposal: str | None) -> dict[str, Any]:
    if proposal is None:
        return {}
    proposals = call_authority(home, "authority/list")["proposals"]
    found: dict[str, Any] = next((each for each in proposals if each["id"] == proposal), {})
    return {"proposal": proposal} | {field: found[field] for field in ("address", "name", "role") if field in found}


@app.command("withdraw")
def withdraw(
    invitation: Annotated[str, typer.Argument(help="Number of the invitation.", metavar="ID")],
    reason: ReasonOption,
    home: AuthorityHome = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """End an invitation that was not used yet.

    Example: synthema authority withdraw invitation-0192… --reason "sent to the wrong office"
    """
    done = call_authority(home, "authority/withdraw", {"invitation": invitation, "reason": reason})
    answer(done, output, lambda _: say("The invitation cannot be used any more."))


@app.command("issue")
def issue(
    member: Annotated[str, typer.Argument(help="The member's did.", metavar="DID")],
    kind: Annotated[str, typer.Option("--kind", help="membership, role, access-body or permit-holder.")],
    fact: Annotated[
        list[str] | None,
        typer.Option("--fact", help="What only this kind says, e.g. memberState=DE; repeatable.", metavar="KEY=VALUE"),
    ] = None,
    days: Annotated[float, typer.Option("--days", help="How long it is valid.")] = 365.0,
    home: AuthorityHome = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Issue a further credential to a member, who fetches it by itself.

    Example: synthema authority issue did:web:hdab.example --kind access-body --fact memberState=DE
    """
    value = {"member": member, "kind": kind, "facts": assignments(fact or [], "--fact"), "days": days}
    answer(
        call_authority(home, "authority/issue", value),
        output,
        lambda made: say(f"{made['type']} {made['id']} was issued to {member}; the member fetches it within a minute."),
    )


def _standing(event: str, sentence: str, home: Path, about: str, reason: str, output: Format) -> None:
    changed = call_authority(home, f"authority/{event}", {"about": about, "reason": reason})
    answer(changed, output, lambda value: say(f"{about} is {value['state']}. {sentence}"))


@app.command("suspend")
def suspend(about: AboutArgument, reason: ReasonOption, home: AuthorityHome = HERE,
            output: FormatOption = Format.TEXT) -> None:  # fmt: skip
    """Suspend a member with all its credentials, or one credential, until it is reinstated or revoked.

    Example: synthema authority suspend did:web:a.example --reason "its machine is being examined"
    """
    _standing(
        "suspend", "Members that are reached know it now, the others within a minute.", home, about, reason, output
    )


@app.command("reinstate")
def reinstate(about: AboutArgument, reason: ReasonOption, home: AuthorityHome = HERE,
              output: FormatOption = Format.TEXT) -> None:  # fmt: skip
    """End a suspension.

    Example: synthema authority reinstate did:web:a.example --reason "nothing was found"
    """
    _standing("reinstate", "Its credentials count again.", home, about, reason, output)


@app.command("revoke")
def revoke(about: AboutArgument, reason: ReasonOption, home: AuthorityHome = HERE,
           output: FormatOption = Format.TEXT) -> None:  # fmt: skip
    """End a membership or one credential for good; a new invitation is the only way back.

    Example: synthema authority revoke did:web:a.example --reason "the contract has ended"
    """
    _standing("revoke", "This is final; its log and what it released stay.", home, about, reason, output)


@app.command("requests")
def list_requests(home: AuthorityHome = HERE, output: FormatOption = Format.TEXT) -> None:
    """List what members asked for; what was decided and not delivered yet is sent again.

    Example: synthema authority requests --home authority
    """

    def show(value: list[dict[str, Any]]) -> None:
        rows = ((r["request"], r["member"], ", ".join(r["asks"]), r["state"], "yes" if r["delivered"] else "no")
                for r in value)  # fmt: skip
        show_table(("Request", "Member", "Asks for", "State", "Delivered"), rows, empty="Nobody asked for anything.")

    answer(call_authority(home, "authority/requests"), output, show)


@app.command("approve")
def approve(
    request: Annotated[str, typer.Argument(help="The request, by its number.", metavar="REQUEST")],
    fact: Annotated[list[str] | None, typer.Option("--fact", help="What else it says.", metavar="NAME=VALUE")] = None,
    days: Annotated[float, typer.Option("--days", help="How many days the credentials are valid.")] = 365.0,
    home: AuthorityHome = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Issue what a member asked for, and deliver it to the member's credential service.

    Example: synthema authority approve issuance-0192 --fact permit=HDAB-7 --fact permitEnds=2028-12-31
    """
    value = {"request": request, "facts": assignments(fact or [], "--fact"), "days": days}
    answer(call_authority(home, "authority/approve", value), output, _show_decision)


@app.command("refuse")
def refuse(
    request: Annotated[str, typer.Argument(help="The request, by its number.", metavar="REQUEST")],
    reason: ReasonOption,
    home: AuthorityHome = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Refuse what a member asked for; the member reads the reason.

    Example: synthema authority refuse issuance-0192 --reason "there is no permit"
    """
    answer(call_authority(home, "authority/refuse", {"request": request, "reason": reason}), output, _show_decision)


def _show_decision(value: dict[str, Any]) -> None:
    said = value["notDelivered"]
    say(f"{value['request']} is {value['state']}.")
    say(*(said or ["The member has been told."]))


@app.command("list")
def list_all(home: AuthorityHome = HERE, output: FormatOption = Format.TEXT) -> None:
    """List members, invitations, proposals and credentials.

    Example: synthema authority list --home authority
    """
    answer(call_authority(home, "authority/list"), output, _show_lists)


def _show_lists(value: dict[str, Any]) -> None:
    for title, fields, empty in (
        ("members", ("did", "name", "role", "state", "reason"), "There are no members yet."),
        ("invitations", ("id", "name", "role", "expires", "state"), "Nobody was invited yet."),
        ("proposals", ("id", "name", "role", "address", "proposer", "reason"), "Nothing was proposed."),
        ("credentials", ("id", "member", "type", "state", "until"), "No credential was issued yet."),
    ):
        say(f"{title.capitalize()}")
        show_table(fields, ([row[field] for field in fields] for row in value[title]), empty=empty)
        say("")


@app.command("status")
def status(home: AuthorityHome = HERE, output: FormatOption = Format.TEXT) -> None:
    """Say how the authority stands: members, open invitations, its log and its keys.

    Example: synthema authority status --home authority
    """
    answer(call_authority(home, "authority/status"), output, _show_status)


def _show_status(value: dict[str, Any]) -> None:
    members = ", ".join(f"{count} {state}" for state, count in value["members"].items()) or "none yet"
    say(
        f"{value['space']} ({value['authority']})",
        f"Members: {members}. Open invitations: {value['openInvitations']}.",
        f"The log has {value['log']} entries and is unchanged.",
        *(f"Key {key['key']}: {'signs' if key['signs'] else 'kept'}, {key['publicKey']}" for key in value["keys"]),
    )


def call_authority(home: Path, act: str, value: dict[str, Any] | None = None) -> Any:
    """Run an act: over the management address where the authority is served, else in this process."""
    from synthema.assembly.joining.acts import perform
    from synthema.assembly.joining.authority import Authority
    from synthema.assembly.joining.home import load_authority
    from synthema.assembly.lock import home_lock
    from synthema.assembly.remote import call_remote
    from synthema.assembly.setup import MANAGEMENT_TOKEN
    from synthema.cli.client import is_running

    settings = load_authority(home)
    if is_running(settings):
        token = (settings.home / MANAGEMENT_TOKEN).read_text(encoding="utf-8").strip()
        return call_remote(settings.management_url, token, act, value)
    with home_lock(settings.home):
        authority = Authority.open(settings)
        try:
            return perform(authority, act, value or {})
        finally:
            authority.close()

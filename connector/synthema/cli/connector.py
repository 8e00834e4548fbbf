"""The commands about a connector as a whole: init, doctor, serve, demo."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from synthema.cli.doctor import STATUS_OF, examine, settings_help
from synthema.cli.options import HERE, HomeOption
from synthema.cli.output import Format, FormatOption, answer, note, say, show_table, working
from synthema.errors import InputError

_PANEL = "Start here"


class RoleName(StrEnum):
    """What a connector does in the data space."""

    SITE = "site"
    HUB = "hub"
    REGISTRY = "registry"


class Mode(StrEnum):
    """Demo secrets work in demo mode only."""

    PRODUCTION = "production"
    DEMO = "demo"


def add_to(app: typer.Typer) -> None:
    """Put these commands on the top level."""
    for command in (demo, init, doctor, serve):
        app.command(rich_help_panel=_PANEL)(command)


def demo(
    *,
    output: Annotated[Path, typer.Option("--output", help="Folder for what the demo makes.", metavar="DIR")] = Path(
        "synthema-demo"
    ),
    small: Annotated[bool, typer.Option("--small", help="Fewer synthetic patients; done sooner.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the connectors up until Enter is pressed.")] = False,
) -> None:
    """Let five connectors on this machine make, certify and register one synthetic dataset.

    Example: synthema demo --small --output my-demo
    """
    from synthema.demo.run import run_demo

    raise typer.Exit(run_demo(output, keep=keep, small=small))


def init(
    home: Annotated[Path, typer.Option("--home", help="New folder of the connector.", metavar="DIR")],
    name: Annotated[str, typer.Option("--name", help="Name of the organisation.")],
    role: Annotated[RoleName, typer.Option("--role", help="What it does in the data space.")],
    public_url: Annotated[str, typer.Option("--public-url", help="Address that partners reach.", metavar="URL")],
    management_url: Annotated[
        str, typer.Option("--management-url", help="Address inside the house only.", metavar="URL")
    ],
    mode: Annotated[Mode, typer.Option("--mode", help="Demo mode takes addresses without TLS.")] = Mode.PRODUCTION,
    peer: Annotated[
        list[str] | None,
        typer.Option(
            "--peer", help="A partner: its did, address, role and name; repeatable.", metavar="DID,URL,ROLE,NAME"
        ),
    ] = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Make a connector: its home folder, keys, settings file and management token.

    Example: synthema init --home clinic --name "Clinic A" --role site --public-url https://a.example
    --management-url http://127.0.0.1:9101
    """
    from synthema.assembly.setup import initialise

    settings = initialise(
        home,
        name=name,
        role=role.value,
        public_url=public_url,
        management_url=management_url,
        mode=mode.value,
        peers=[_peer(text) for text in peer or []],
    )
    made = {"home": str(settings.home), "did": settings.did, "settings": str(settings.home / "connector.toml")}
    answer(
        made,
        output,
        lambda value: say(
            f"{name} is ready in {value['home']}.",
            f"Its identifier in the data space is {value['did']}.",
            f"Next: synthema doctor --home {home}, then synthema serve --home {home}",
        ),
    )


def _peer(text: str) -> Any:
    from pydantic import ValidationError

    from synthema.config import Peer

    parts = [part.strip() for part in text.split(",", 3)]
    try:
        return Peer.model_validate(dict(zip(("did", "url", "role", "name"), parts, strict=True)))
    except (ValueError, ValidationError) as error:
        raise InputError(
            f"'{text[:80]}' does not describe a partner",
            where="--peer",
            fix='write: --peer "did:web:b.example,https://b.example,site,Clinic B"',
        ) from error


def doctor(
    *,
    home: Annotated[
        Path | None,
        typer.Option("--home", help="Folder of a connector; only the machine is checked if left out.", metavar="DIR"),
    ] = None,
    settings: Annotated[bool, typer.Option("--settings", help="Explain every setting of connector.toml.")] = False,
    output: FormatOption = Format.TEXT,
) -> None:
    """Check this machine, and a connector on it; exits 0 when all is OK, 1 on WARN, 4 on FAIL.

    Example: synthema doctor --home clinic
    """
    if settings:
        answer(settings_help(), output, _show_settings)
        return
    with working("Looking at this machine; the isolation of plugins is tried out for real …"):
        rows = examine(home)
    answer(rows, output, _show_checks)
    raise typer.Exit(max((STATUS_OF[row["status"]] for row in rows), default=0))


def _show_checks(rows: list[dict[str, str]]) -> None:
    show_table(
        ("No.", "Check", "", "Result", "How to fix"),
        ((row["number"], row["check"], row["status"].upper(), row["result"], row["fix"]) for row in rows),
        empty="There is nothing to check.",
    )


def _show_settings(rows: list[dict[str, Any]]) -> None:
    show_table(
        ("Setting", "Meaning", "If left out"),
        ((row["setting"], row["meaning"], row["default"]) for row in rows),
        empty="There are no settings.",
    )


def serve(home: HomeOption = HERE) -> None:
    """Serve a connector until it is told to stop (Ctrl-C, or SIGTERM from a service manager).

    Example: synthema serve --home clinic
    """
    from synthema.config import load_settings
    from synthema.web.server import serve as serve_connector

    settings = load_settings(home)
    note(f"{settings.name}: public at {settings.public_url}, management at {settings.management_url}")
    serve_connector(settings)
    note("stopped; everything is written")

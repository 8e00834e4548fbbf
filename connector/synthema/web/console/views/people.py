"""Who may sign, and the commands with which each signs by their own key. No key ever comes near the console."""

from __future__ import annotations

from typing import Any, Final

from synthema.web.console.desk import Desk

KEY: Final = ("--key", "YOUR-KEY.pem")
_FILES: Final = ("first.json", "second.json")


def roles(desk: Desk) -> dict[str, str]:
    """Person → roles, as the list of role accounts has them."""
    return {person["person"]: ", ".join(person["roles"]) for person in desk.ask("people/list")}


def officers(desk: Desk) -> list[str]:
    """The data protection officers; a gap to fill where none is registered yet."""
    return [person["person"] for person in desk.ask("people/list") if "dpo" in person["roles"]] or ["PERSON"]


def signing_commands(desk: Desk, noun: str, signed_by: list[str], *words: str) -> list[dict[str, str]]:
    """For each person who has not signed yet, the command to run with their own key."""
    return [
        {
            "who": f"{person['person']} ({', '.join(person['roles'])})",
            "command": desk.command(noun, "sign", *words, "--person", person["person"], *KEY),
        }
        for person in desk.ask("people/list")
        if person["person"] not in signed_by
    ]


def both_sign(desk: Desk, noun: str, *words: str) -> list[str]:
    """The commands with which two people sign into a file each, one of them a data protection officer."""
    people: list[dict[str, Any]] = sorted(desk.ask("people/list"), key=lambda person: "dpo" not in person["roles"])
    chosen = [person["person"] for person in people][:2]
    chosen += ["PERSON"] * (2 - len(chosen))
    return [
        desk.command(noun, "sign", *words, "--person", person, *KEY, "-o", file)
        for person, file in zip(chosen, _FILES, strict=True)
    ]


def both_files(option: str = "") -> list[str]:
    """The files of both signatures, each behind an option where the command wants one."""
    return [word for file in _FILES for word in ((option, file) if option else (file,))]

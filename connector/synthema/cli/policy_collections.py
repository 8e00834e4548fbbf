"""``synthema policy collection``: the groups of datasets and parties that policies may name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from synthema.canonical import canonical_json
from synthema.cli.client import call
from synthema.cli.files import read_json, write_new
from synthema.cli.options import HERE, HomeOption, KeyOption, OutputOption, PassphraseOption, PersonOption, open_key
from synthema.cli.output import Format, FormatOption, answer, note, say, show_table
from synthema.errors import InputError

app = typer.Typer(
    help="Collections of datasets or parties that policies may name: sign a change, add, remove, list.",
)

CollectionArgument = Annotated[
    str, typer.Argument(help="Identifier of the collection, as policies name it.", metavar="COLLECTION")
]
MemberArgument = Annotated[
    str,
    typer.Argument(help="A dataset of this site by name, a party (did:…), or another collection.", metavar="MEMBER"),
]
KindOption = Annotated[str, typer.Option("--kind", help="What the collection holds: dataset or party.")]
TitleOption = Annotated[str, typer.Option("--title", help="Its name for people, when it is new.")]
SignaturesOption = Annotated[
    list[Path],
    typer.Option("--signature", help="File made with: synthema policy collection sign-…; give two.", metavar="FILE"),
]
_KEYS = {"act", "collection", "member", "kind", "title", "number", "person", "signature"}


@app.command("sign-add")
def sign_add(
    collection: CollectionArgument,
    member: MemberArgument,
    *,
    person: PersonOption,
    key: KeyOption,
    kind: KindOption,
    title: TitleOption = "",
    file: OutputOption,
    home: HomeOption = HERE,
    passphrase_file: PassphraseOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Sign that something is put into a collection; two people's signatures do it, an officer's among them.

    Example: synthema policy collection sign-add https://clinic.example/id/collection/network did:web:hub.example
    --kind party --title "Rare anaemia network" --person person-… --key officer.pem -o officer.json --home clinic
    """
    value = {"act": "add", "collection": collection, "member": member, "kind": kind, "title": title}
    _sign(value, "add", person, key, file, home, passphrase_file, output)


@app.command("sign-remove")
def sign_remove(
    collection: CollectionArgument,
    member: MemberArgument,
    *,
    person: PersonOption,
    key: KeyOption,
    file: OutputOption,
    home: HomeOption = HERE,
    passphrase_file: PassphraseOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Sign that something is taken out of a collection; prohibitions that name it end for it, too.

    Example: synthema policy collection sign-remove https://clinic.example/id/collection/network did:web:hub.example
    --person person-… --key officer.pem -o officer.json --home clinic
    """
    value = {"act": "remove", "collection": collection, "member": member}
    _sign(value, "remove", person, key, file, home, passphrase_file, output)


def _sign(
    value: dict[str, Any],
    act: Literal["add", "remove"],
    person: str,
    key: Path,
    file: Path,
    home: Path,
    passphrase_file: Path | None,
    output: Format,
) -> None:
    from synthema.policy.memberships import Change, CollectionKind

    asked = call(home, "collection/signing", value)
    names = (asked["collection"], asked["member"], CollectionKind(asked["kind"]), asked["title"], asked["number"])
    note(*asked["sentences"], f"You sign change {asked['number']} of {asked['collection']}.")
    # What is signed is put together here, from what was shown.
    signature = open_key(key, passphrase_file).sign(Change(act, *names).signing_bytes()).hex()
    told = {name: asked[name] for name in ("act", "collection", "member", "kind", "title", "number")}
    signed = {**told, "person": person, "signature": signature}
    write_new(file, canonical_json(signed))
    answer(signed, output, lambda _: say(f"{file} holds your signature. Next: synthema policy collection {act}"))


@app.command("add")
def add(
    *,
    signature: SignaturesOption,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Put what two people signed into its collection; policies that name the collection then mean that, too.

    Example: synthema policy collection add --signature officer.json --signature steward.json --home clinic
    """
    answer(call(home, "collection/add", _signed(signature, "add", ("kind", "title"))), output, _tell)


@app.command("remove")
def remove(
    *,
    signature: SignaturesOption,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Take what two people signed out of its collection; policies that name the collection no longer mean it.

    Example: synthema policy collection remove --signature officer.json --signature steward.json --home clinic
    """
    answer(call(home, "collection/remove", _signed(signature, "remove", ())), output, _tell)


def _signed(files: list[Path], act: str, more: tuple[str, ...]) -> dict[str, Any]:
    """The change that all these files are about, with their signatures."""
    found = [read_json(path) for path in files]
    for value, path in zip(found, files, strict=True):
        if value.keys() != _KEYS or value["act"] != act:
            raise InputError(
                f"this is no signature under '{act}'",
                where=str(path),
                fix=f"make one: synthema policy collection sign-{act}",
            )
    changes = [{name: value[name] for name in _KEYS - {"person", "signature"}} for value in found]
    if any(change != changes[0] for change in changes):
        raise InputError("the signatures are under different changes", fix="sign the same change again, both of you")
    approvals = [{"person": value["person"], "signature": value["signature"]} for value in found]
    return {name: changes[0][name] for name in ("collection", "member", *more)} | {"approvals": approvals}


@app.command("list")
def list_collections(home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """List the collections of a connector with their members.

    Example: synthema policy collection list --home clinic
    """

    def text(collections: list[dict[str, Any]]) -> None:
        rows = ((c["collection"], c["kind"], c["title"], ", ".join(c["members"])) for c in collections)
        show_table(("Collection", "Of", "Title", "Members"), rows, empty="There is no collection yet.")

    answer(call(home, "collection/list"), output, text)


def _tell(value: dict[str, Any]) -> None:
    members = ", ".join(value["members"]) or "nothing"
    say(f"{value['title']} ({value['collection']}) now holds: {members}")

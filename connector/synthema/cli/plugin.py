"""``synthema plugin``: what is installed, what it does, and who let it run."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from synthema.canonical import canonical_json
from synthema.cli.client import call
from synthema.cli.files import read_json, write_new
from synthema.cli.options import (
    HERE,
    HomeOption,
    KeyOption,
    OutputOption,
    PassphraseOption,
    PersonOption,
    assignments,
    open_key,
)
from synthema.cli.output import Format, FormatOption, answer, note, say, short, show_table
from synthema.errors import InputError, PluginError

app = typer.Typer(help="Plugins: inspect, check, and let them run by two signatures.")

NameArgument = Annotated[str, typer.Argument(help="Name of the plugin, e.g. marginals.")]


@app.command("list")
def list_plugins(home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """List the installed plugins and whether each may run.

    Example: synthema plugin list --home clinic
    """

    def show(plugins: list[dict[str, Any]]) -> None:
        rows = ((p["name"], p["version"], p["standing"], short(p["digest"]), p.get("problem")) for p in plugins)
        show_table(("Plugin", "Version", "Standing", "Digest", "Problem"), rows, empty="No plugin is installed.")

    answer(call(home, "plugin/list"), output, show)


@app.command("inspect")
def inspect(name: NameArgument, output: FormatOption = Format.TEXT) -> None:
    """Say in sentences what an installed plugin does and claims, without running it; needs no connector.

    Example: synthema plugin inspect marginals
    """
    from synthema.spi.loader import find
    from synthema.spi.manifest import describe

    plugin = find(name)
    found = {
        "name": plugin.name,
        "version": plugin.manifest.version,
        "digest": plugin.digest,
        "folder": str(plugin.folder),
        "sentences": list(describe(plugin.manifest)),
    }
    answer(
        found,
        output,
        lambda value: say(*value["sentences"], f"Digest: {value['digest']}", f"Files: {value['folder']}"),
    )


@app.command("sign")
def sign(
    name: NameArgument,
    person: PersonOption,
    key: KeyOption,
    file: OutputOption,
    home: HomeOption = HERE,
    passphrase_file: PassphraseOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Sign the present files of a plugin; two people's signatures let it run.

    Example: synthema plugin sign marginals --person person-… --key officer.pem -o officer.json --home clinic
    """
    from synthema.spi import approval_bytes

    asked = call(home, "plugin/signing", {"name": name})
    note(*asked["sentences"], f"You sign '{name}', {asked['digest']}.")
    signature = open_key(key, passphrase_file).sign(approval_bytes(name, asked["digest"])).hex()
    signed = {"name": name, "digest": asked["digest"], "person": person, "signature": signature}
    write_new(file, canonical_json(signed))
    answer(signed, output, lambda _: say(f"{file} holds your signature. Next: synthema plugin approve {name}"))


@app.command("approve")
def approve(
    name: NameArgument,
    signature: Annotated[
        list[Path], typer.Option("--signature", help="File made with: synthema plugin sign; give two.", metavar="FILE")
    ],
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Let a plugin run, as long as its files stay those that two people signed.

    Example: synthema plugin approve marginals --signature officer.json --signature steward.json --home clinic
    """
    signed = [_signature(path, name) for path in signature]
    digests = {each["digest"] for each in signed}
    if len(digests) != 1:
        raise InputError(
            "the signatures are under different files of the plugin", fix="sign again: synthema plugin sign"
        )
    value = {
        "name": name,
        "digest": digests.pop(),
        "approvals": [{"person": each["person"], "signature": each["signature"]} for each in signed],
    }
    answer(
        call(home, "plugin/approve", value),
        output,
        lambda made: say(f"{name} may run, as long as its files stay as they are ({made['approval']})."),
    )


def _signature(path: Path, name: str) -> dict[str, Any]:
    value = read_json(path)
    if value.keys() != {"name", "digest", "person", "signature"} or value["name"] != name:
        raise InputError(f"this is no signature under '{name}'", where=str(path), fix="make one: synthema plugin sign")
    return value


@app.command("revoke")
def revoke(
    name: NameArgument,
    person: PersonOption,
    reason: Annotated[str, typer.Option("--reason", help="Why; it goes into the log.")],
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Stop a plugin from running.

    Example: synthema plugin revoke marginals --person person-… --reason "its author withdrew it" --home clinic
    """
    revoked = call(home, "plugin/revoke", {"name": name, "person": person, "reason": reason})
    answer(revoked, output, lambda _: say(f"{name} may no longer run."))


@app.command("check")
def check(
    name: NameArgument,
    parameters: Annotated[
        list[str] | None,
        typer.Option("--set", help="A parameter the tests run it with, as YAML; repeatable.", metavar="KEY=VALUE"),
    ] = None,
) -> None:
    """Run the contract tests on an installed plugin, with simulated tables; it runs here, outside the sandbox.

    Example: synthema plugin check median-survival --set group=sex
    """
    import yaml

    from synthema.spi.loader import find

    if find_spec("pytest") is None:
        raise InputError("the contract tests need pytest", fix="pip install pytest")
    kinds = find(name).manifest.kinds
    chosen = {key: yaml.safe_load(text) for key, text in assignments(parameters or [], "--set").items()}
    with tempfile.TemporaryDirectory(prefix="synthema-check-") as folder:
        Path(folder, "test_contract.py").write_text(_contract_tests(name, kinds, chosen), encoding="utf-8")
        tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", folder, folder]
        done = subprocess.run(tests, check=False)  # noqa: S603 - our own interpreter on a file of ours
    if done.returncode:
        raise PluginError(
            f"'{name}' does not keep its contract",
            fix="mend what the tests above name, or give parameters that suit the simulated table with --set",
        )


def _contract_tests(name: str, kinds: Any, parameters: dict[str, Any]) -> str:
    """The text of a test module: one class for each kind the plugin has a contract for."""
    contracts = {
        "anonymiser": "AnonymiserContract",
        "generator": "GeneratorContract",
        "federated-algorithm": "FederatedAlgorithmContract",
        "federated-analysis": "FederatedAnalysisContract",
        "aggregator": "AggregatorContract",
        "evaluator": "EvaluatorContract",
        "analysis": "AnalysisContract",
    }
    used = [contracts[kind] for kind in kinds if kind in contracts]
    if not used:
        raise PluginError(f"there are no contract tests for the kind of '{name}'", fix="write tests of your own")
    lines = [f"from synthema.spi.testing import {', '.join(used)}"]
    for contract in used:
        lines += [
            "",
            f"class Test{contract}({contract}):",
            f"    plugin = {name!r}",
            f"    parameters = {parameters!r}",
        ]
    return "\n".join(lines) + "\n"

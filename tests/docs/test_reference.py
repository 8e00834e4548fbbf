"""Pages that describe the code say what the code says: hooks, settings, the demo's figures."""

from __future__ import annotations

import inspect
import itertools
import runpy
from pathlib import Path
from typing import Any

import pytest

from synthema.config import load_settings
from synthema.demo.patients import hospital_data
from synthema.demo.run import PATIENTS, SHARES
from synthema.errors import SynthemaError
from synthema.spi.hookspecs import HOOKS, Hooks
from tests.docs.markdown import ROOT, Block, blocks, pages

REFERENCE = ROOT / "connector" / "docs" / "reference"
GUIDES = ROOT / "connector" / "docs" / "guides"


def _signature(hook: str) -> str:
    found = inspect.signature(getattr(Hooks, hook))
    arguments = [f"{name}: {p.annotation}" for name, p in found.parameters.items() if name != "self"]
    return f"{hook}({', '.join(arguments)}) -> {found.return_annotation}"


def test_every_hook_stands_in_the_plugin_guide_with_its_exact_signature() -> None:
    page = GUIDES / "plugin-author.md"
    written = {line for block in blocks(page) if block.language == "python" for line in block.lines}
    hooks = [name for name in vars(Hooks) if not name.startswith("_")]
    assert set(HOOKS) == set(hooks)
    for hook in hooks:
        assert _signature(hook) in written, f"write into {page.name}: {_signature(hook)}"


@pytest.mark.parametrize("name", ["settings", "cli"])
def test_generated_pages_are_current(name: str) -> None:
    script: dict[str, Any] = runpy.run_path(str(REFERENCE / f"make_{name}.py"))
    text = (REFERENCE / f"{name}.md").read_text(encoding="utf-8")
    assert text == script["page"](), f"run: python connector/docs/reference/make_{name}.py"


def _toml_blocks() -> list[Block]:
    found = [b for page in (GUIDES / "site.md", GUIDES / "registry.md") for b in blocks(page)]
    return [block for block in found if block.language == "toml"]


@pytest.mark.parametrize("block", _toml_blocks(), ids=str)
def test_settings_shown_in_guides_are_settings(block: Block, tmp_path: Path) -> None:
    head = {
        "name": 'name = "A"', "public_url": 'public_url = "https://a.example"',
        "management_url": 'management_url = "http://127.0.0.1:9101"',
    }  # fmt: skip
    top = list(itertools.takewhile(lambda line: not line.startswith("["), block.lines))
    given = [line for key, line in head.items() if not any(each.startswith(key) for each in top)]
    (tmp_path / "connector.toml").write_text("\n".join([*given, *block.lines]), encoding="utf-8")
    load_settings(tmp_path)


def test_exit_statuses_stand_on_the_command_page() -> None:
    text = (REFERENCE / "cli.md").read_text(encoding="utf-8")
    kinds: list[type[SynthemaError]] = [SynthemaError]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
    ours = {kind.exit_status for kind in kinds if kind.__module__ == "synthema.errors"}
    assert all(f"\n| {status} | " in text for status in ours)


def test_the_readme_shows_the_patients_the_demo_has() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    hospitals = hospital_data(SHARES)
    for letter, hospital in zip("ABC", hospitals, strict=True):
        assert f"Hospital {letter} takes in {hospital.patients} patients" in text
    assert sum(hospital.patients for hospital in hospitals) == PATIENTS
    assert f"{PATIENTS} people" in text


def test_no_page_names_a_machine_or_a_person() -> None:
    for page in pages():
        text = page.read_text(encoding="utf-8")
        for word in ("/home/", "/root/", "/Users/", str(ROOT)):
            assert word not in text, f"{page.relative_to(ROOT)} names {word}"

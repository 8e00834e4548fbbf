"""The guide for data protection officers, run block by block as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, blocks

GUIDE = ROOT / "connector" / "docs" / "guides" / "dpo.md"
BLOCK = re.compile(r"<!-- dpo: (?P<what>[^>]+) -->\n```\w+\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
TEXT = GUIDE.read_text(encoding="utf-8")


def _run(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", f"set -eo pipefail\n{text}"],
        cwd=folder,
        env={**os.environ, "PATH": tools, "SYNTHEMA": str(ROOT), "POLARS_MAX_THREADS": "2"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Each block's text and what it printed, after all were run in order in one folder."""
    folder = tmp_path_factory.mktemp("dpo")
    printed: dict[str, str] = {}
    for block in BLOCK.finditer(TEXT):
        kind, *words = block["what"].split()
        if kind == "file":
            (folder / words[0]).write_text(block["text"], encoding="utf-8")
            continue
        done = _run(block["text"], folder)
        expected = int(words[0]) if kind == "fails" else 0
        assert done.returncode == expected, f"{block['text']}\n{done.stdout}\n{done.stderr}"
        printed[block["text"]] = done.stdout + done.stderr
    return printed


def _after(said: dict[str, str], command: str) -> str:
    found = [output for text, output in said.items() if command in text]
    assert found, f"the guide has no '{command}'"
    return "\n".join(found)


def test_every_block_of_commands_is_run() -> None:
    """Blocks of text show what was printed, those of a console what depends on the reader; all others are done here."""
    to_do = [block for block in blocks(GUIDE) if block.language not in ("text", "console")]
    assert len(BLOCK.findall(TEXT)) == len(to_do) >= 12


@pytest.mark.timeout(1200)
def test_the_guide_leads_to_policies_in_force(said: dict[str, str]) -> None:
    assert "did you mean 'epsilon'" in _after(said, "misspelt.yaml")
    assert "4 of 4 cases" in _after(said, "policy test cases.yaml")
    assert "1 of 2 signatures" in _after(said, "policy activate research")
    listed = _after(said, "policy list")
    assert listed.count("active") >= 2
    assert "2 classes of requests are answered otherwise" in _after(said, "policy diff")
    assert "NPU: open" in _after(said, "match-duo")
    assert "Left to people" in _after(said, "legal article") or "Held to in" in _after(said, "legal article")
    assert "unchanged" in _after(said, "log verify")

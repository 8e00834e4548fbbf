"""The guide on joining, run block by block as it stands, on ports that are free."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from synthema.demo.processes import free_ports
from tests.docs.markdown import ROOT, blocks

GUIDE = ROOT / "connector" / "docs" / "guides" / "joining.md"
TEXT = GUIDE.read_text(encoding="utf-8")
BLOCK = re.compile(r"<!-- joining: (?P<what>[^>]+) -->\n```bash\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
PORT = re.compile(r"127\.0\.0\.1:(91\d\d)")
START_SECONDS = 120


def _on_free_ports(text: str) -> str:
    named = sorted(set(PORT.findall(text)))
    free = dict(zip(named, free_ports(len(named)), strict=True))
    return PORT.sub(lambda found: f"127.0.0.1:{free[found[1]]}", text)


def _environment() -> dict[str, str]:
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": tools, "POLARS_MAX_THREADS": "2"}


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        try:
            if httpx.get(address, timeout=2, trust_env=False).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    pytest.fail(f"nothing answers at {address}")


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What each block printed. Blocks share one folder and the variables they set."""
    folder, printed, serving = tmp_path_factory.mktemp("joining"), dict[str, str](), list[subprocess.Popen[bytes]]()
    remembered = ""
    try:
        for block in BLOCK.finditer(_on_free_ports(TEXT)):
            kind, *words = block["what"].split()
            if kind == "serve":
                process = subprocess.Popen(
                    ["bash", "-c", f"exec {block['text']}"], cwd=folder, env=_environment(), stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                )  # fmt: skip
                serving.append(process)
                _wait_for(words[0], process)
                continue
            done = subprocess.run(
                ["bash", "-c", f"set -eo pipefail\n{remembered}\n{block['text']}"],
                cwd=folder, env=_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
                check=False,
            )  # fmt: skip
            failed = done.returncode != 0
            assert failed == (kind == "fails"), f"{block['text']}\n{done.stdout}\n{done.stderr}"
            printed[block["text"]] = done.stdout + done.stderr
            assigned = re.findall(r"^[A-Z]=\$\((?:.*?)\)$", block["text"], re.MULTILINE | re.DOTALL)
            remembered = "\n".join([remembered, *assigned])
        yield printed
    finally:
        for process in serving:
            process.send_signal(signal.SIGTERM)
        for process in serving:
            process.wait(timeout=60)


def _after(said: dict[str, str], command: str) -> str:
    found = [output for text, output in said.items() if command in text]
    assert found, f"the guide has no '{command}'"
    return "\n".join(found)


def test_every_block_of_commands_is_run() -> None:
    to_do = [block for block in blocks(GUIDE) if block.language != "text"]
    assert len(BLOCK.findall(TEXT)) == len(to_do) >= 12


@pytest.mark.timeout(900)
def test_the_guide_leads_into_a_data_space_and_out_again(said: dict[str, str]) -> None:
    shown = [line for block in blocks(GUIDE) if block.language == "text" for line in block.lines]
    joined = _after(said, "site join clinic-a.json --home a\n")
    steps = [line for line in shown if line.startswith("ok ")]
    assert len(steps) == 10
    assert all(line in joined for line in steps)
    assert "step 2 of 10 (it invites this connector)" in _after(said, "site join clinic-a.json --home b")
    assert "Clinic A" in _after(said, "site status --home b")
    assert "none: everything is denied" in _after(said, "doctor --home a")
    assert "FAIL" not in _after(said, "doctor --home a")
    assert "HealthDataAccessBodyCredential" in _after(said, "--kind access-body")
    assert "is suspended" in _after(said, "authority suspend")
    assert "assertion-2" in _after(said, "key rotate assertion")
    assert "What stays" in _after(said, "site leave")

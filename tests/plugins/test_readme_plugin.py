"""The page for plugin authors is run as it stands, and a stranger's plugin is built, approved, and run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Connection

from synthema.clock import Clock
from synthema.runs.sandbox import Sandbox
from synthema.spi import PluginRegistry, approval_bytes, discover
from synthema.spi.simulated import simulated_codebook, simulated_table
from synthema.storage import Database

PLUGINS = Path(__file__).parents[2] / "plugins"
EXAMPLE = PLUGINS / "example-out-of-tree"
BLOCK = re.compile(r"^```(?:toml|python)\n# (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class People:
    """Two people whose signature is the signed text and their name."""

    def verify(self, person_id: str, data: bytes, signature: bytes) -> Any:
        assert signature == data + person_id.encode()
        return SimpleNamespace(id=person_id, roles=("dpo",) if person_id == "officer" else ("operator",))


class Log:
    def append(self, connection: Connection, activity: Any) -> None:
        assert activity.nquads("https://site.example/id/graph/1")

    def iri(self, kind: str, id: str) -> str:  # noqa: A002
        return f"https://site.example/id/{kind}/{id}"


def write_page(folder: Path) -> list[str]:
    """Every code block of the page that begins with a file's name, as that file."""
    blocks = BLOCK.findall((PLUGINS / "README.md").read_text(encoding="utf-8"))
    for name, text in blocks:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return [name for name, _ in blocks]


def write_dist_info(project_file: Path, site: Path) -> None:
    """What ``pip install`` would leave beside the package: the entry point, by which it is found."""
    project = tomllib.loads(project_file.read_text(encoding="utf-8"))["project"]
    ((group, points),) = project["entry-points"].items()
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    (info / "entry_points.txt").write_text(
        f"[{group}]\n" + "".join(f"{name} = {module}\n" for name, module in points.items())
    )


def install_page(folder: Path) -> Path:
    assert len(write_page(folder)) == 4
    write_dist_info(folder / "pyproject.toml", folder)
    return folder


def install_example(folder: Path) -> Path:
    site = folder / "site"
    shutil.copytree(EXAMPLE / "src", site, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(EXAMPLE / "tests", site / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    write_dist_info(EXAMPLE / "pyproject.toml", site)
    return site


CASES = [("group-counts", install_page, {"group": "sex"}), ("median-survival", install_example, {"group": "sex"})]


@pytest.mark.parametrize(("name", "install", "parameters"), CASES)
def test_it_is_found_approved_and_run_in_the_sandbox(
    name: str,
    install: Callable[[Path], Path],
    parameters: dict[str, Any],
    tmp_path: Path,
    database: Database,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(install(tmp_path)))
    found = discover().plugins[name]
    assert found.module not in sys.modules
    registry = PluginRegistry(database, Log(), clock, People())
    signed = approval_bytes(name, found.digest)
    registry.approve(name, found.digest, [(who, signed + who.encode()) for who in ("officer", "operator")])
    codebook = simulated_codebook(with_identifier=False)
    table = simulated_table(200, with_identifier=False)
    with Sandbox().open_session([registry.require(name)], tmp_path) as session:
        result = session.call(name, "analyse", table=table, codebook=codebook, parameters=parameters)
    assert [metric.n for metric in result.metrics] == [
        table.filter(table["sex"] == value).height for value in codebook.variable("sex").categories
    ]
    assert found.module not in sys.modules


@pytest.mark.parametrize(("name", "install", "parameters"), CASES)
def test_it_passes_its_own_contract_tests(
    name: str, install: Callable[[Path], Path], parameters: dict[str, Any], tmp_path: Path
) -> None:
    site = install(tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(site), "-c", os.devnull]
    done = subprocess.run([*command, "tests"], cwd=site, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def test_the_example_builds_into_a_wheel_that_carries_manifest_and_entry_point(tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="hatchling is needed to build without the network")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(EXAMPLE)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (points,) = (name for name in names if name.endswith("entry_points.txt"))
        assert b"median-survival = median_survival" in archive.read(points)
    assert "median_survival/plugin.toml" in names


def test_the_page_names_every_kind_and_hook() -> None:
    from synthema.spi.hookspecs import KINDS

    page = (PLUGINS / "README.md").read_text(encoding="utf-8")
    for kind, hooks in KINDS.items():
        assert f"`{kind}`" in page
        for hook in hooks:
            assert hook in page or "…" + hook.removeprefix("secure_sum") in page

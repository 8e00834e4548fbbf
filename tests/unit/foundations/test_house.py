"""The rules of the house itself: order of rooms, sizes, forbidden calls, packaging, migrations, licences."""

from __future__ import annotations

import ast
import importlib
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import URL, create_engine, text

import synthema
from synthema.storage import metadata
from synthema.storage.migrate import upgrade

ROOT = Path(__file__).parents[3]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = [ROOT / path for path in PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]]
DATA_FOLDERS = ("policies", "ontologies", "legal")
LONGEST = 500
CACHES = {"__pycache__", ".ruff_cache", ".mypy_cache", ".pytest_cache"}


def files_below(folder: Path, *endings: str) -> Iterator[Path]:
    """Files that belong to the repository, caches left out."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not CACHES & set(path.parts) and (not endings or path.suffix in endings):
            yield path


# ── order of the rooms ───────────────────────────────────────────────────────────────────────────────────────────


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--config", str(ROOT / ".importlinter")]
    paths = os.pathsep.join((str(folder / "connector"), str(folder / "plugins")))
    environment = {**os.environ, "PYTHONPATH": paths, "NO_COLOR": "1", "COLUMNS": "200"}
    return subprocess.run(
        [*command, "--no-cache"], cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_the_order_of_the_rooms_is_kept() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "0 broken" in done.stdout


def test_planted_violations_are_caught(tmp_path: Path) -> None:
    for package in PACKAGES:
        target = tmp_path / package.relative_to(ROOT)
        shutil.copytree(package, target, ignore=shutil.ignore_patterns(*CACHES))
    planted = {
        "connector/synthema/errors.py": "from synthema.policy import decide",
        "connector/synthema/runs/model.py": "import fastapi",
        "connector/synthema/spi/loader.py": "import synthema_minimise",
        "plugins/synthema_marginals/queries.py": "from synthema.storage import Database",
        "plugins/synthema_evaluation/columns.py": "import synthema_marginals",
    }
    for name, line in planted.items():
        with (tmp_path / name).open("a", encoding="utf-8") as file:
            file.write(f"\n{line}\n")
    done = lint_imports(tmp_path)
    assert done.returncode == 1, done.stdout[-3000:] + done.stderr[-3000:]
    assert "Contracts: 0 kept, 5 broken." in done.stdout, done.stdout[-3000:]


# ── sizes and forbidden calls ────────────────────────────────────────────────────────────────────────────────────


def test_no_file_is_too_long_to_be_read() -> None:
    written = [
        path
        for folder in ("connector", "plugins")
        for path in files_below(ROOT / folder, ".py", ".html", ".css", ".js", ".toml")
        if "migrations/versions" not in path.as_posix()
    ]
    long = {str(p.relative_to(ROOT)): n for p in written if (n := len(p.read_text().splitlines())) > LONGEST}
    assert len(written) > 100
    assert long == {}


_RUN_ON_IMPORT = re.compile(r"\.migrations|\.synthema_relay|\.(__main__|boot|worker)$")  # or elsewhere only
FORBIDDEN_IMPORTS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
FORBIDDEN_CALLS = {
    "eval",
    "exec",
    "yaml.load",
    "yaml.unsafe_load",
    "yaml.full_load",
    "torch.load",
    "os.system",
    "os.popen",
}
FORBIDDEN_ARGUMENTS = {("allow_pickle", True), ("shell", True)}


def dangers(text: str) -> list[str]:
    """What must not stand in product code: anything that runs what it reads."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.partition(".")[0] in FORBIDDEN_IMPORTS]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in FORBIDDEN_IMPORTS:
            found.append(str(node.module))
        elif isinstance(node, ast.Call):
            found += [name for name in (ast.unparse(node.func),) if name in FORBIDDEN_CALLS]
            found += [
                f"{keyword.arg}={keyword.value.value!r}"
                for keyword in node.keywords
                if isinstance(keyword.value, ast.Constant) and (keyword.arg, keyword.value.value) in FORBIDDEN_ARGUMENTS
            ]
            if ast.unparse(node.func) in ("np.load", "numpy.load") and "allow_pickle" not in [
                k.arg for k in node.keywords
            ]:
                found.append("np.load without allow_pickle=False")
    return found


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_product_code_runs_nothing_that_it_reads(package: Path) -> None:
    found = {str(path.relative_to(ROOT)): dangers(path.read_text()) for path in files_below(package, ".py")}
    assert {name: what for name, what in found.items() if what} == {}


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "eval(text)",
        "yaml.load(text)",
        "torch.load(path)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "subprocess.run(text, shell=True)",
    ],
)
def test_a_planted_danger_is_found(line: str) -> None:
    assert dangers(line)


def test_safe_calls_are_left_alone() -> None:
    assert dangers("np.load(path, allow_pickle=False)\nyaml.safe_load(text)\nmodel.eval()\n'pickle'") == []


MACHINE_PATH = re.compile(r"(?<![\w.~])/(home|work|root|Users)/\w")


def test_no_absolute_path_of_a_machine() -> None:
    folders = ("connector", "plugins", "tests", "legal", "policies", "ontologies", "deployments")
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for folder in folders
        for path in files_below(ROOT / folder, ".py", ".md", ".toml", ".yaml", ".html", ".json", ".ttl", ".sh")
        for match in MACHINE_PATH.finditer(path.read_text(encoding="utf-8"))
    ]
    assert found == []
    assert MACHINE_PATH.search("see " + "/home" + "/somebody")


# ── packaging ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_first_party_plugin_is_packaged_and_can_be_found() -> None:
    folders = {path.parent for path in (ROOT / "plugins").glob("*/plugin.toml")}
    entry_points = PYPROJECT["project"]["entry-points"]["synthema.plugins"]
    assert folders == {path for path in PACKAGES if path.parent == ROOT / "plugins"}
    named = {tomllib.loads((folder / "plugin.toml").read_text())["name"]: folder.name for folder in folders}
    assert named == entry_points
    assert set(PYPROJECT["tool"]["mypy"]["packages"]) == {path.name for path in PACKAGES}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    with zipfile.ZipFile(next(out.glob("*.whl"))) as opened:
        yield opened


def test_a_wheel_carries_the_data_folders_byte_for_byte(wheel: zipfile.ZipFile) -> None:
    carried = {name for name in wheel.namelist() if name.startswith("synthema/_bundled/")}
    here = {
        f"synthema/_bundled/{path.relative_to(ROOT).as_posix()}": path
        for folder in DATA_FOLDERS
        for path in files_below(ROOT / folder)
    }
    assert carried == set(here)
    assert [name for name, path in here.items() if wheel.read(name) != path.read_bytes()] == []


def test_a_wheel_carries_all_modules_and_no_path_of_this_machine(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    for package in PACKAGES:
        missing = {path.relative_to(package.parent).as_posix() for path in files_below(package)} - names
        assert missing == set()
    places = {str(ROOT).encode(), str(Path.home()).encode() + b"/"}
    assert [name for name in names if any(place in wheel.read(name) for place in places)] == []
    assert not [name for name in names if name.endswith(".pyc") or name.startswith("tests/")]


# ── migrations and licences ──────────────────────────────────────────────────────────────────────────────────────


def test_migrations_make_the_tables_that_the_rooms_define(tmp_path: Path) -> None:
    for module in pkgutil.walk_packages(synthema.__path__, "synthema."):
        if not _RUN_ON_IMPORT.search(module.name):
            importlib.import_module(module.name)
    url = URL.create("sqlite", database=str(tmp_path / "state.sqlite"))
    upgrade(url)
    engine = create_engine(url)
    with engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection), metadata)
        counting = connection.scalars(text("SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%'")).all()
    engine.dispose()
    # Other tests may have put tables of their own beside those of the rooms.
    assert [step for step in found if "test_" not in str(step)] == []
    # Alembic does not compare whether numbers may be used twice, and drops it when it copies a table.
    never_twice = {table.name for table in metadata.sorted_tables if table.dialect_options["sqlite"]["autoincrement"]}
    assert set(counting) == {name for name in never_twice if "test_" not in name}


def test_the_page_of_licences_is_current() -> None:
    done = subprocess.run([sys.executable, str(ROOT / "legal" / "licences.py"), "--check"], check=False)
    assert done.returncode == 0, "run: make licences"

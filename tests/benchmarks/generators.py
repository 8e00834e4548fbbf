"""All generators on all cohorts, one table: ``make bench-generators``, or ``python -m tests.benchmarks.generators``.

Each measurement runs in a process of its own and is kept in ``.bench/generators/results.jsonl`` under the digest of
what was measured (rows, codebook, plugin files, parameters, seed), so an interrupted run goes on where it stopped and a
changed plugin is measured anew. The report is written to ``connector/docs/reference/generators.md``; for a table given
with ``--table FILE --codebook FILE`` it is printed, and written only where ``--output`` says.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from synthema.canonical import digest, digest_tree
from synthema.errors import SynthemaError
from synthema.spi.loader import InstalledPlugin, find, package_files
from tests.benchmarks.generators_data import COHORTS, Absent, Cohort, from_files
from tests.benchmarks.generators_measure import quality
from tests.benchmarks.generators_report import page

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / ".bench"
STORE = BENCH / "generators"
REPORT = ROOT / "connector" / "docs" / "reference" / "generators.md"
ENVIRONMENT = ROOT / "plugins" / "synthema_sdv" / "environment.txt"
PROTOCOL = 1
TRAIN_SHARE = 0.7
MOST_ATTACKED = 2000
SHOWN_SEEDS = 10


@dataclass(frozen=True, slots=True)
class Entry:
    """A generator as it is compared: a plugin, its parameters, and the privacy loss it promises, if any."""

    name: str
    plugin: str
    parameters: dict[str, Any] = field(default_factory=dict)
    epsilon: float | None = None


def _sdv(synthesiser: str) -> Entry:
    # As SDV gives them: what a peer's rows break is part of the comparison.
    wanted = {"synthesiser": synthesiser, "licence_accepted": True, "keep_rules": False}
    return Entry(f"sdv-{synthesiser}", "sdv", wanted)


ENTRIES = (
    Entry("trees", "trees"),
    Entry("marginals-eps5", "marginals", {"epsilon": 5.0}, 5.0),
    Entry("marginals-eps1", "marginals", {"epsilon": 1.0}, 1.0),
    Entry("deep-vae", "deep", {"model": "vae"}),
    Entry("deep-diffusion", "deep", {"model": "diffusion"}),
    Entry("deep-vae-eps5", "deep", {"model": "vae", "epsilon": 5.0}, 5.0),
    Entry("deep-vae-eps1", "deep", {"model": "vae", "epsilon": 1.0}, 1.0),
    _sdv("gaussian-copula"),
    _sdv("tvae"),
    _sdv("ctgan"),
)


@dataclass(frozen=True, slots=True)
class Job:
    """One measurement: a generator on one split of a cohort."""

    cohort: Cohort
    entry: Entry
    plugin: InstalledPlugin
    seed: int
    shadows: int

    @property
    def key(self) -> str:
        """The digest of all that the figures depend on."""
        return digest(
            {
                "protocol": PROTOCOL, "cohort": self.cohort.digest, "plugin": code_digest(self.plugin.folder),
                "parameters": self.entry.parameters, "seed": self.seed, "shadows": self.shadows,
            }
        )  # fmt: skip


@cache
def code_digest(folder: Path) -> str:
    """The digest of what a plugin does: its files, less the words about it."""
    return digest_tree(folder, (name for name in package_files(folder) if not name.endswith(".md")))


def main(arguments: list[str] | None = None) -> int:
    """Measure what is missing and write the report; 0, or 2 where something asked for could not be measured."""
    chosen = _parser().parse_args(arguments)
    STORE.mkdir(parents=True, exist_ok=True)
    if any(entry.plugin == "sdv" for entry in _entries(chosen.generators)) and not chosen.without_install:
        make_environment(BENCH / "sdv")
    try:
        cohorts = _cohorts(chosen)
    except SynthemaError as error:
        sys.stderr.write(f"{error.message} ({error.fix})\n")
        return 2
    known = _known()
    measured = [cohort for cohort in cohorts if chosen.table is not None or cohort.name in chosen.data]
    wanted = _jobs(measured, _entries(chosen.generators), chosen.seeds, chosen.shadows)
    jobs = [job for job in wanted if not _is_done(known.get(job.key), job, chosen.attack_seconds)]
    failed = 0
    for number, job in enumerate(jobs, start=1):
        known |= _known()  # another run of this command may have been at work meanwhile
        if _is_done(known.get(job.key), job, chosen.attack_seconds):
            continue
        _say(f"{number}/{len(jobs)} {job.cohort.name}, {job.entry.name}, seed {job.seed}")
        found = measure(job, chosen.attack_seconds)
        if found is None:
            failed += 1
            continue
        known[job.key] = found
        with (STORE / "results.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"key": job.key, "figures": found}) + "\n")
    everything = {
        (job.cohort.name, job.entry.name, job.seed): known[job.key]
        for job in _jobs(cohorts, ENTRIES, max(chosen.seeds, SHOWN_SEEDS), chosen.shadows)
        if job.key in known
    }
    _write(page(cohorts, ENTRIES, everything, chosen.shadows), chosen)
    return 2 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.generators", description="Compare generators.")
    parser.add_argument("--data", nargs="+", choices=sorted(COHORTS), default=list(COHORTS), help="cohorts")
    parser.add_argument(
        "--generators", nargs="+", choices=[e.name for e in ENTRIES], help="generators; all if left out"
    )
    parser.add_argument("--seeds", type=int, default=5, help="70/30 splits of each cohort")
    parser.add_argument(
        "--shadows", type=int, default=32, help="runs of a generator for the membership attack; 0: none"
    )
    parser.add_argument("--attack-seconds", type=float, default=3600, help="no attack that takes more CPU seconds")
    parser.add_argument("--table", type=Path, help="a CSV file of your own, instead of the cohorts")
    parser.add_argument("--codebook", type=Path, help="the codebook of --table")
    parser.add_argument("--output", type=Path, help="where to write the report")
    parser.add_argument(
        "--without-install", action="store_true", help="make no environment; what needs one is left out"
    )
    return parser


def _entries(names: list[str] | None) -> list[Entry]:
    return [entry for entry in ENTRIES if names is None or entry.name in names]


def _cohorts(chosen: argparse.Namespace) -> list[Cohort]:
    if chosen.table is not None:
        return [from_files(chosen.table, chosen.codebook or chosen.table.with_suffix(".yaml"))]
    found = []
    for name in COHORTS:
        try:
            if name in chosen.data or chosen.output is None:
                found.append(COHORTS[name](STORE.parent))
        except Absent as absence:
            _say(f"{name} is left out: {absence}")
    return found


def _jobs(cohorts: Sequence[Cohort], entries: Sequence[Entry], seeds: int, shadows: int) -> Iterator[Job]:
    """Every generator with the first split, then every one with the next: an interrupted run has all of them."""
    plugins = {entry.plugin: find(entry.plugin) for entry in entries}
    for seed in range(seeds):
        for cohort in cohorts:
            for entry in entries:
                yield Job(cohort, entry, plugins[entry.plugin], seed, shadows)


def _known() -> dict[str, dict[str, float]]:
    path = STORE / "results.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return {record["key"]: record["figures"] for record in map(json.loads, lines)}


def _is_done(found: dict[str, float] | None, job: Job, attack_seconds: float) -> bool:
    """Whether it was measured, and an attack that was too slow then is too slow now."""
    if found is None or not job.shadows or "lira" in found:
        return found is not None
    return found["cpu"] * job.shadows > attack_seconds


def interpreter(plugin: InstalledPlugin) -> str | None:
    """The interpreter of a plugin: ours, or that of its own environment; ``None`` where that is not there."""
    wanted = plugin.manifest.environment
    if wanted is None:
        return sys.executable
    return shutil.which(wanted, path=os.pathsep.join([str(BENCH / "sdv" / "bin"), os.environ.get("PATH", "")]))


def measure(job: Job, attack_seconds: float) -> dict[str, float] | None:
    """The figures of one job, or ``None`` where it failed; why is said on the error stream."""
    python = interpreter(job.plugin)
    if python is None:
        _say(f"  left out: the interpreter {job.plugin.manifest.environment} is not there")
        return None
    table, random = job.cohort.table, np.random.default_rng(job.seed)
    order, size = random.permutation(table.height), round(TRAIN_SHARE * table.height)
    train, holdout = table[order[:size].tolist()], table[order[size:].tolist()]
    with tempfile.TemporaryDirectory(prefix="synthema-bench-") as name:
        folder = Path(name)
        train.write_ipc(folder / "train.arrow")
        table[order[:MOST_ATTACKED].tolist()].write_ipc(folder / "attacked.arrow")
        document = {
            "module": job.plugin.module, "codebook": job.cohort.codebook.model_dump(mode="json"),
            "parameters": job.entry.parameters, "seed": job.seed, "shadows": job.shadows,
            "attack_seconds": attack_seconds, "warm": job.entry.plugin != "sdv",
            "seeded": any(parameter.name == "seed" for parameter in job.plugin.manifest.parameters),
        }  # fmt: skip
        (folder / "job.json").write_text(json.dumps(document), encoding="utf-8")
        done = subprocess.run(
            [python, str(Path(__file__).with_name("generators_worker.py")), str(folder / "job.json")],
            env=os.environ
            | {"PYTHONPATH": f"{ROOT / 'connector'}{os.pathsep}{ROOT / 'plugins'}", "OMP_NUM_THREADS": "1"},
            check=False,
        )
        if not (folder / "figures.json").is_file() or done.returncode:
            _say("  failed: the reason stands above")
            return None
        figures: dict[str, float] = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
        made = pl.read_ipc(folder / "synthetic.arrow")
    return quality(train, holdout, made, job.cohort.codebook, job.seed) | figures


def make_environment(folder: Path) -> None:
    """An interpreter with SDV and SurvSet beside ours, once; its versions are those of the plugin's own list."""
    python = folder / "bin" / "synthema-sdv-python"
    if python.exists():
        return
    _say(f"making an environment for SDV in {folder} (SDV is under the Business Source Licence 1.1)")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", str(ENVIRONMENT)], check=True)
    subprocess.run([*pip, "--no-deps", "survset==0.2.11"], check=True)
    python.symlink_to("python")


def _write(text: str, chosen: argparse.Namespace) -> None:
    output = chosen.output or (None if chosen.table is not None else REPORT)
    if output is None:
        sys.stdout.write(text)
        return
    output.write_text(text, encoding="utf-8")
    _say(f"written: {output}")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    raise SystemExit(main())

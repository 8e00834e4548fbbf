"""What is compared, and how one measurement is made: in a process of its own, kept under the digest of its causes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from synthema.canonical import digest
from synthema.spi.loader import InstalledPlugin, find
from tests.benchmarks.generators_data import Cohort
from tests.benchmarks.generators_measure import quality
from tests.benchmarks.kept import ROOT, Found, code_digest, say

WORKER = Path(__file__).with_name("generators_worker.py")
ENVIRONMENT = ROOT / "plugins" / "synthema_sdv" / "environment.txt"
PROTOCOL = 2
FIGURES = 2  # another number where a table's figures are made otherwise: what attacks found stays
TRAIN_SHARE = 0.7
MOST_ATTACKED = 2000


@dataclass(frozen=True, slots=True)
class Entry:
    """A generator as it is compared: a plugin, its parameters, and the privacy loss it promises, if any."""

    name: str
    plugin: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    epsilon: float | None = None
    rehearsal: Mapping[str, Any] = field(default_factory=dict)
    """Parameters of the short first call, which loads libraries: that is no part of what a generator costs."""


def _sdv(synthesiser: str) -> Entry:
    # As SDV gives them: what a peer's rows break is part of the comparison.
    wanted = {"synthesiser": synthesiser, "licence_accepted": True, "keep_rules": False}
    return Entry(f"sdv-{synthesiser}", "sdv", wanted, rehearsal={"epochs": 1})


SHORT = {"steps": 2}
ENTRIES = (
    Entry("trees", "trees"),
    Entry("marginals-eps5", "marginals", {"epsilon": 5.0}, 5.0),
    Entry("marginals-eps1", "marginals", {"epsilon": 1.0}, 1.0),
    Entry("deep-vae", "deep", {"model": "vae"}, rehearsal=SHORT),
    Entry("deep-diffusion", "deep", {"model": "diffusion"}, rehearsal=SHORT),
    Entry("deep-vae-eps5", "deep", {"model": "vae", "epsilon": 5.0}, 5.0, SHORT),
    Entry("deep-vae-eps1", "deep", {"model": "vae", "epsilon": 1.0}, 1.0, SHORT),
    _sdv("gaussian-copula"),
    _sdv("tvae"),
    _sdv("ctgan"),
)


@dataclass(frozen=True, slots=True)
class Job:
    """One measurement: a generator on one split of a cohort."""

    cohort: Cohort
    entry: Entry
    seed: int

    @property
    def plugin(self) -> InstalledPlugin:
        """The plugin that makes the rows."""
        return _plugin(self.entry.plugin)

    @property
    def key(self) -> str:
        """The digest of all that the figures depend on."""
        return digest({"made": self._made, "figures": FIGURES})

    @property
    def _made(self) -> str:
        """The digest of all that the synthetic rows depend on."""
        return digest(
            {
                "protocol": PROTOCOL, "cohort": self.cohort.digest, "plugin": code_digest(self.plugin.folder),
                "parameters": dict(self.entry.parameters), "seed": self.seed,
            }
        )  # fmt: skip

    def attack_key(self, shadows: int) -> str:
        """The digest of the attack with so many runs of the generator."""
        return digest({"attacked": self._made, "shadows": shadows})

    def __str__(self) -> str:
        return f"{self.cohort.name}, {self.entry.name}, seed {self.seed}"


@cache
def _plugin(name: str) -> InstalledPlugin:
    return find(name)


def measured_code() -> dict[str, str]:
    """Of each plugin that is compared, the digest of its code."""
    return {name: code_digest(_plugin(name).folder) for name in dict.fromkeys(entry.plugin for entry in ENTRIES)}


class Bench:
    """Runs measurements; ``folder`` holds the environment of the plugins that have one of their own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def interpreter(self, plugin: InstalledPlugin) -> str | None:
        """The interpreter of a plugin: ours, or that of its own environment; ``None`` where that is not there."""
        wanted = plugin.manifest.environment
        if wanted is None:
            return sys.executable
        found = os.pathsep.join([str(self._folder / "sdv" / "bin"), os.environ.get("PATH", "")])
        return shutil.which(wanted, path=found)

    def measure(self, job: Job) -> Found | None:
        """Quality and cost of one job, or ``None`` where it failed; why is said on the error stream."""
        table, order, size = _split(job)
        train, holdout = table[order[:size].tolist()], table[order[size:].tolist()]
        with tempfile.TemporaryDirectory(prefix="synthema-bench-") as name:
            figures = self._worked(job, Path(name), train, shadows=0)
            if figures is None:
                return None
            made = pl.read_ipc(Path(name) / "synthetic.arrow")
        return quality(train, holdout, made, job.cohort.codebook, job.seed) | figures

    def attack(self, job: Job, shadows: int) -> Found | None:
        """What the membership attack with so many runs of the generator finds, or ``None`` where it failed."""
        table, order, _ = _split(job)
        with tempfile.TemporaryDirectory(prefix="synthema-bench-") as name:
            return self._worked(job, Path(name), table[order[:MOST_ATTACKED].tolist()], shadows=shadows)

    def _worked(self, job: Job, folder: Path, table: pl.DataFrame, *, shadows: int) -> Found | None:
        python = self.interpreter(job.plugin)
        if python is None:
            say(f"  left out: the interpreter {job.plugin.manifest.environment} is not there")
            return None
        table.write_ipc(folder / "real.arrow")
        document = {
            "module": job.plugin.module, "codebook": job.cohort.codebook.model_dump(mode="json"),
            "parameters": dict(job.entry.parameters), "rehearsal": dict(job.entry.rehearsal),
            "seed": job.seed, "shadows": shadows,
            "seeded": any(parameter.name == "seed" for parameter in job.plugin.manifest.parameters),
        }  # fmt: skip
        (folder / "job.json").write_text(json.dumps(document), encoding="utf-8")
        paths = f"{ROOT / 'connector'}{os.pathsep}{ROOT / 'plugins'}"
        done = subprocess.run(
            [python, str(WORKER), str(folder / "job.json")],
            # one thread, or what a library leaves to other processes would not be counted
            env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "LOKY_MAX_CPU_COUNT": "1"},
            check=False,
        )
        if done.returncode:
            say("  failed: the reason stands above")
            return None
        figures: Found = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
        return figures


def _split(job: Job) -> tuple[pl.DataFrame, np.ndarray[Any, np.dtype[np.int64]], int]:
    table = job.cohort.table
    return table, np.random.default_rng(job.seed).permutation(table.height), round(TRAIN_SHARE * table.height)


def make_environment(folder: Path) -> Path:
    """An interpreter with SDV and SurvSet beside ours, once; its versions are those of the plugin's own list."""
    python = folder / "bin" / "synthema-sdv-python"
    if python.exists():
        return python
    say(f"making an environment for SDV in {folder} (SDV is under the Business Source Licence 1.1)")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", str(ENVIRONMENT)], check=True)
    subprocess.run([*pip, "--no-deps", "survset==0.2.11"], check=True)
    python.symlink_to("python")
    return python

"""One generator, one table, in a process of its own: rows, what they cost, and what an attack with shadows finds.

``python generators_worker.py JOB.json`` reads a job, writes ``synthetic.arrow`` and ``figures.json`` beside it, and
says on the error stream how far the attack is. It runs in the interpreter of the plugin's environment and imports only
what such an environment has.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl


def main(path: Path) -> None:
    """Do the job that the file describes."""
    from synthema.datasets.codebook import Codebook
    from synthema.spi.hosting import Host
    from synthema.spi.manifest import load_manifest

    job = json.loads(path.read_text(encoding="utf-8"))
    codebook = Codebook.model_validate(job["codebook"])
    train = pl.read_ipc(path.parent / "train.arrow")
    module = importlib.import_module(job["module"])
    manifest = load_manifest(Path(str(module.__file__)).parent / "plugin.toml")
    host = Host(module, manifest)

    def generate(table: pl.DataFrame, rows: int, seed: int) -> pl.DataFrame:
        given = dict(job["parameters"]) | ({"seed": seed} if job["seeded"] else {})
        chosen = manifest.validate_parameters(given)
        made: pl.DataFrame = host.call(
            "generate", {"table": table, "codebook": codebook, "parameters": chosen, "rows": rows}
        ).table
        return made

    if job["warm"]:  # a library's first import is no part of what a generator costs
        generate(train.head(60), 20, 0)
    cpu, wall = time.process_time(), time.perf_counter()
    made = generate(train, train.height, job["seed"])
    figures: dict[str, Any] = {
        "cpu": time.process_time() - cpu,
        "wall": time.perf_counter() - wall,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    made.write_ipc(path.parent / "synthetic.arrow")
    _write(path, figures)
    if job["shadows"] and figures["cpu"] * job["shadows"] <= job["attack_seconds"]:
        _write(path, figures | _attacked(generate, path.parent, codebook, job))


def _attacked(generate: Any, folder: Path, codebook: Any, job: dict[str, Any]) -> dict[str, Any]:
    from synthema_evaluation.shadows import shadow_audit

    def progress(done: int, of: int) -> None:
        sys.stderr.write(f"attack {done}/{of}\n")
        sys.stderr.flush()

    real = pl.read_ipc(folder / "attacked.arrow")
    found = shadow_audit(
        generate, real, codebook, shadows=job["shadows"], canaries=0, seed=job["seed"], progress=progress
    )
    named = {metric.id: metric.value for metric in found.metrics}
    return {"lira": named["shadowMembershipAUC"], "tpr": named["shadowMembershipTPR"]}


def _write(path: Path, figures: dict[str, Any]) -> None:
    (path.parent / "figures.json").write_text(json.dumps(figures), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

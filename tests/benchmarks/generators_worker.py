"""One generator, one table, in a process of its own: rows and what they cost, or what an attack with shadows finds.

``python generators_worker.py JOB.json`` reads a job and ``real.arrow`` beside it and writes ``figures.json``; without
shadows also ``synthetic.arrow``, with them it says on the error stream how far the attack is. It runs in the
interpreter of the plugin's environment and imports only what such an environment has.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from collections.abc import Mapping
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
    real = pl.read_ipc(path.parent / "real.arrow")
    module = importlib.import_module(job["module"])
    manifest = load_manifest(Path(str(module.__file__)).parent / "plugin.toml")
    host = Host(module, manifest)

    def generate(table: pl.DataFrame, rows: int, seed: int, changed: Mapping[str, Any] | None = None) -> pl.DataFrame:
        given = dict(job["parameters"]) | ({"seed": seed} if job["seeded"] else {}) | dict(changed or {})
        chosen = manifest.validate_parameters(given)
        made: pl.DataFrame = host.call(
            "generate", {"table": table, "codebook": codebook, "parameters": chosen, "rows": rows}
        ).table
        return made

    if job["shadows"]:
        figures = _attacked(generate, real, codebook, job)
    else:
        generate(real.head(60), 20, 0, job["rehearsal"])
        cpu, wall = time.process_time(), time.perf_counter()
        generate(real, real.height, job["seed"]).write_ipc(path.parent / "synthetic.arrow")
        figures = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
        figures["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    (path.parent / "figures.json").write_text(json.dumps(figures), encoding="utf-8")


def _attacked(generate: Any, real: pl.DataFrame, codebook: Any, job: dict[str, Any]) -> dict[str, float]:
    from synthema_evaluation.shadows import shadow_audit

    def progress(done: int, of: int) -> None:
        if done == of or done % 8 == 0:
            sys.stderr.write(f"  run {done} of {of}\n")
            sys.stderr.flush()

    found = shadow_audit(
        generate, real, codebook, shadows=job["shadows"], canaries=0, seed=job["seed"], progress=progress
    )
    named = {metric.id: metric for metric in found.metrics}
    area, share = named["shadowMembershipAUC"], named["shadowMembershipTPR"]
    return {
        "lira": area.value, "lira_low": float(area.lower or 0.0), "lira_high": float(area.upper or 1.0),
        "tpr": share.value, "tpr_low": float(share.lower or 0.0), "tpr_high": float(share.upper or 1.0),
    }  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]))

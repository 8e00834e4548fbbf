"""All generators on all cohorts, one table: ``make bench-generators``, or ``python -m tests.benchmarks.generators``.

Each measurement runs in a process of its own and is kept in ``.bench/generators/results.jsonl`` under the digest of
what was measured (rows, codebook, plugin files, parameters, seed), so an interrupted run goes on where it stopped and a
changed plugin is measured anew. The first split of everything comes first, then the next; within a split quality comes
before the attacks, and what is cheap before what is dear. ``--report-only`` writes the report of what is there.

The membership attack of one cell may take ``--attack-seconds`` of a core: it gets ``--shadows`` runs of the generator
where they fit, else a half or a quarter of them, on the first ``--dear-splits`` splits only, else it is left out and
the table says what it would have cost. The report goes to ``connector/docs/reference/generators.md``; that of a table
given with ``--table FILE --codebook FILE`` is printed, and written only where ``--output`` says.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from synthema.errors import SynthemaError
from synthema_evaluation.shadows import FEWEST_SHADOWS
from tests.benchmarks.generators_data import COHORTS, Absent, Cohort, cohort_of, from_files
from tests.benchmarks.generators_job import ENTRIES, Bench, Entry, Job, make_environment, measured_code
from tests.benchmarks.generators_report import Cell, page
from tests.benchmarks.kept import BENCH, ROOT, Found, Store, say
from tests.plugins.cohorts import fetch_leuksurv

REPORT = ROOT / "connector" / "docs" / "reference" / "generators.md"
SHOWN_SEEDS = 10


def main(arguments: list[str] | None = None) -> int:
    """Measure what is missing and write the report; 0, or 2 where something asked for could not be measured."""
    chosen = _parser().parse_args(arguments)
    if not (chosen.without_install or chosen.report_only):
        _prepare(chosen)
    try:
        cohorts = _cohorts(chosen)
    except SynthemaError as error:
        sys.stderr.write(f"{error.message} ({error.fix})\n")
        return 2
    store = Store(BENCH / "generators")
    failed = 0 if chosen.report_only else _measured(cohorts, chosen, store)
    known = store.known()
    cells = {
        (job.cohort.name, job.entry.name, job.seed): _cell(job, known, chosen.shadows)
        for job in _jobs(cohorts, ENTRIES, max(chosen.seeds, SHOWN_SEEDS))
        if job.key in known
    }
    _write(page(cohorts, ENTRIES, cells, measured_code(), chosen.shadows, chosen.attack_seconds), chosen)
    return 2 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.generators", description="Compare generators.")
    parser.add_argument("--data", nargs="+", choices=list(COHORTS), default=list(COHORTS), help="cohorts")
    names = [entry.name for entry in ENTRIES]
    parser.add_argument("--generators", nargs="+", choices=names, default=names, help="generators; all if left out")
    parser.add_argument("--seeds", type=int, default=5, help="70/30 splits of each cohort")
    parser.add_argument("--shadows", type=int, default=32, help="runs of a generator for an attack; 0: none")
    parser.add_argument("--attack-seconds", type=float, default=3600, help="CPU seconds for the attack of one cell")
    parser.add_argument("--dear-splits", type=int, default=2, help="splits attacked where fewer runs must do")
    parser.add_argument("--table", type=Path, help="a CSV or Parquet file of your own, instead of the cohorts")
    parser.add_argument("--codebook", type=Path, help="the codebook of --table")
    parser.add_argument("--output", type=Path, help="where to write the report")
    parser.add_argument("--report-only", action="store_true", help="measure nothing, write what is there")
    parser.add_argument("--without-install", action="store_true", help="make no environment; leave out what needs one")
    return parser


def _prepare(chosen: argparse.Namespace) -> None:
    """The environment of SDV and SurvSet, where something asked for needs it."""
    needs_rows = chosen.table is None and "leuksurv" in chosen.data and COHORTS["leuksurv"].absent
    if needs_rows or any(name.startswith("sdv-") for name in chosen.generators):
        python = make_environment(BENCH / "sdv")
        if needs_rows:
            fetch_leuksurv(python)


def _cohorts(chosen: argparse.Namespace) -> list[Cohort]:
    if chosen.table is not None:
        return [from_files(chosen.table, chosen.codebook or chosen.table.with_suffix(".yaml"))]
    found = []
    for name in COHORTS:
        try:
            if name in chosen.data or chosen.output is None:
                found.append(cohort_of(name))
        except Absent as absence:
            say(f"{name} is left out: {absence}")
    return found


def _jobs(cohorts: Sequence[Cohort], entries: Sequence[Entry], seeds: int) -> Iterator[Job]:
    """Every generator with the first split, then every one with the next: an interrupted run has all of them."""
    for seed in range(seeds):
        for entry in entries:
            for cohort in cohorts:
                yield Job(cohort, entry, seed)


def _measured(cohorts: Sequence[Cohort], chosen: argparse.Namespace, store: Store) -> int:
    """Measure what is missing, split by split; how many measurements failed."""
    bench, failed = Bench(BENCH), 0
    asked = [cohort for cohort in cohorts if chosen.table is not None or cohort.name in chosen.data]
    entries = [entry for entry in ENTRIES if entry.name in chosen.generators]
    jobs = list(_jobs(asked, entries, chosen.seeds))
    for seed in range(chosen.seeds):
        split = [job for job in jobs if job.seed == seed]
        for job in split:
            if job.key not in store.known():  # another run of this command may have been at work meanwhile
                say(f"{job}: quality")
                failed += _kept(store, job.key, bench.measure(job))
        known = store.known()
        for job in sorted((job for job in split if job.key in known), key=lambda job: known[job.key]["cpu"]):
            shadows = shadows_for(known[job.key]["cpu"], chosen.shadows, chosen.attack_seconds)
            if not shadows or (shadows < chosen.shadows and seed >= chosen.dear_splits):
                continue
            if not any(job.attack_key(number) in store.known() for number in _choices(chosen.shadows, shadows)):
                say(f"{job}: attack with {shadows} runs")
                failed += _kept(store, job.attack_key(shadows), bench.attack(job, shadows))
    return failed


def _kept(store: Store, key: str, found: Found | None) -> int:
    if found is None:
        return 1
    store.keep(key, found)
    return 0


def _choices(shadows: int, least: int = FEWEST_SHADOWS) -> list[int]:
    """How many runs an attack may have: all, a half, a quarter."""
    return [number for number in (shadows, shadows // 2, shadows // 4) if number >= max(least, FEWEST_SHADOWS)]


def shadows_for(cpu: float, shadows: int, seconds: float) -> int:
    """How many runs of a generator that takes ``cpu`` seconds fit; 0 where too few do."""
    return next((number for number in _choices(shadows) if number * cpu <= seconds), 0)


def _cell(job: Job, known: dict[str, Found], shadows: int) -> Cell:
    """The figures of a job, with those of its largest attack."""
    for number in _choices(shadows):
        if job.attack_key(number) in known:
            return known[job.key] | known[job.attack_key(number)] | {"shadows": float(number)}
    return known[job.key]


def _write(text: str, chosen: argparse.Namespace) -> None:
    output = chosen.output or (None if chosen.table is not None else REPORT)
    if output is None:
        sys.stdout.write(text)
        return
    output.write_text(text, encoding="utf-8")
    say(f"written: {output}")


if __name__ == "__main__":
    raise SystemExit(main())

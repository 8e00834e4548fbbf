"""Run all benchmarks: one line each, then ``bench: N benchmarks, M short``.

Exit status 0 when every goal is met, 1 when one falls short, 2 when a benchmark could not be run.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests import benchmarks

FIELDS = {"name", "ours", "peer", "ratio", "goal", "unit"}


def main(arguments: list[str] | None = None) -> int:
    """Run and report; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="Run the benchmarks.")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("only", nargs="*", help="names of benchmarks, e.g. storage; all if left out")
    chosen = parser.parse_args(arguments)
    lines: list[dict[str, Any]] = []
    errors: list[str] = []
    for name in _names(chosen.only):
        try:
            for line in _measured(name):
                lines.append(line)
                if chosen.format == "text":
                    sys.stdout.write(sentence(line) + "\n")
                    sys.stdout.flush()
        except Exception as error:  # noqa: BLE001 - one that cannot run must not hide the others
            traceback.print_exc()
            errors.append(f"{name}: {type(error).__name__}: {error}")
    short = sum(line["verdict"] == "short" for line in lines)
    if chosen.format == "json":
        sys.stdout.write(json.dumps({"benchmarks": lines, "short": short, "errors": errors}, indent=2) + "\n")
    else:
        sys.stdout.write("".join(f"error: {error}\n" for error in errors))
        sys.stdout.write(f"bench: {len(lines)} benchmarks, {short} short\n")
    return 2 if errors or not lines else 1 if short else 0


def _names(only: list[str]) -> list[str]:
    known = sorted(path.stem for path in Path(benchmarks.__file__).parent.glob("bench_*.py"))
    wanted = {f"bench_{name.removeprefix('bench_')}" for name in only}
    return [name for name in known if not wanted or name in wanted] + sorted(wanted - set(known))


def _measured(name: str) -> Iterator[dict[str, Any]]:
    module = importlib.import_module(f"{benchmarks.__name__}.{name}")
    for line in module.run():
        missing = FIELDS - line.keys()
        if missing:
            raise ValueError(f"a line lacks {', '.join(sorted(missing))}")
        yield line | {"verdict": verdict(line)}


def verdict(line: dict[str, Any]) -> str:
    """``met`` or ``short``: rates reach the goal, times and sizes stay within it; ``no goal`` where none is set."""
    if line["goal"] is None:
        return "no goal"
    met = line["ratio"] >= line["goal"] if is_rate(line) else line["ratio"] <= line["goal"]
    return "met" if met else "short"


def is_rate(line: dict[str, Any]) -> bool:
    """Whether more is better."""
    return bool(line["unit"].endswith("/s"))


def sentence(line: dict[str, Any]) -> str:
    """A benchmark in one line."""
    unit = line["unit"]
    measured = f"{line['name']}: ours {line['ours']:g} {unit}, peer {line['peer']:g} {unit}, ratio {line['ratio']:g}"
    if line["goal"] is None:
        return f"{measured}, {line['verdict']}"
    return f"{measured}, goal {'at least' if is_rate(line) else 'at most'} {line['goal']:g}, {line['verdict']}"


if __name__ == "__main__":
    sys.exit(main())

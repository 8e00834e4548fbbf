"""Run all outside suites: one line each, then ``conformance: N suites, M differ``.

Exit status 0 when every count is as expected, 1 when one differs. Suites whose
outside files are not at hand say ``absent`` and do not count as different.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from tests.conformance.suite import Result, run
from tests.conformance.suites import SUITES


def main(arguments: list[str] | None = None) -> int:
    """Run and report; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description="Run the outside suites.")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("--failures", action="store_true", help="also list every case that does not pass")
    chosen = parser.parse_args(arguments)
    rows: list[dict[str, Any]] = []
    for suite in SUITES:
        result = None if suite.absent else run(suite)
        rows.append(_row(suite.name, result))
        if chosen.format == "text":
            _tell(suite.name, result, failures=chosen.failures)
    differ = sum(row["status"] == "differs" for row in rows)
    if chosen.format == "json":
        sys.stdout.write(json.dumps({"suites": rows, "differ": differ}, indent=2, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(f"conformance: {len(rows)} suites, {differ} differ\n")
    return 1 if differ else 0


def _row(name: str, result: Result | None) -> dict[str, Any]:
    if result is None:
        return {"name": name, "status": "absent"}
    return {
        "name": name,
        "status": "as expected" if result.as_expected else "differs",
        "found": result.found,
        "passed": result.passed,
        "expected": result.suite.passed,
        "expectedFound": result.suite.found,
        "reason": result.suite.reason,
        "failed": {case.name: case.problem for case in result.cases if not case.passed},
    }


def _tell(name: str, result: Result | None, *, failures: bool) -> None:
    if result is None:
        sys.stdout.write(f"{name}: absent (../shared/standards is not here)\n")
        return
    sys.stdout.write(result.line() + ("" if result.as_expected else "  DIFFERS") + "\n")
    if failures or not result.as_expected:
        for case in result.cases:
            if not case.passed:
                sys.stdout.write(f"    {case.name}: {case.problem[:300]}\n")


if __name__ == "__main__":
    sys.exit(main())

"""The outcome of cases in the XML that continuous integration reads (JUnit)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from xml.sax.saxutils import quoteattr

from synthema.policy.analysis.cases import CaseFile, CaseResult


def junit_xml(results: Iterable[tuple[CaseFile, Sequence[CaseResult]]]) -> str:
    """One suite for each file, one case for each case; a case that got another decision is a failure."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<testsuites>"]
    for file, found in results:
        failed = sum(not result.passed for result in found)
        name = quoteattr(file.policy)
        lines.append(f'  <testsuite name={name} tests="{len(found)}" failures="{failed}">')
        for result in found:
            head = f"    <testcase name={quoteattr(result.case.name)} classname={quoteattr(result.case.where)}"
            if result.passed:
                lines.append(f"{head}/>")
            else:
                lines += [f"{head}>", f"      <failure message={quoteattr(result.sentence)}/>", "    </testcase>"]
        lines.append("  </testsuite>")
    return "\n".join([*lines, "</testsuites>"]) + "\n"

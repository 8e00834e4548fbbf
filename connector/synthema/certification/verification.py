"""Verifying a package: all checks are made and shown, also after one has failed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from synthema.canonical import digest_bytes, digest_file
from synthema.certification.checks import CHECKS, Case, VerificationPolicy
from synthema.certification.container import MAX_BYTES
from synthema.certification.model import IntendedUse
from synthema.certification.package import Package
from synthema.clock import to_text
from synthema.errors import SynthemaError
from synthema.identity import DidResolver
from synthema.identity.credentials import StatusLookup


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check: ``note`` says what was seen when it holds, ``reason`` and ``fix`` when it does not."""

    number: int
    title: str
    ok: bool
    note: str = ""
    reason: str = ""
    fix: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class VerificationReport:
    """All checks on one package. ``certificate``, ``artefact`` and ``issuer`` are known when checks 1 and 2 hold."""

    package: str
    at: datetime
    results: tuple[CheckResult, ...]
    certificate: str | None = None
    artefact: str | None = None
    issuer: str | None = None

    @property
    def ok(self) -> bool:
        """Whether every check was made and holds."""
        return len(self.results) == len(CHECKS) and all(result.ok for result in self.results)

    @property
    def failed(self) -> tuple[int, ...]:
        """The numbers of the checks that do not hold."""
        return tuple(result.number for result in self.results if not result.ok)

    def lines(self) -> tuple[str, ...]:
        """The checks as a terminal shows them."""
        return tuple(self._lines())

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON."""
        return {
            "package": self.package,
            "at": to_text(self.at),
            "ok": self.ok,
            "certificate": self.certificate,
            "artefact": self.artefact,
            "checks": [result.as_dict() for result in self.results],
        }

    def _lines(self) -> Iterator[str]:
        for result in self.results:
            note = f" ({result.note})" if result.note else ""
            yield f"{result.number:>2}  {'OK  ' if result.ok else 'FAIL'}  {result.title}{note}"
            if not result.ok:
                yield f"          {result.reason}"
                yield f"          What to do: {result.fix}"
        failed = len(self.failed)
        yield "All checks passed." if self.ok else f"{failed} of {len(self.results)} checks failed."


def verify_package(
    source: bytes | Path,
    intended: IntendedUse,
    policy: VerificationPolicy,
    resolver: DidResolver,
    at: datetime,
    status: StatusLookup | None,
    *,
    max_bytes: int = MAX_BYTES,
) -> VerificationReport:
    """Make all checks on a package, in memory or in a file; what is wrong is in the report, never raised.

    ``status`` finds signed status lists by address; without it check 6 fails.
    ``resolver`` must know only registered parties.
    """
    name = digest_bytes(source) if isinstance(source, bytes) else digest_file(source)
    try:
        package = Package.open(source, max_bytes=max_bytes)
    except SynthemaError as error:
        return VerificationReport(name, at, tuple(_unread(1, error)))
    with package:
        case = Case(package, policy, intended, resolver, at, status)
        try:
            certificate = case.certificate
        except SynthemaError as error:
            return VerificationReport(name, at, (_result(1, case), *_unread(2, error)))
        results = tuple(_result(number, case) for number in range(1, len(CHECKS) + 1))
    candidate = certificate.credential_subject.candidate
    return VerificationReport(name, at, results, certificate.id, candidate, certificate.issuer)


def _result(number: int, case: Case) -> CheckResult:
    title, check = CHECKS[number - 1]
    try:
        return CheckResult(number, title, ok=True, note=check(case))
    except SynthemaError as error:
        return CheckResult(number, title, ok=False, reason=error.message, fix=error.fix)


def _unread(failed: int, error: SynthemaError) -> Iterator[CheckResult]:
    """The results from a check on that keeps all later ones from being made."""
    for number, (title, _) in enumerate(CHECKS[failed - 1 :], start=failed):
        if number == failed:
            yield CheckResult(number, title, ok=False, reason=error.message, fix=error.fix)
        else:
            reason = f"not checked, because check {failed} failed"
            yield CheckResult(number, title, ok=False, reason=reason, fix=f"see check {failed}")

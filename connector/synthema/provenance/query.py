"""Free questions to the log in SPARQL, for auditors: read-only, in a process that can be killed.

pyoxigraph has no time limit and native code cannot be interrupted, so that a
question of a person never runs in the connector itself. It runs over a copy of
the log's triples (each entry's hash checked) in a process of its own with a
limit of time and memory that can open neither files nor sockets.
"""

from __future__ import annotations

import json
import re
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from synthema.canonical import canonical_json, digest_bytes
from synthema.clock import to_text
from synthema.errors import InputError
from synthema.provenance import query_child
from synthema.provenance.index import checked_body
from synthema.provenance.log import ProvenanceLog

MAX_QUESTION: Final = 64 * 1024
MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024
LOADING_SECONDS: Final = 300.0
_CHUNK: Final = 64 * 1024

_NOT_CODE = re.compile(
    r'"""(?:[^\\]|\\.)*?"""|\'\'\'(?:[^\\]|\\.)*?\'\'\'|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\''
    r"|<[^<>\"{}|^`\\\x00-\x20]*>|#[^\n]*",
    re.DOTALL,
)
_ELSEWHERE = re.compile(
    r"(?<![\w:?$@.-])(SERVICE|FROM|LOAD|INSERT|DELETE|CLEAR|DROP|CREATE|COPY|MOVE|ADD)(?![\w:-])", re.IGNORECASE
)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a question may cost. Time counts from when the triples are loaded."""

    seconds: int = 30
    memory_bytes: int = 2 * 1024**3
    answer_bytes: int = MAX_ANSWER_BYTES


def question_bytes(origin: str, question: str, asked: datetime) -> bytes:
    """What an auditor signs: this question, to this log, at this time."""
    what = digest_bytes(question.encode())
    return canonical_json({"act": "log/query", "log": origin, "question": what, "asked": to_text(asked)})


def check_question(question: str) -> None:
    """Refuse what reaches beyond the log; raises :class:`InputError`.

    The process could do none of it either way: this says so before anything starts.
    """
    if not question.strip() or len(question) > MAX_QUESTION:
        raise InputError("this question is empty or too long", fix=f"write at most {MAX_QUESTION} characters of SPARQL")
    if re.search(r"\\[uU][0-9A-Fa-f]{4}", question):
        raise InputError("the question holds an escaped character", fix="write the character itself")
    found = _ELSEWHERE.search(_NOT_CODE.sub(" ", question))
    if found:
        raise InputError(
            f"a question to the log may not use {found[1].upper()}: it reads this log, changes nothing, "
            "and reaches nothing else",
            fix="write a SELECT, ASK or CONSTRUCT over the log's own statements",
        )


def run_question(log: ProvenanceLog, question: str, bounds: Bounds | None = None) -> dict[str, Any]:
    """The answer to a question in SPARQL.

    SELECT and ASK give the value of "SPARQL 1.1 Query Results JSON"; CONSTRUCT
    and DESCRIBE give ``{"ntriples": …}``. Raises :class:`InputError` for a
    question that is wrong, forbidden, or costs more than its bounds.
    """
    check_question(question)
    bounds = bounds or Bounds()
    text = question.encode()
    child = Path(query_child.__file__)
    arguments = (str(bounds.memory_bytes), str(bounds.seconds), str(len(text)))
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and script, no shell, numbers only
        [sys.executable, "-I", str(child), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={},
        close_fds=True,
        start_new_session=True,
    )
    feeder = _Feeder(process, text, _bodies(log))
    try:
        answer = _read_answer(process, bounds)
        complaint = _required(process.stderr).read(2000).decode(errors="replace")
        status = process.wait(timeout=10)
    finally:
        process.kill()
        process.wait()
        feeder.join()
        _required(process.stdout).close()
        _required(process.stderr).close()
    feeder.complain()
    if status != 0:
        raise _failed(status, complaint, bounds)
    return _read(answer)


class _Feeder(threading.Thread):
    """Hands the question and the log to the process; keeps what went wrong with the log meanwhile."""

    def __init__(self, process: subprocess.Popen[bytes], question: bytes, bodies: Iterable[bytes]) -> None:
        super().__init__(name="log-question", daemon=True)
        self._pipe = _required(process.stdin)
        self._question = question
        self._bodies = bodies
        self._process = process
        self._problem: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self._pipe.write(self._question)
            for body in self._bodies:
                self._pipe.write(body)
        except BrokenPipeError:
            pass  # the process has ended; its exit says why
        except Exception as error:  # noqa: BLE001 - raised again where somebody waits for the answer
            self._problem = error
            self._process.kill()
        finally:
            with suppress(BrokenPipeError):
                self._pipe.close()

    def complain(self) -> None:
        if self._problem is not None:
            raise self._problem


def _bodies(log: ProvenanceLog) -> Iterable[bytes]:
    after = -1
    while entries := log.entries(after=after, limit=500):
        yield from (checked_body(entry) for entry in entries)
        after = entries[-1].sequence


def _read_answer(process: subprocess.Popen[bytes], bounds: Bounds) -> bytes:
    """What the process writes after it is ready, within time and size."""
    pipe = _required(process.stdout)
    deadline = time.monotonic() + LOADING_SECONDS
    received = bytearray()
    ready = False
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not selector.select(left):
                raise _too_much(f"took longer than {bounds.seconds if ready else LOADING_SECONDS:g} seconds")
            chunk = pipe.read1(_CHUNK)  # type: ignore[attr-defined]
            if not chunk:
                return bytes(received)
            received += chunk
            if not ready and received.startswith(query_child.READY):
                del received[: len(query_child.READY)]
                ready, deadline = True, time.monotonic() + bounds.seconds
            if len(received) > bounds.answer_bytes:
                raise _too_much(f"has an answer of more than {bounds.answer_bytes} bytes")


def _read(answer: bytes) -> dict[str, Any]:
    if answer.startswith(b"{"):
        value: dict[str, Any] = json.loads(answer)
        return value
    return {"ntriples": answer.decode()}


def _failed(status: int, complaint: str, bounds: Bounds) -> InputError:
    if status == query_child.REFUSED:
        return InputError(f"this is not a question to the log: {complaint[:500]}", fix="write a query of SPARQL 1.1")
    return _too_much(f"needed more than {bounds.memory_bytes // 1024**2} MiB of memory or {bounds.seconds} s of time")


def _too_much(reason: str) -> InputError:
    return InputError(f"the question {reason} and was stopped", fix="ask for less: name a thing, a type or a LIMIT")


def _required(pipe: T | None) -> T:
    assert pipe is not None  # noqa: S101 - all three were asked for
    return pipe

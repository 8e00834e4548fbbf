"""An auditor's own question reads the log and nothing else, and ends in time."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from synthema.errors import InputError, IntegrityError
from synthema.provenance import Bounds, ProvenanceLog, check_question, run_question
from synthema.provenance import query as room
from synthema.provenance.store import log_entries

PREFIX = "PREFIX prov: <http://www.w3.org/ns/prov#> "
ALL_PAIRS = "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i . ?j ?k ?l FILTER(?a != ?l) }"


def _column(answer: dict[str, Any], name: str) -> set[str]:
    return {row[name]["value"] for row in answer["results"]["bindings"]}


def test_questions_are_answered(filled: ProvenanceLog) -> None:
    steps = run_question(filled, PREFIX + "SELECT ?step { ?step a prov:Activity }")
    assert _column(steps, "step") == {filled.iri("step", f"run-{number}") for number in range(13)}
    graphs = run_question(filled, PREFIX + "SELECT ?g { GRAPH ?g { ?step a prov:Activity } }")
    assert _column(graphs, "g") == {filled.graph_iri(number) for number in range(13)}
    assert run_question(filled, PREFIX + "ASK { ?step a prov:Entity }")["boolean"] is False
    made = run_question(filled, PREFIX + "CONSTRUCT { ?s a prov:Activity } WHERE { ?s a prov:Activity }")
    assert len(made["ntriples"].splitlines()) == 13


@pytest.mark.parametrize(
    "question",
    [
        "SELECT * { SERVICE <http://127.0.0.1:1/> { ?s ?p ?o } }",
        "SELECT * { service silent <http://127.0.0.1:1/> { ?s ?p ?o } }",
        "SELECT * FROM <http://a.example/> { ?s ?p ?o }",
        "SELECT * FROM NAMED <http://a.example/> { ?s ?p ?o }",
        "LOAD <http://a.example/>",
        "INSERT DATA { <http://a/> <http://a/> <http://a/> }",
        "DELETE WHERE { ?s ?p ?o }",
        "CLEAR ALL",
        "# a comment\nSELECT * { ?s ?p ?o }; DROP ALL",
        r"SELECT * { \u0053ERVICE <http://127.0.0.1:1/> { ?s ?p ?o } }",
        "",
        "SELECT * { ?s ?p " + "?o" * 70_000 + " }",
    ],
)
def test_what_reaches_further_is_refused(question: str) -> None:
    with pytest.raises(InputError):
        check_question(question)


@pytest.mark.parametrize(
    "question",
    [
        'SELECT * { ?s ?p "FROM here, SERVICE there" }',
        "SELECT * { ?s ?p '''LOAD \" this''' } # DELETE\n",
        "SELECT ?from ?service { ?from <http://a.example/load> ?service }",
        "PREFIX load: <http://a.example/> SELECT * { ?s load:from ?o ; load:x ?y }",
    ],
)
def test_words_that_only_look_like_it_may_stand(question: str) -> None:
    check_question(question)


def test_a_question_that_is_wrong_is_told(filled: ProvenanceLog) -> None:
    with pytest.raises(InputError, match=r"not a question to the log: .+"):
        run_question(filled, "SELECT WHERE")


def test_a_question_that_takes_too_long_is_killed(filled: ProvenanceLog) -> None:
    with pytest.raises(InputError, match="took longer than 1 second"):
        run_question(filled, ALL_PAIRS, Bounds(seconds=1))
    assert not any(thread.name == "log-question" for thread in threading.enumerate())


def test_a_question_that_needs_too_much_memory_ends(filled: ProvenanceLog) -> None:
    everything = "SELECT * { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i . ?j ?k ?l } ORDER BY ?i"
    with pytest.raises(InputError, match="memory"):
        run_question(filled, everything, Bounds(seconds=30, memory_bytes=400 * 1024**2))


def test_an_answer_that_is_too_long_is_cut_off(filled: ProvenanceLog) -> None:
    with pytest.raises(InputError, match="more than 1000 bytes"):
        run_question(filled, "SELECT * { ?s ?p ?o }", Bounds(answer_bytes=1000))


def test_a_changed_entry_gives_no_answer(filled: ProvenanceLog) -> None:
    body = filled.entry(2).body.replace(b"run-2", b"run-3")
    change = update(log_entries).where(log_entries.c.sequence == 2).values(body=body)
    filled.database.write(lambda connection: connection.execute(change).close())
    with pytest.raises(IntegrityError, match="entry 2"):
        run_question(filled, "SELECT * { ?s ?p ?o } LIMIT 1")


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(0.2)
        yield server


def test_nothing_reaches_the_network_even_when_the_words_pass(
    filled: ProvenanceLog, listening: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "check_question", lambda question: None)
    port = listening.getsockname()[1]
    with pytest.raises(InputError):
        run_question(filled, f"SELECT * {{ SERVICE <http://127.0.0.1:{port}/> {{ ?s ?p ?o }} }}")
    with pytest.raises(TimeoutError):
        listening.accept()
    with pytest.raises(InputError):
        run_question(filled, "INSERT DATA { <http://a/> <http://a/> <http://a/> }")


def test_the_process_can_open_nothing_and_knows_no_secrets(
    filled: ProvenanceLog, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The limits of the process, tried from inside it."""
    probe = tmp_path / "probe.py"
    source = Path(room.query_child.__file__).read_text()
    tries = """
    tried = []
    for attempt in (lambda: open("/etc/passwd"), socket.socket, lambda: os.pipe()):
        try:
            attempt()
            tried.append("opened")
        except OSError:
            pass
    sys.stderr.write(",".join([*tried, *os.environ]))
    return REFUSED
"""
    marker = "    try:\n        answer = store.query"
    assert marker in source
    probe.write_text(source.replace(marker, tries + marker).replace("import sys", "import os, socket, sys", 1))
    monkeypatch.setattr(room.query_child, "__file__", str(probe))
    monkeypatch.setitem(os.environ, "SECRET", "word")
    with pytest.raises(InputError) as caught:
        run_question(filled, "ASK {}")
    assert caught.value.message in (
        "this is not a question to the log: ",
        "this is not a question to the log: LC_CTYPE",  # set by Python itself
    )

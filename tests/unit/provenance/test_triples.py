"""The triples may lie in this process or at a SPARQL 1.1 server: the answers are the same.

The server is ``oxigraph serve`` (PyPI: oxigraph), a process of its own on loopback.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from synthema.demo.processes import free_ports
from synthema.errors import InputError, StorageError
from synthema.provenance import EmbeddedTriples, EndpointTriples, Lineage, ProvenanceIndex, ProvenanceLog, Triples
from synthema.provenance.reading import USED
from tests.unit.provenance.conftest import ORIGIN, Step


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = shutil.which("oxigraph", path=str(Path(sys.executable).parent)) or shutil.which("oxigraph")
    if program is None:
        pytest.skip("the SPARQL server is not installed: pip install oxigraph")
    (port,) = free_ports(1)
    folder = tmp_path_factory.mktemp("oxigraph")
    process = subprocess.Popen(
        [program, "serve", "--location", str(folder), "--bind", f"127.0.0.1:{port}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_until_up(f"http://127.0.0.1:{port}/query")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=10)


def _wait_until_up(url: str) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            httpx.get(url, params={"query": "ASK {}"}, trust_env=False).raise_for_status()
            return
        except httpx.HTTPError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@pytest.fixture
def endpoint(server: str) -> Iterator[Callable[..., EndpointTriples]]:
    made: list[EndpointTriples] = []

    def make(origin: str = ORIGIN) -> EndpointTriples:
        made.append(EndpointTriples(f"{server}/query", f"{server}/update", f"{origin}/log"))
        return made[-1]

    make().clear()
    yield make
    for triples in made:
        triples.close()


@pytest.fixture
def chain(log: ProvenanceLog, step: Step) -> ProvenanceLog:
    log.record(step("harmonise", used=("raw", "plugin-a"), made=("table",), by="steward"))
    log.record(step("generate", used=("table", "plugin-b"), made=("synthetic",), by="operator"))
    log.record(step("count", used=("table",)))
    return log


def test_a_server_answers_as_this_process_does(chain: ProvenanceLog, endpoint: Callable[[], Triples]) -> None:
    here, there = Lineage(ProvenanceIndex(chain)), Lineage(ProvenanceIndex(chain, endpoint()))
    synthetic, raw = chain.iri("thing", "synthetic"), chain.iri("thing", "raw")
    assert there.origin_of(synthetic) == here.origin_of(synthetic)
    assert there.derived_from(raw) == here.derived_from(raw)
    assert there.activities_of(f"{ORIGIN}/org") == here.activities_of(f"{ORIGIN}/org")
    assert there.graph_of(synthetic) == here.graph_of(synthetic)


def test_a_server_catches_up_and_is_made_anew(
    chain: ProvenanceLog, step: Step, endpoint: Callable[[], Triples]
) -> None:
    assert ProvenanceIndex(chain, endpoint()).catch_up() == 3
    chain.record(step("later", used=("synthetic",)))
    again = ProvenanceIndex(chain, endpoint())
    assert again.catch_up() == 4
    before = {str(quad) for quad in again.match(None, None, None)}
    assert again.rebuild() == 4
    assert {str(quad) for quad in again.match(None, None, None)} == before


def test_what_others_keep_there_is_neither_read_nor_removed(
    chain: ProvenanceLog, server: str, endpoint: Callable[..., EndpointTriples]
) -> None:
    other = endpoint("http://other.example")
    thing = f"<{chain.iri('thing', 'raw')}>"
    other.add(f"<http://other.example/s> {USED} {thing} <http://other.example/log/0> .\n".encode())
    index = ProvenanceIndex(chain, endpoint())
    index.catch_up()
    assert {quad.subject.value for quad in index.match(None, USED, None)} == {
        chain.iri("step", name) for name in ("harmonise", "generate", "count")
    }
    index.rebuild()
    assert len(list(other.match(None, None, None))) == 1
    other.clear()


def test_texts_of_all_kinds_come_back(endpoint: Callable[[], EndpointTriples]) -> None:
    triples = endpoint()
    said = f'<http://a/s> <http://a/p> "quoted \\"x\\" \\\\ \\n ü 🩸 }} . DROP ALL" <{ORIGIN}/log/0> .\n'
    triples.add(said.encode())
    (quad,) = triples.match(None, None, None)
    assert quad.object.value == 'quoted "x" \\ \n ü 🩸 } . DROP ALL'
    triples.remove(quad)
    assert list(triples.match(None, None, None)) == []


def test_a_server_that_is_away_or_wrong_is_told() -> None:
    for answer in (httpx.Response(500), httpx.Response(200, text="x"), httpx.Response(200, json={"boolean": True})):
        client = httpx.Client(transport=httpx.MockTransport(lambda request, answer=answer: answer))
        triples = EndpointTriples("https://a.example/q", "https://a.example/u", ORIGIN, client)
        with pytest.raises(StorageError, match="of no use now"):
            list(triples.match(None, USED, None))
        triples.close()
    away = EndpointTriples("http://127.0.0.1:1/q", "http://127.0.0.1:1/u", ORIGIN)
    with pytest.raises(StorageError, match="does not answer"):
        away.clear()
    away.close()


@pytest.mark.parametrize("url", ["http://sparql.example/query", "ftp://127.0.0.1/", "query"])
def test_the_log_crosses_no_network_in_the_clear(url: str) -> None:
    with pytest.raises(InputError):
        EndpointTriples(url, url, ORIGIN)


def test_an_index_on_disk_that_is_broken_is_made_anew(chain: ProvenanceLog, tmp_path: Path) -> None:
    folder = tmp_path / "index"
    folder.mkdir()
    (folder / "CURRENT").write_text("nonsense\n")
    assert ProvenanceIndex(chain, EmbeddedTriples(folder)).catch_up() == 3

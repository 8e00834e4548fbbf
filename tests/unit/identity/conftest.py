"""A connector's keys, and a resolver that knows two registered parties without any network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from synthema.clock import FixedClock
from synthema.identity import DidResolver, FileSigner, did_document

HOSPITAL = "did:web:hospital.example"
REGISTRY = "did:web:registry.example"
PASSPHRASE = b"correct horse battery"


@pytest.fixture(scope="session")
def signer(tmp_path_factory: pytest.TempPathFactory) -> FileSigner:
    return FileSigner.create(tmp_path_factory.mktemp("hospital") / "keys", PASSPHRASE)


@pytest.fixture(scope="session")
def other_signer(tmp_path_factory: pytest.TempPathFactory) -> FileSigner:
    return FileSigner.create(tmp_path_factory.mktemp("registry") / "keys", PASSPHRASE)


class Web:
    """Published documents by address; counts how often each is read."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {}
        self.reads: list[str] = []

    def publish(self, url: str, value: object) -> None:
        self.pages[url] = json.dumps(value).encode()

    def fetch(self, url: str) -> bytes:
        self.reads.append(url)
        if url not in self.pages:
            raise ConnectionError(url)
        return self.pages[url]


@pytest.fixture
def web(signer: FileSigner, other_signer: FileSigner) -> Web:
    web = Web()
    for did, keys, url in (
        (HOSPITAL, signer, "https://hospital.example"),
        (REGISTRY, other_signer, "https://registry.example"),
    ):
        web.publish(f"{url}/.well-known/did.json", did_document(did, keys, url))
    return web


@pytest.fixture
def resolver(web: Web, clock: FixedClock) -> DidResolver:
    trusted = {HOSPITAL: "https://hospital.example", REGISTRY: "https://registry.example"}
    return DidResolver(web.fetch, trusted, clock)


@pytest.fixture
def key_folder(tmp_path: Path) -> Path:
    return tmp_path / "secrets" / "keys"

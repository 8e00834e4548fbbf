"""Our connector as the system under test of the Eclipse Dataspace Protocol kit.

``make tck-target PORT=8181`` starts it; README.md in the folder above tells the
rest. What answers is the product: its protocol routes, its room of the data
space, its log and database (in a temporary folder). What is added for the kit,
and found nowhere in the product: two webhooks that make it begin a negotiation
or a transfer, seeds, a script, and a caller known by one header.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool

from synthema.clock import SystemClock
from synthema.config import Settings
from synthema.dataspace import Dataspace, Pace, Ports
from synthema.dataspace.dataplane import DataPlane
from synthema.errors import InputError
from synthema.identity import FileSigner
from synthema.identity.keys import KEY_IDS
from synthema.provenance import ProvenanceLog
from synthema.web.protocol import protocol_router
from synthema.web.security import install_guards, json_response, read_json
from tests.conformance.dsp import seeds
from tests.conformance.dsp.line import KitCallers, KitClient
from tests.conformance.dsp.stage import MOMENT, Stage
from tests.databases import new_database

NEGOTIATIONS = "/tck/negotiations/requests"
TRANSFERS = "/tck/transfers/requests"
# The kit answers 404 until it listens for a message, so a refusal means "not yet" here.
PACE = Pace(first=timedelta(milliseconds=100), longest=timedelta(milliseconds=400), rejections=100, first_rejections=20)


@dataclass(frozen=True, slots=True)
class Wishes:
    """How the target is started: address, the kit's header (None: any), hosts beside loopback, the script's pause."""

    port: int
    url: str | None = None
    authorization: str | None = None
    kit_hosts: tuple[str, ...] = ()
    moment: float = MOMENT

    @property
    def public_url(self) -> str:
        return (self.url or f"http://127.0.0.1:{self.port}").rstrip("/")


class AnyFormat(dict[str, DataPlane]):
    """Whatever format the kit was told to ask for, it gets what we hand out; it never looks at the data."""

    def __missing__(self, _: str) -> DataPlane:
        return self[seeds.FORMAT]


class KitDataspace(Dataspace):
    """The product's data space, which learns the kit's address from the webhooks instead of a version document."""

    _asked = threading.local()

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self._planes._by_profile = AnyFormat(self._planes._by_profile)

    def base_of(self, peer: str) -> str:
        """Where the kit that has just called a webhook takes messages."""
        return str(self._asked.address).rstrip("/")

    def begin_negotiation(self, asked: Mapping[str, str]) -> None:
        """What the first webhook asks for."""
        self._asked.address = asked["connectorAddress"]
        self.request_contract(seeds.KIT, asked["datasetId"], {**seeds.POLICY, "@id": asked["offerId"]})

    def begin_transfer(self, asked: Mapping[str, str]) -> None:
        """What the second webhook asks for."""
        self._asked.address = asked["connectorAddress"]
        self.request_transfer(self.agreement(asked["agreementId"]), asked["format"])


@contextlib.contextmanager
def target(wishes: Wishes, home: Path) -> Iterator[FastAPI]:
    """The application of a working target; it stops working when the block ends."""
    clock, settings = SystemClock(), _settings(wishes, home)
    signer = FileSigner({name: Ed25519PrivateKey.generate() for name in KEY_IDS}, X25519PrivateKey.generate())
    database = new_database(home / "state.sqlite")
    database.write(lambda connection: seeds.add_agreements(connection, settings.did, clock))
    log = ProvenanceLog(database, signer, settings.public_url, clock)
    stage, line = Stage(wishes.moment), KitClient(settings, signer, clock, wishes.kit_hosts, wishes.authorization)
    dataspace = KitDataspace(settings, database, log, line, clock, Ports(seeds.Shop(), guard=stage), PACE)
    stage.connector = dataspace
    dataspace.start()
    try:
        yield _application(dataspace, KitCallers(wishes.authorization))
    finally:
        dataspace.stop()
        line.close()
        database.close()


def _settings(wishes: Wishes, home: Path) -> Settings:
    return Settings(
        home=home,
        mode="demo",
        name="conformance target",
        role="site",
        public_url=wishes.public_url,
        management_url="http://127.0.0.1:1",
    )


def _application(dataspace: KitDataspace, callers: KitCallers) -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    install_guards(app)
    app.include_router(protocol_router(dataspace, callers))

    @app.post(NEGOTIATIONS)
    async def negotiate(request: Request) -> Response:
        asked = _asked(await read_json(request), ("providerId", "connectorAddress", "datasetId", "offerId"))
        await run_in_threadpool(dataspace.begin_negotiation, asked)
        return json_response({})

    @app.post(TRANSFERS)
    async def transfer(request: Request) -> Response:
        asked = _asked(await read_json(request), ("providerId", "connectorAddress", "agreementId", "format"))
        await run_in_threadpool(dataspace.begin_transfer, asked)
        return json_response({})

    return app


def _asked(value: object, names: Sequence[str]) -> Mapping[str, str]:
    given = value if isinstance(value, dict) else {}
    found = {name: field for name in names if isinstance(field := given.get(name), str) and field}
    if len(found) < len(names):
        raise InputError(f"the webhook needs {', '.join(names)}", fix="send a JSON object with these texts")
    return found


def main(arguments: list[str] | None = None) -> int:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.dsp.target", description=__doc__)
    parser.add_argument("--port", type=int, default=8181)
    parser.add_argument("--url", help="address under which the kit reaches the target, if not 127.0.0.1")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen")
    parser.add_argument("--authorization", help="the header that the kit sends; without it any caller is the kit")
    parser.add_argument("--kit-host", action="append", default=[], help="a host of the kit beside loopback")
    parser.add_argument("--moment", type=float, default=MOMENT, help="seconds before a scripted step")
    given = parser.parse_args(arguments)
    wishes = Wishes(given.port, given.url, given.authorization or None, tuple(given.kit_host), given.moment)
    with tempfile.TemporaryDirectory() as folder, target(wishes, Path(folder)) as app:
        sys.stdout.write(f"the target answers at {wishes.public_url}/dsp; stop it with Ctrl-C\n")
        sys.stdout.flush()
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the temporary folder goes
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.run(app, host=given.host, port=given.port, log_level="warning", lifespan="off", ws="none")
    return 0


if __name__ == "__main__":
    sys.exit(main())

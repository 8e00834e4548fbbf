"""A site gets its certificate for the federation engine under its agreement, and nobody else gets one.

FLARE itself is a shell script here, which does nothing: what the connectors do about it is looked at.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from synthema.assembly.engines import HubEngine
from synthema.clock import FixedClock
from synthema.config import Engine
from synthema.dataspace import Agreement
from synthema.demo.processes import free_ports
from synthema.errors import DeniedError, InputError, IntegrityError, PeerError, PluginError
from synthema.federation import PlanMember, StudyPlan
from synthema.federation.flare.enrolment import private_key, request_certificate
from tests.e2e.house import House
from tests.e2e.pair import Pair, pair
from tests.unit.federation.world import World

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

PRETENDED = '#!/bin/sh\ncase "$*" in *nvflare*) echo {version} ;; *) exec sleep 300 ;; esac\n'


def pretended(folder: Path, version: str = "2.9.0") -> Path:
    (folder / "bin").mkdir(parents=True)
    python = folder / "bin" / "python"
    python.write_text(PRETENDED.format(version=version))
    python.chmod(0o700)
    return folder


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Pair, Agreement, StudyPlan]]:
    """A hospital and a hub with FLARE switched on, their agreement, and the plan of a study under it."""
    folder = tmp_path_factory.mktemp("engine")
    engine = Engine(carries="nvflare", environment=pretended(folder / "flare"), port=free_ports(1)[0])
    (folder / "world").mkdir()
    with pair(folder, {"engine": engine}, engine=engine) as made:
        agreement = made.agree()
        world = World(folder / "world", FixedClock(made.hub.connector.clock.now()))
        plan = world.plan()
        world.close()
        mine = PlanMember(did=made.hospital.did, dataset="mgus", agreement=agreement.id)
        changes = {
            "coordinator": made.hub.did,
            "members": (mine, *plan.members[1:]),
            "engine": made.hub.connector.conductor.engine.choice(),
        }
        yield made, agreement, plan.model_copy(update=changes)


def entries(house: House) -> list[str]:
    text: str = house.call("log/export")["nquads"]
    return [line for line in text.splitlines() if "EngineEnrolment" in line]


def wish(made: Pair, under: str, plan: StudyPlan, **changes: Any) -> dict[str, Any]:
    """What the hospital would ask of the hub."""
    assert plan.engine is not None
    signer = made.hospital.connector.signer
    asked = request_certificate(made.hospital.did, under, plan.engine.authority, private_key(), signer)
    return asked.model_dump(mode="json") | changes


@pytest.mark.article("GDPR 32(1)")
def test_a_site_enrols_under_its_agreement_and_its_key_stays(both: tuple[Pair, Agreement, StudyPlan]) -> None:
    made, _, plan = both
    site = made.hospital.connector
    site.participation.engine.require(plan)
    site.participation.engine.connect(plan)
    kit = next((site.settings.home / "engine").glob("site-*/kit"))
    key = (kit / "startup/client.key").read_bytes()
    assert (kit / "startup/client.key").stat().st_mode & 0o777 == 0o600
    hub_home = made.hub.connector.settings.home
    assert not any(key in path.read_bytes() for path in hub_home.rglob("*") if path.is_file())
    assert b"ENCRYPTED" in (hub_home / "engine/authority.key").read_bytes()
    assert len(entries(made.hospital)) == len(entries(made.hub)) == 1
    running = {process.pid for process in psutil.Process().children()}
    site.participation.engine.connect(plan)  # it runs already
    assert {process.pid for process in psutil.Process().children()} == running
    assert len(entries(made.hub)) == 1
    assert "runs for 1 hubs" in site.participation.engine.stands()
    assert "its server at localhost" in made.hub.connector.conductor.engine.stands()


def test_a_plan_with_another_authority_or_machine_is_refused(both: tuple[Pair, Agreement, StudyPlan]) -> None:
    made, _, plan = both
    assert plan.engine is not None
    engine = made.hospital.connector.participation.engine
    other = plan.model_copy(update={"engine": plan.engine.model_copy(update={"authority": "sha256:" + "0" * 64})})
    with pytest.raises(PeerError, match="meant for another authority"):
        engine.connect(other)
    elsewhere = plan.model_copy(update={"engine": plan.engine.model_copy(update={"host": "elsewhere.example"})})
    with pytest.raises(DeniedError, match=r"is at elsewhere\.example, and the hub is registered at"):
        engine.require(elsewhere)


def test_a_site_that_has_not_switched_flare_on_says_what_to_do(both: tuple[Pair, Agreement, StudyPlan]) -> None:
    made, _, plan = both
    rooms = made.hospital.connector.governor.rooms
    engine = type(made.hospital.connector.participation.engine)(
        _with(rooms, engine=Engine()), made.hospital.connector.peers
    )
    with pytest.raises(DeniedError, match="has not switched it on") as refused:
        engine.require(plan)
    assert "synthema study engine FOLDER" in refused.value.fix
    engine.require(plan.model_copy(update={"engine": None}))


@pytest.mark.parametrize(("version", "found"), [("2.8.0", "2.8.0"), ("", "nothing")])
def test_another_release_of_flare_is_named_before_a_study_begins(
    both: tuple[Pair, Agreement, StudyPlan], tmp_path: Path, version: str, found: str
) -> None:
    engine = hub_engine(both[0], environment=pretended(tmp_path / "flare", version))
    with pytest.raises(PluginError, match=f"found: {found}") as refused:
        engine.require()
    assert "synthema study engine FOLDER" in refused.value.fix


def test_a_hub_between_machines_needs_flare_and_a_name(both: tuple[Pair, Agreement, StudyPlan]) -> None:
    with pytest.raises(DeniedError, match="on one machine only"):
        hub_engine(both[0], "https://hub.example", carries="embedded").require()
    hub_engine(both[0], "https://hub.example").require()
    with pytest.raises(InputError, match=r"needs a name, and 192\.0\.2\.7 is an address"):
        hub_engine(both[0], "https://192.0.2.7").require()
    hub_engine(both[0], "https://192.0.2.7", host="flare.hub.example").require()


def test_a_hub_that_lost_its_engine_does_not_go_on_with_another(both: tuple[Pair, Agreement, StudyPlan]) -> None:
    made, _, plan = both
    with pytest.raises(DeniedError, match="does not have any more"):
        hub_engine(made, carries="embedded").carrying(plan)


def test_the_hub_certifies_only_who_asks_in_its_own_name_under_an_agreement(
    both: tuple[Pair, Agreement, StudyPlan],
) -> None:
    made, agreement, plan = both
    engine, me = made.hub.connector.conductor.engine, made.hospital.did
    with pytest.raises(DeniedError, match="its own certificate only"):
        engine.certificate(made.hub.did, wish(made, agreement.id, plan))
    with pytest.raises(DeniedError, match="not known here"):
        engine.certificate(me, wish(made, "agreement-1", plan))
    with pytest.raises(IntegrityError, match="not signed by"):
        engine.certificate(me, wish(made, "agreement-1", plan, agreement=agreement.id))
    with pytest.raises(InputError, match="request"):
        engine.certificate(me, {"site": me})
    with pytest.raises(DeniedError, match="no study of this hub is carried by FLARE"):
        hub_engine(made, carries="embedded").certificate(me, wish(made, agreement.id, plan))


def test_an_agreement_that_ended_gets_no_certificate(both: tuple[Pair, Agreement, StudyPlan]) -> None:
    made, agreement, plan = both
    made.hub.call("agreement/end", {"agreement": agreement.id, "reason": "the project is over"})
    with pytest.raises(DeniedError, match=r"no certificate without an agreement: .* was revoked: the project"):
        made.hub.connector.conductor.engine.certificate(made.hospital.did, wish(made, agreement.id, plan))
    for process in psutil.Process().children():
        if process.cmdline()[:2] == ["sleep", "300"]:
            process.kill()
            process.wait()
    made.hospital.call("agreement/end", {"agreement": agreement.id, "reason": "the project is over"})
    with pytest.raises(DeniedError, match="was revoked"):  # FLARE had ended, and is not started again
        made.hospital.connector.participation.engine.connect(plan)


def hub_engine(made: Pair, public_url: str | None = None, **engine: Any) -> HubEngine:
    """An engine of a hub with other settings."""
    rooms = made.hub.connector.governor.rooms
    settings = rooms.settings.engine.model_copy(update=engine)
    changes = {"engine": settings} | ({"public_url": public_url} if public_url else {})
    return HubEngine(_with(rooms, **changes), made.hub.connector.coordinator, made.hub.connector.resolver)


def _with(rooms: Any, **settings: Any) -> Any:
    return dataclasses.replace(rooms, settings=rooms.settings.model_copy(update=settings))

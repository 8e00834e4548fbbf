"""A study that rests on the data permit of an access body: a site asks the permit's own policy, too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

from synthema.assembly import permitting
from synthema.assembly.requests import contribution_request
from synthema.assembly.study_permits import permit_in_force, require_permit
from synthema.clock import FixedClock
from synthema.config import AccessBody, Peer
from synthema.errors import DeniedError
from synthema.federation import StudyPlan
from synthema.federation.model import PlanMember, PluginUse
from synthema.identity import did_document
from synthema.permits import PermitState
from tests.e2e.house import DATASET, FIELDS, RESEARCH, House, Settled, copy_of
from tests.e2e.reports import site_policy
from tests.e2e.test_obligations import granted
from tests.unit.federation.world import HUB, world
from tests.unit.permits.support import BODY, ORIGIN, Body, content

pytestmark = [pytest.mark.e2e, pytest.mark.article("EHDS 68(10)")]

OTHER = "https://w3id.org/synthema/ns#Art53-1-f"
STATISTICS = {"variables": ["sex"], "outcomes": [], "fewest": 10}


@pytest.fixture
def body(clock: FixedClock) -> Body:
    return Body(clock)


@pytest.fixture
def house(settled: Settled, tmp_path: Path, clock: FixedClock, body: Body) -> Iterator[House]:
    """A hospital that trusts an access body, and whose own policy permits figures together with others."""
    trusted = AccessBody(did=BODY, url=ORIGIN, name="Health data access body")
    hub = Peer(did=HUB, url="https://hub.example", role="hub", name="Hub")
    with copy_of(settled, tmp_path, clock, access_bodies=(trusted,), peers=(hub,)) as found:
        found.connector.resolver._own[BODY] = did_document(BODY, body.signer, ORIGIN, [])
        found.connector.trust.status_list = body.status  # type: ignore[method-assign, assignment]
        found.approve("statistics")
        found.activate_policy(site_policy(found), "reports.yaml")
        yield found


def taken_in(house: House, body: Body, **changes: Any) -> str:
    """A permit of the access body for the study's hub, admitted here; returns its IRI, as the plan names it."""
    officer, person = house.signatories[0].person, house.signatories[1].person
    data = content().data.model_dump() | {"sources": (house.did,), "datasets": (DATASET,)}
    version = house.connector.datasets.version(DATASET)
    data["categories"] = version.metadata.category_iris
    leader = house.connector.log.iri("person", person)
    wish = content(**({"holder": HUB, "data": data, "principal_investigator": leader} | changes))
    document = body.issue(wish)
    taken = house.call("permit/import", {"document": document, "person": officer})
    granted(house, taken["permit"], release_epsilon=2.0)
    return str(document["id"])


def plan(house: House, folder: Path, clock: FixedClock, named: str | None, **changes: Any) -> StudyPlan:
    def use(name: str, **parameters: Any) -> PluginUse:
        return PluginUse(plugin=name, digest=house.connector.plugins.require(name).digest, parameters=parameters)

    with world(Path(mkdtemp(dir=folder)), clock) as w:
        others = w.dids[1:]
        epsilon, delta = 2.0, 1e-6
        return w.plan(**({
            "purpose": RESEARCH, "permit": named, "output": "report", "action": "query aggregate", "holdout": 0.0,
            "rows": 0, "epsilon": epsilon, "delta": delta, "rho": 0.05,
            "members": tuple(
                PlanMember(did=did, dataset=DATASET, agreement="agreement-1") for did in (house.did, *others)
            ),
            "anonymiser": use("minimise", fields=FIELDS, k=5), "algorithm": use("statistics", **STATISTICS),
            "aggregator": use("secure-sum"),
        } | changes))  # fmt: skip


def ask(house: House, agreed: StudyPlan) -> None:
    request = house.connector.governor.pinned(contribution_request(agreed, house.did))
    require_permit(house.connector.governor, agreed, request)


def test_a_permit_lets_sites_work_out_figures_together_until_it_is_revoked(
    house: House, body: Body, tmp_path: Path, clock: FixedClock
) -> None:
    governor, permit = house.connector.governor, taken_in(house, body)
    ask(house, plan(house, tmp_path, clock, permit, action="query aggregate"))
    agreed = plan(house, tmp_path, clock, permit, action="analyse")
    ask(house, agreed)
    assert permit_in_force(governor, plan(house, tmp_path, clock, None)) is None
    body.put(0, PermitState.REVOKED)
    permitting.follow_issuers(house.connector)
    with pytest.raises(DeniedError, match="revoked"):
        ask(house, agreed)
    with pytest.raises(DeniedError, match="revoked"):
        permit_in_force(governor, agreed)


REFUSED: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {"permit": f"{ORIGIN}/id/permit/another"}, "not known here"),
    ({}, {"epsilon": 3.0}, "does not permit it.*privacy loss"),
    ({}, {"epsilon": 0.0, "delta": 0.0, "rho": 0.0}, "does not permit it.*privacy loss"),  # bounded by nothing
    ({"holder": "did:web:institute.example"}, {}, "does not permit it"),
    ({"purpose": OTHER}, {}, "does not permit it.*purpose"),
    ({"outputs": ("synthetic", "masked")}, {}, "names no aggregate output"),
    ({"outputs": ("aggregate",)}, {}, "does not permit it"),  # not together with others
]


def test_what_the_permit_does_not_say_is_refused(house: House, body: Body, tmp_path: Path, clock: FixedClock) -> None:
    for permit, study, reason in REFUSED:
        iri = taken_in(house, body, **permit)
        with pytest.raises(DeniedError, match=reason):
            ask(house, plan(house, tmp_path, clock, iri, **study))

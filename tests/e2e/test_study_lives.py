"""What may befall hospitals in the midst of a study, all at once, and everything that reaches the hub meanwhile.

Five whole hospitals and a hub, each with its own policies, budget, consents and sandboxes, in this process. One
stays as it is, but for a patient who takes consent back; one has no budget left; one comes late; at one the list
of opt-outs grows older than its policy allows.
"""

from __future__ import annotations

import json
import math
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import select

from synthema.assembly import ordering, participation
from synthema.budget.store import budget_reservations
from synthema.consent import ConsentState
from synthema.demo import house as demo
from synthema.federation import Parcel, StudyPlan
from synthema.federation.messages import vector_from_bytes
from tests.e2e.gathered import Gathered, gathered
from tests.e2e.house import DATASET, House
from tests.unit.federation.test_wire import Z_LIMIT, oddities
from tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

STEADY, CHANGING, AGEING, POOR, LATE = SITES = ["steady", "changing", "ageing", "poor", "late"]
UNMASK = "secure_sum_unmask"
SECONDS = 300.0
FINAL = ("released", "refused", "stopped", "failed")


@dataclass
class Told:
    """A study after its end, with what the test saw on its way."""

    space: Gathered
    study: dict[str, Any]
    plan: StudyPlan
    rounds: list[dict[str, Any]]
    plain: list[NDArray[Any]] = field(default_factory=list)

    def house(self, key: str) -> House:
        return self.space.houses[key]

    def survivors(self, number: int) -> set[str]:
        (found,) = [each for each in self.rounds if each["round"] == number]
        return {key for key in SITES if self.house(key).did in found["survivors"]}

    def run(self, key: str) -> Any:
        runs = self.house(key).connector.governor.recent()
        (found,) = [r for r in runs if r.request.study == self.study["id"] and r.request.kind == "federated-algorithm"]
        return found

    def spent_rounds(self, key: str) -> dict[str, str]:
        """State of what a site's budget holds of the study, by round; the rest under the empty name."""
        with self.house(key).connector.database.read() as connection:
            query = select(budget_reservations).where(budget_reservations.c.run_id == self.run(key).id)
            return {row.part: row.state for row in connection.execute(query)}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    patience: dict[str, dict[str, Any]] = {key: {"tolerated_colluders": 0} for key in SITES}
    patience["hub"] = {"answer_seconds": SECONDS}
    patience[POOR]["refusals_tell"] = "nothing"
    with (
        pytest.MonkeyPatch.context() as patch,
        gathered(tmp_path_factory.mktemp("gathered"), SITES, patience) as space,
    ):
        yield _conducted(space, patch)


def _conducted(space: Gathered, patch: pytest.MonkeyPatch) -> Told:
    """Hold the first round open just before its sum, change everything, and let it go on."""
    may_join, go_on, held = threading.Event(), threading.Event(), threading.Event()
    plain: list[NDArray[Any]] = []
    call = participation.RoundSession.call

    def watched(self: Any, plugin: str, hook: str, **arguments: Any) -> Any:
        if hook == UNMASK:
            held.set()
            go_on.wait(SECONDS)
        answer = call(self, plugin, hook, **arguments)
        if hook == "federated_contribute":
            plain.append(np.array(answer.vector))
        return answer

    patch.setattr(participation.RoundSession, "call", watched)
    coordinator = space.hub.connector.coordinator
    place = ordering.Orders.place

    def placed(self: Any, plan: StudyPlan, sites: Any) -> Any:
        answers = place(self, plan, sites)
        until(lambda: len(coordinator.accepted(plan.id)) >= plan.minimum_sites, seconds=SECONDS)
        return answers

    patch.setattr(ordering, "ANSWER_SECONDS", 25.0)
    patch.setattr(ordering.Orders, "place", placed)
    patch.setattr(coordinator, "_acceptance_seconds", 1.0)  # nobody else is waited for
    late = space.houses[LATE].connector.participation
    invited = late.invited

    def invited_late(caller: str, plan: StudyPlan) -> dict[str, Any]:
        may_join.wait(SECONDS)
        return invited(caller, plan)

    patch.setattr(late, "invited", invited_late)
    _limit_the_age_of_its_list(space.houses[AGEING])
    _spend_nearly_all(space)
    identifier = space.begin("Five lives", SITES)
    until(held.is_set, seconds=SECONDS)
    may_join.set()
    until(lambda: space.houses[LATE].did in coordinator.present(identifier), seconds=SECONDS)
    _somebody_takes_consent_back(space)
    space.clock.ahead += timedelta(hours=7)
    go_on.set()
    until(lambda: space.hub.call("study/show", {"study": identifier})["state"] in FINAL, seconds=SECONDS)
    study = space.hub.call("study/show", {"study": identifier})
    plan = StudyPlan.model_validate(space.hub.connector.conductor.study(identifier).plan)
    rounds = space.hub.call("study/rounds", {"study": identifier})
    return Told(space, study, plan, rounds, plain)


def _limit_the_age_of_its_list(house: House) -> None:
    (version,) = [p for p in house.call("policy/list") if p["layer"] == "L3"]
    house.call("policy/withdraw", {"policy": version["policy"], "version": version["version"]})
    text = demo.dataset_policy(house).replace("version: 1\n", "version: 2\n").replace('version: "1"', 'version: "2"')
    limited = text.replace(
        "      recipient role is: participant\n",
        "      recipient role is: participant\n      opt-out list age at most: PT6H\n",
    )
    assert limited != text
    reason = "\nconfirmed:\n  opt-out list age: Decided by the data protection officer of this house\n"
    house.activate_policy(limited.rstrip() + reason, "limited.yaml")


def _spend_nearly_all(space: Gathered) -> None:
    """What the hub's agreement with one hospital allows was spent before, by an earlier run."""
    house = space.houses[POOR]
    agreement = space.hub.connector.dataspace.negotiate(house.did, house.dataset_iri(), 60.0)
    budget = house.connector.budget
    until(lambda: [a for a in budget.accounts(DATASET) if a.basis == agreement.id])
    account = budget.account(DATASET, space.hub.did, basis=agreement.id)
    house.connector.database.write(
        lambda connection: budget.spend(
            connection, budget.reserve(connection, account, account.ceiling_units * 0.98e-12, "run-earlier")
        )
    )


def _somebody_takes_consent_back(space: Gathered) -> None:
    lines = [line.split(",") for line in space.patients[CHANGING].consents.splitlines()[1:]]
    patient = next(line[0] for line in lines if line[1] == "ConsentGiven")
    space.houses[CHANGING].connector.consents.change(DATASET, patient, ConsentState.WITHDRAWN)


def test_the_rounds_go_on_with_those_who_may(told: Told) -> None:
    assert len(told.rounds) >= 2
    assert told.survivors(1) == {STEADY, CHANGING, AGEING}
    for number in range(2, len(told.rounds) + 1):
        assert told.survivors(number) == {STEADY, CHANGING, LATE}


@pytest.mark.article("EHDS 68")
def test_a_hospital_without_budget_refuses_and_says_no_more_than_it_wants(told: Told) -> None:
    (answer,) = [e for e in told.study["events"] if e["kind"] == "answer" and e["site"] == told.house(POOR).did]
    assert answer["answer"]["effect"] == "deny"
    assert answer["answer"]["sentences"] == ["This site takes no part, or no longer; why stands in its own log."]
    hub = "\n".join(told.space.hub.log_text())
    assert told.house(POOR).did not in hub or "budget of this recipient" not in hub
    run = told.run(POOR)
    assert run.state == "denied"
    assert "psilon" in json.dumps(run.decision) or "budget" in str(run.reason)
    assert told.spent_rounds(POOR) == {}


@pytest.mark.article("EHDS 71(3)")
def test_a_list_that_grew_too_old_ends_a_hospitals_part_at_the_next_round(told: Told) -> None:
    run = told.run(AGEING)
    assert run.state == "failed"
    assert "opt-out list" in run.reason
    first = told.rounds[0]
    parts = told.spent_rounds(AGEING)
    assert sorted(parts.values()) == ["cancelled", "spent"], "the first round is paid, the rest is free"
    assert len(parts) == 2
    assert told.house(AGEING).did in first["survivors"]
    hub = "\n".join(told.space.hub.log_text()) + json.dumps(told.study)
    assert "opt-out list" not in hub, "what its policy asks for is its own affair"


@pytest.mark.article("GDPR 7(3)")
def test_who_takes_consent_back_is_left_out_from_the_next_round_on(told: Told) -> None:
    entries = [text for text in told.house(CHANGING).log_text() if "prepared again" in text]
    assert len(entries) == 1, "once, before the second round"
    assert told.run(CHANGING).state == "released"
    counts = [re.search(r'excludedPatients> "(\d+)"', text) for text in told.house(CHANGING).log_text()]
    left_out = [int(found[1]) for found in counts if found is not None]
    assert left_out[1] == left_out[0] + 1


def test_who_comes_late_pays_for_its_own_rounds_only(told: Told) -> None:
    early, late = told.spent_rounds(STEADY), told.spent_rounds(LATE)
    assert list(early.values()).count("spent") == len(told.rounds)
    assert list(late.values()).count("spent") == len(told.rounds) - 1
    assert told.run(LATE).state == "released"
    for key in (STEADY, CHANGING, LATE, AGEING):
        house = told.house(key)
        (account,) = [gauge for gauge in house.call("budget/show") if gauge["basis"]]
        assert account["rho"]["reserved"] == 0


def test_without_one_hospitals_evidence_nothing_is_released(told: Told) -> None:
    """The one whose list is too old has its data in the first sum, and does not vouch for the candidate."""
    assert told.study["state"] == "failed"
    assert told.house(AGEING).did in told.study["reason"]
    assert not list((told.space.hub.connector.settings.home / "studies").rglob("*.parquet"))


@pytest.mark.article("GDPR 25(1)")
def test_all_that_reaches_the_hub_says_nothing_of_a_single_hospital(told: Told) -> None:
    """Whatever any of them said to the hub from the first word to the last, through its real door."""
    heard = told.space.recorder.heard
    parcels = [
        Parcel.from_bytes(each.body)
        for each in heard
        if each.method == "POST" and each.path.startswith("/federation/studies/")
    ]
    kinds = [parcel.message.kind for parcel in parcels]
    assert {"accept", "keys", "shares", "masked", "agreement", "answer"} <= set(kinds)
    assert kinds.count("masked") == sum(len(each["survivors"]) for each in told.rounds)
    vectors: dict[str, list[NDArray[Any]]] = {}
    for parcel in parcels:
        assert bool(parcel.attachment) == (parcel.message.kind == "masked")
        if parcel.message.kind == "masked":
            vectors.setdefault(parcel.message.sender, []).append(_vector(parcel))
    for sent in vectors.values():
        for vector in (*sent, np.concatenate(sent)):
            assert max(oddities(vector).values()) < Z_LIMIT, oddities(vector)
    _no_plain_vector_is_there(told, [each.body for each in heard] + [parcel.attachment for parcel in parcels])
    _no_patient_is_there(told, [each.path.encode() + each.headers + each.body for each in heard])


def _vector(parcel: Parcel) -> NDArray[Any]:
    """The vector of a parcel, of whatever length its header gives."""
    head = int.from_bytes(parcel.attachment[8:10], "little")
    shape = parcel.attachment[10 : 10 + head].decode("latin1").partition("'shape': (")[2].partition(",")[0]
    return vector_from_bytes(parcel.attachment, int(shape))


def _no_plain_vector_is_there(told: Told, bodies: list[bytes]) -> None:
    """No contribution, before noise and masks, stands anywhere in a form that a machine writes numbers in."""
    everything = b"\n".join(bodies)
    assert len(told.plain) >= 3 * len(told.rounds)
    for vector in told.plain:
        piece = next(vector[i : i + 16] for i in range(len(vector)) if np.count_nonzero(vector[i : i + 16]) > 8)
        for form in ("<i8", ">i8", "<u4", ">u4"):
            assert piece.astype(form).tobytes() not in everything
        assert json.dumps(piece.tolist()).encode() not in everything
        assert json.dumps(piece.tolist(), separators=(",", ":")).encode() not in everything


def _no_patient_is_there(told: Told, said: list[bytes]) -> None:
    """No row of any hospital's table, and no three neighbouring values of one, was said to the hub."""
    everything = b"\n".join(said).decode("latin1")
    for key in SITES:
        rows = told.space.patients[key].table.splitlines()[1:]
        assert len(rows) > 100
        for row in rows:
            cells = row.split(",")
            assert row not in everything
            for start in range(len(cells) - 2):
                piece = cells[start : start + 3]
                if all(piece) and math.prod(len(cell) for cell in piece) >= 8:
                    assert ",".join(piece) not in everything

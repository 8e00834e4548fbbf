"""What a data protection officer has on her desk: obligations, assessments, permits, consents and a withdrawal."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from synthema.obligations import SITE_DUTIES, Task, TaskState, store
from synthema.obligations.making import own_task
from synthema.policy.model import Event, Timing
from synthema.resources import bundled
from synthema.vocabulary.namespaces import SYN
from tests.unit.web_console.world import HOSTILE, NOW, World

PARTY = "did:web:institute.example"


def owe(found: World) -> dict[str, str]:
    """One obligation for each part of the calendar; returns their ids by part."""
    officer = found.connector.people.require(found.people["dpo"][0], "dpo")
    tasks = {
        "overdue": task("publishResults", "results of a study", NOW - timedelta(days=2)),
        "now": task("signAgreement", "terms", None, timing=Timing.PRE),
        "month": replace(
            task("checkDescription", HOSTILE, NOW + timedelta(days=5), party=found.connector.settings.did),
            statutory=False,
        ),
        "later": task("publishResults", "later results", NOW + timedelta(days=200)),
        "waiting": replace(
            task("acknowledgeSource", "copies", None),
            after=Event.EXPIRY,
            within=timedelta(days=182),
            state=TaskState.WAITING,
        ),
        "ended": task("acknowledgeSource", "source", NOW + timedelta(days=9)),
    }

    def keep(connection: Any) -> None:
        for each in tasks.values():
            store.insert_task(connection, each)
        store.add_cause(connection, tasks["later"], "run-behind", NOW)

    found.connector.database.write(keep)
    found.connector.obligations.sweep()
    found.connector.obligations.fulfil([tasks["ended"].id], "https://journal.example/1", by=officer)
    return {part: each.id for part, each in tasks.items()}


def task(action: str, subject: str, due: datetime | None, *, party: str = PARTY, timing: Timing = Timing.POST) -> Task:
    """A task as the ledger keeps it."""
    assert SYN + action in SITE_DUTIES or party == PARTY
    return own_task(
        SYN + action, party, NOW - timedelta(days=40), timing=timing, articles=("EHDS 61(4)",), dataset="mgus",
        basis=None, subject=subject, due=due, evidence_type=None,
    )  # fmt: skip


def assess(found: World) -> tuple[str, str]:
    """The bundled assessment in force, and a looser version with a hostile title that waits; returns their ids."""
    text = (bundled("legal") / "dpia" / "synthetic-data.yaml").read_text(encoding="utf-8")
    first = found.call("dpia/propose", text=text, confirm=True)
    for person, key in found.people.values():
        signature = key.sign(bytes.fromhex(first["sign"])).hex()
        found.call("dpia/sign", dpia=first["dpia"], person=person, signature=signature)
    lines = text.splitlines()
    title = next(number for number, line in enumerate(lines) if line.startswith("title:"))
    lines[title] = f"title: {json.dumps(HOSTILE)}"
    looser = "\n".join(lines).replace("threshold: 0.65", "threshold: 0.75").replace('version: "2.0"', 'version: "2.1"')
    return first["dpia"], found.call("dpia/propose", text=looser, confirm=True)["dpia"]


def permit(found: World) -> tuple[str, str]:
    """A permit in force that ends soon, and an application with hostile words; returns their ids."""
    officer, key = found.people["dpo"]
    asked = {"dataset": "mgus", "purpose": "health research", "person": officer, "justification": "single records"}
    first = found.call("permit/apply", **asked, specification="laboratory values", days=20)["permit"]
    terms = {"permit": first, "epsilon": 2.0, "delta": 1e-5, "total_epsilon": 8.0}
    sign = found.call("permit/signing", **terms)["sign"]
    found.call("permit/grant", **terms, person=officer, signature=key.sign(bytes.fromhex(sign)).hex())
    return first, found.call("permit/apply", **asked, specification=HOSTILE, days=400)["permit"]


def agree(found: World) -> None:
    """Consents of forty people of the dataset, one withdrawn, one opt-out, and the withdrawal planned."""
    rows = "\n".join(f"{number},ConsentGiven,2026-01-15" for number in range(1, 41))
    found.call("consent/import", dataset="mgus", file="consents.csv", table=f"patient_key,state,date\n{rows}\n")
    found.call("consent/withdraw", dataset="mgus", patient="17")
    found.call("consent/opt-out", patient="18")
    found.call("withdrawal/plan")

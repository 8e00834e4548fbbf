"""The policies of the demo, filled from the templates, and a request they permit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from synthema.policy import (
    AccessRequest,
    CompiledPolicies,
    Decision,
    Fact,
    Policy,
    access_request,
    compile_policies,
    decide,
    load_case_files,
    parse_policy,
    render,
    union_law,
)
from synthema.policy.model import Value
from synthema.vocabulary import load_vocabulary

V = load_vocabulary()
CASE_FILES = load_case_files(V)
BASE = "https://hospital.example"
DATASET = f"{BASE}/id/dataset/mgus"
HUB = "did:web:hub.example"
AT = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)

VALUES: Mapping[str, Mapping[str, str | float]] = {
    "research-synthetic-data": {
        "name": "research",
        "title": "Synthetic data for research",
        "version": "1",
        "assigner": "did:web:hospital.example",
        "epsilon": 6,
        "epsilon_reason": "Decided by the data protection officer",
        "parties": 3,
        "parties_reason": "With fewer than three sites a sum can be taken apart",
    },
    "dataset-consented-research": {
        "name": "mgus-consent",
        "title": "Consented research on MGUS",
        "version": "1",
        "dataset": DATASET,
        "disease": "MGUS",
    },
    "study-agreement": {
        "name": "mgus-study",
        "title": "Study agreement on MGUS",
        "version": "1",
        "dataset": DATASET,
        "assigner": "did:web:hospital.example",
        "assignee": HUB,
        "starts": "2026-01-01T00:00:00Z",
        "ends": "2031-01-01T00:00:00Z",
        "epsilon": 6,
        "parties": 3,
    },
    "synthetic-data-offer": {
        "dataset": DATASET,
        "title": "Synthetic MGUS data",
        "provider": "did:web:hub.example",
        "starts": "2026-01-01T00:00:00Z",
        "ends": "2028-01-01T00:00:00Z",
    },
}

FACTS: Mapping[str, Value] = {
    "purpose": "training of algorithms",
    "legal basis": "research exception",
    "regime": "pre-EHDS",
    "recipient role": "hub",
    "data category": ("syn:Art51-1-l",),
    "disease": "MGUS",
    "data format": "pseudonymised",
    "output": "masked",
    "epsilon": 2.0,
    "epsilon remaining": 10.0,
    "delta": 1e-6,
    "minimum cell count": 5,
    "cohort size": 400,
    "contributing parties": 3,
    "isolation level": 2,
    "permit state": "issued",
    "consent state": "given",
    "opt-out list age": timedelta(hours=2, microseconds=7),
    "dpia outcome": "risks mitigated",
    "public sector body": False,
    "plugin digest": ("sha256:aa", "sha256:bb"),
}


def template(name: str, **changes: str | float) -> Policy:
    """A template as a policy, with some of its values changed."""
    return parse_policy(render(name, {**VALUES[name], **changes}), V, file=f"{name}.yaml", base=BASE)


def all_policies() -> list[Policy]:
    return [union_law(V), *(template(name) for name in VALUES if name != "synthetic-data-offer")]


def compiled(*extra: Policy) -> CompiledPolicies:
    return compile_policies([*all_policies(), *extra], V)


def request(
    action: str = "contribute update", *, without: tuple[str, ...] = (), **changes: Value | Fact
) -> AccessRequest:
    """The good request, with facts changed (``_`` for a space) or left out."""
    named = {name.replace("_", " "): value for name, value in changes.items()}
    facts = {name: value for name, value in {**FACTS, **named}.items() if name not in without}
    return access_request(V, id="request-1", action=action, target=DATASET, assignee=HUB, at=AT, facts=facts)


def decision(asked: AccessRequest | None = None, *extra: Policy) -> Decision:
    return decide(compiled(*extra), asked or request())


def form(body: str, *, layer: str = "site") -> Policy:
    """A small policy from the part that matters."""
    head = f"policy: small-{layer.replace(' ', '-')}\ntitle: Small\nlayer: {layer}\nversion: 1\nlaw: GDPR 9(2)(j)\n"
    return parse_policy(head + body, V, base=BASE)


def moved(asked: AccessRequest, **to: object) -> AccessRequest:
    """The request with other fields."""
    return replace(asked, **to)  # type: ignore[arg-type]

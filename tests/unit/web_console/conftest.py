"""A site with something on every page, a hub with a study, and a registry; each is set up once for its worker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.unit.web_console import office
from tests.unit.web_console.world import (
    HOSTILE,
    World,
    add_dataset,
    ask_for_run,
    keep_study,
    policy_text,
    stop_in_quarantine,
    world,
)


@dataclass
class Site:
    """The site, and the names of what it holds."""

    world: World
    draft: dict[str, object]
    dataset: str
    denied: str
    stopped: str
    obligations: dict[str, str]
    assessment: str
    proposed: str
    permit: str
    application: str
    budget: str


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with world(tmp_path_factory.mktemp("site"), "site") as found:
        draft = found.call("policy/draft", text=policy_text(HOSTILE), file="policy.yaml")
        found.sign_policy(draft, "data steward")
        for plugin in ("minimise", "marginals", "evaluation"):  # secure-sum waits for its approval
            found.approve_plugin(plugin)
        dataset = add_dataset(found, HOSTILE)
        budget = found.connector.budget.open_account("mgus", "did:web:<hub>", 5.0, 1e-5)
        denied = ask_for_run(found, "dpv:Advertising")
        stopped = ask_for_run(found, "ehds:HealthcareScientificResearch", rows=51)
        office.agree(found)
        stop_in_quarantine(found, stopped, f"similarity must be ≥ 0.85: {HOSTILE}")
        yield Site(
            found, draft, dataset, denied, stopped, office.owe(found), *office.assess(found), *office.permit(found),
            str(budget.id),
        )  # fmt: skip


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("hub"), "hub") as found:
        keep_study(found, HOSTILE)
        yield found


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("registry"), "registry") as found:
        yield found

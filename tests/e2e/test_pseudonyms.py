"""The secret behind pseudonyms: one for each permit, given inside the sandbox, known to nobody who asks."""

from __future__ import annotations

from typing import Any

import pytest

from synthema.runs.sandbox import Session
from tests.e2e.house import FIELDS, House

pytestmark = pytest.mark.e2e


@pytest.mark.article("GDPR 4(5)")
def test_the_secret_is_the_sites_and_not_the_requests(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, Any]] = []
    call = Session.call

    def watched(session: Session, plugin: str, hook: str, **arguments: Any) -> Any:
        if hook in ("anonymise", "anonymise_control"):
            given.append(arguments["parameters"])
        return call(session, plugin, hook, **arguments)

    monkeypatch.setattr(Session, "call", watched)
    chosen = "00" * 32
    parameters = {"fields": FIELDS, "k": 5, "pseudonyms": True, "permit_key": chosen}
    grant, request = house.granted(anonymise={"plugin": "minimise", "parameters": parameters})
    house.connector.governor.start(grant, request).close()
    secrets = {parameters["permit_key"] for parameters in given}
    assert len(given) == 2  # training rows and hold-out
    assert secrets == {house.connector.signer.secret(f"pseudonyms/{house.permit}").hex()}
    assert chosen not in secrets
    assert not any(secret in text for secret in secrets for text in house.log_text())

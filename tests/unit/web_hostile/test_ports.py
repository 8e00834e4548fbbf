"""Two interfaces, two ports: nothing of the house is reachable from outside, whatever is shown at the door."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from synthema.assembly import OPERATIONS, initialise
from synthema.config import Role
from synthema.errors import InputError
from synthema.web.management import management_app
from synthema.web.public import public_app
from synthema.web.server import serve
from tests.unit.web_hostile.live import Live


def addresses(app: FastAPI) -> set[tuple[str, str]]:
    return {(method.upper(), path) for path, methods in app.openapi()["paths"].items() for method in methods}


@pytest.mark.parametrize("role", ["site", "hub"])
def test_no_management_route_is_reachable_on_the_public_port(space: dict[Role, Live], role: Role) -> None:
    live = space[role]
    inside = addresses(management_app(live.connector, live.management_token))
    inside |= {("POST", f"/management/{name}") for name in OPERATIONS}
    assert len(inside) > 150
    with httpx.Client(base_url=live.public, trust_env=False, timeout=10, headers=live.manages()) as outside:
        for method, path in sorted(inside):
            at = path.replace("{", "").replace("}", "")
            assert outside.request(method, at, json={}).status_code == 404, path


def test_the_two_interfaces_share_no_address(site: Live) -> None:
    public = {path for _, path in addresses(public_app(site.connector))}
    inside = {path for _, path in addresses(management_app(site.connector, site.management_token))}
    assert public.isdisjoint(inside)


def test_a_partners_token_opens_nothing_inside(site: Live) -> None:
    for path in ("/management/log/size", "/management/policy/list", "/management/openapi"):
        method = "GET" if path.endswith("openapi") else "POST"
        answer = httpx.request(method, site.management + path, json={}, headers=site.bearer(), trust_env=False)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("shown", [None, "", "Bearer", "Bearer ", "Basic {}", "{}", "Bearer {} x", "Bearer x{}"])
def test_the_management_token_is_shown_in_one_way(site: Live, shown: str | None) -> None:
    headers = {} if shown is None else {"Authorization": shown.format(site.management_token).strip()}
    answer = httpx.post(f"{site.management}/management/log/size", json={}, headers=headers, trust_env=False)
    assert (answer.status_code, answer.json()["code"]) == (401, "denied")


def test_an_unknown_operation_is_told_to_the_house_only(site: Live) -> None:
    assert site.inside("POST", "/management/no/such", json={}).status_code == 404
    assert site.inside("POST", "/management/no/such", json={}, token="wrong").status_code == 401


def test_one_port_for_both_is_refused(tmp_path: Path) -> None:
    both = "http://127.0.0.1:18999"
    settings = initialise(tmp_path / "home", name="x", role="site", public_url=both, management_url=both, mode="demo")
    with pytest.raises(InputError, match="share one address"):
        serve(settings)

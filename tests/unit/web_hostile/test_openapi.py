"""Schemathesis over everything both interfaces offer, against running connectors: nothing is found.

What it may not find: a 5xx, an answer whose status, media type or body is not described, wrong data taken in,
a missing token that does not matter, a method that is not refused.
"""

from __future__ import annotations

from typing import Any, Final

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS, load_all_checks

from synthema.assembly import OPERATIONS
from synthema.config import Role
from synthema.web.management import management_app
from synthema.web.openapi import PUBLIC, management_document, management_operations, public_document
from synthema.web.public import public_app
from tests.unit.web_hostile.live import Live

EXAMPLES: Final = 4
NOWHERE: Final = "http://127.0.0.1:1"

load_all_checks()


def loaded(document: dict[str, Any]) -> schemathesis.BaseSchema:
    schema = schemathesis.openapi.from_dict(document)
    checks = schema.config.checks
    checks.positive_data_acceptance.expected_statuses += ["400", "406", "422"]  # there are rules that no schema can say
    checks.not_a_server_error.expected_statuses += ["501", "502"]  # a partner's fault, told to our own people as such
    return schema


management = loaded(management_document(NOWHERE))
at_site = loaded(public_document("site", NOWHERE))
at_hub = loaded(public_document("hub", NOWHERE))
examples = settings(max_examples=EXAMPLES, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
# Who shows no token is told 404, as the protocol asks (not 401): tests in test_alike.py.
asks_for_401 = [check for check in CHECKS.get_all() if check.__name__ in {"ignored_auth", "missing_required_header"}]


@management.parametrize()
@examples
def test_the_management_interface(case: schemathesis.Case, site: Live) -> None:
    case.call_and_validate(base_url=site.management, headers=site.manages())


@at_site.parametrize()
@examples
def test_the_public_interface_of_a_site(case: schemathesis.Case, site: Live) -> None:
    case.call_and_validate(base_url=site.public, headers=site.bearer(), excluded_checks=asks_for_401)


@at_hub.parametrize()
@examples
def test_the_public_interface_of_a_hub(case: schemathesis.Case, hub: Live) -> None:
    case.call_and_validate(base_url=hub.public, headers=hub.bearer(), excluded_checks=asks_for_401)


# nothing is left out -------------------------------------------------------------------------------------------------


def routes_of(app: FastAPI) -> set[tuple[str, str]]:
    """Method and path of every route, the path as OpenAPI writes it."""
    paths: dict[str, dict[str, Any]] = app.openapi()["paths"]
    return {(method.upper(), path) for path, methods in paths.items() for method in methods}


@pytest.mark.parametrize("role", ["site", "hub"])
def test_every_public_route_is_described_and_no_other(space: dict[Role, Live], role: Role) -> None:
    described = {each.key for each in PUBLIC if not each.roles or role in each.roles}
    assert routes_of(public_app(space[role].connector)) == described


def test_every_management_route_is_described_and_no_other(site: Live) -> None:
    routes = routes_of(management_app(site.connector, site.management_token))
    pages = {(method, path) for method, path in routes if path == "/" or path.startswith("/console")}
    by_name = ("POST", "/management/{noun}/{verb}")
    operations = {("POST", f"/management/{name}") for name in OPERATIONS}
    described = {each.key for each in management_operations()}
    assert routes - pages - {by_name} | operations == described


def test_schemathesis_saw_every_operation() -> None:
    assert count(management) == len({each.key for each in management_operations()}) > len(OPERATIONS)
    assert count(at_site) == len([each for each in PUBLIC if not each.roles or "site" in each.roles])
    assert count(at_hub) == len([each for each in PUBLIC if not each.roles or "hub" in each.roles])


def count(schema: schemathesis.BaseSchema) -> int:
    return sum(1 for _ in schema.get_all_operations())


def test_the_descriptions_are_served_to_the_house_only(site: Live) -> None:
    for name in ("openapi", "public-openapi"):
        with_token = site.inside("GET", f"/management/{name}")
        assert (with_token.status_code, with_token.json()["openapi"]) == (200, "3.1.0")
        assert site.inside("GET", f"/management/{name}", token="wrong").status_code == 401

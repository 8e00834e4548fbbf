"""The target itself: it lets in whom it should, speaks to this machine only, and is no part of the product."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from synthema.clock import SystemClock
from synthema.config import Settings
from synthema.errors import PeerError
from tests.conformance.dsp.cases import CASES
from tests.conformance.dsp.kit import Kit
from tests.conformance.dsp.line import KitClient
from tests.conformance.dsp.running import running_target
from tests.conformance.dsp.script import SCRIPT, cue
from tests.conformance.dsp.seeds import DATASETS, FORMAT, offer_ids
from tests.conformance.dsp.target import NEGOTIATIONS, TRANSFERS
from tests.unit.dataspace.world import lasting_signer

pytestmark = pytest.mark.conformance

FOLDER = Path(__file__).parents[1]
PROPERTIES = FOLDER / "dsp" / "tck.properties"


def properties() -> dict[str, str]:
    lines = PROPERTIES.read_text(encoding="utf-8").splitlines()
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {key: value for key, _, value in pairs}


def test_another_header_finds_nothing(kit: Kit) -> None:
    for header in ({}, {"Authorization": "Bearer somebody-else"}):
        answer = httpx.get(f"{kit.base}/catalog/datasets/CAT0101", headers=header)
        assert (answer.status_code, answer.json()["@type"]) == (404, "CatalogError")


def test_without_an_agreed_header_any_caller_is_the_kit() -> None:
    with running_target() as address:
        for header in ({}, {"Authorization": '{"clientId": "TCK_PARTICIPANT"}'}):
            answer = httpx.get(f"{address}/dsp/catalog/datasets/CAT0101", headers=header)
            assert answer.status_code == 200


@pytest.mark.parametrize("webhook", [NEGOTIATIONS, TRANSFERS])
@pytest.mark.parametrize("body", [{}, [], {"providerId": "x", "connectorAddress": 5, "datasetId": "", "offerId": "o"}])
def test_a_webhook_says_what_it_needs(kit: Kit, webhook: str, body: object) -> None:
    answer = httpx.post(kit.target + webhook, json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "input")


def test_a_transfer_needs_an_agreement(kit: Kit) -> None:
    asked = {"providerId": "x", "connectorAddress": "http://127.0.0.1:1", "agreementId": "none", "format": FORMAT}
    assert httpx.post(kit.target + TRANSFERS, json=asked).status_code == 404


def test_the_kit_may_name_any_format(kit: Kit) -> None:
    asked = {
        "@context": ["https://w3id.org/dspace/2025/1/context.jsonld"],
        "@type": "TransferRequestMessage",
        "consumerPid": "urn:uuid:3f2c2a0e-6b0e-4a52-9d0e-0c7e3a1f5b11",
        "agreementId": "ATP0205",
        "format": "NonFinite-PULL",
        "callbackAddress": kit.ear().address,
    }
    assert kit.post(f"{kit.base}/transfers/request", asked)["state"] == "REQUESTED"


def test_messages_stay_on_this_machine(tmp_path: Path) -> None:
    settings = Settings(
        home=tmp_path, mode="demo", name="x", role="site", public_url="http://127.0.0.1:1", management_url="http://x"
    )
    with KitClient(settings, lasting_signer(tmp_path), SystemClock(), ["kit.example"], None) as line:
        for address in ("http://127.0.0.1:8083", "http://localhost:1/x", "http://0.0.0.0:1", "http://kit.example/a"):
            assert line.path_of("x", address) == address
        for address in ("http://192.0.2.1", "http://evil.example", "file:///etc/passwd", "127.0.0.1"):
            with pytest.raises(PeerError):
                line.path_of("x", address)


def test_a_script_tells_first_and_second_visits_apart() -> None:
    assert [cue("ATP0104", "STARTED", visit) for visit in (1, 2, 3)] == ["suspend", "complete", None]
    assert cue("ACN0202", "REQUESTED", 1) is None
    assert cue("unknown", "REQUESTED", 1) is None
    assert cue("ACN0101", None, 0) is None


def test_the_sample_properties_name_each_case_what_it_needs() -> None:
    given = properties()
    for case in CASES:
        group, _, number = case.partition(":")
        key = f"{group}_{number.replace('-', '_')}"
        match group:
            case "CN":
                dataset = given[f"{key}_DATASETID"]
                assert dataset in SCRIPT
                assert given[f"{key}_OFFERID"] in offer_ids(dataset)
            case "CN_C":
                assert given[f"{key}_DATASETID"] in SCRIPT
            case "TP" | "TP_C":
                assert given[f"{key}_AGREEMENTID"] in SCRIPT
                assert given[f"{key}_FORMAT"] == FORMAT
            case "CAT":
                assert (given[f"{key}_DATASETID"] in DATASETS) == (case != "CAT:01-03")


def test_the_sample_properties_point_at_the_target() -> None:
    given = properties()
    base = given["dataspacetck.dsp.connector.http.base.url"]
    assert given["dataspacetck.dsp.connector.http.url"] == f"{base}/dsp"
    assert given["dataspacetck.dsp.connector.negotiation.initiate.url"] == base + NEGOTIATIONS
    assert given["dataspacetck.dsp.connector.transfer.initiate.url"] == base + TRANSFERS


def test_nothing_of_the_kit_is_in_the_product() -> None:
    product = FOLDER.parents[1] / "connector" / "synthema"
    files = list(product.rglob("*.py"))
    assert files
    named = [
        path
        for path in files
        if re.search(r"TCK_PARTICIPANT|/tck/|tests\.conformance", path.read_text(encoding="utf-8"))
    ]
    assert named == []

"""The cases of the Dataspace Protocol TCK 1.0.1 under their own ids: 65 that it runs, and two that it has switched off.

Each case is a conversation (:mod:`talks`) about the dataset or agreement whose
script (:mod:`script`) the target follows. Source: the kit's test plan.
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.conformance.dsp import negotiation_cases, transfer_cases
from tests.conformance.dsp.kit import Kit, message
from tests.conformance.dsp.register import CASES, plain

__all__ = ["CASES", "FOUND", "SWITCHED_OFF", "negotiation_cases", "transfer_cases"]

SWITCHED_OFF: Mapping[str, str] = {
    "TP:02-04": "the kit marks it as disabled; we run it all the same",
    "TP_C:02-04": "the kit marks it as disabled; we run it all the same",
}
FOUND = 65


@plain("MET:01-01")
def versions_are_listed(kit: Kit) -> None:
    found = kit.get(f"{kit.target}/.well-known/dspace-version")["protocolVersions"]
    assert any(each["version"] == "2025-1" and each["path"] and each["binding"] for each in found)


@plain("CAT:01-01")
def the_catalogue_lists_the_dataset(kit: Kit) -> None:
    catalogue = kit.post(f"{kit.base}/catalog/request", message("CatalogRequestMessage"))
    assert "CAT0101" in [dataset["@id"] for dataset in catalogue["dataset"]]


@plain("CAT:01-02")
def a_dataset_is_read_by_its_id(kit: Kit) -> None:
    assert kit.get(f"{kit.base}/catalog/datasets/CAT0102")["@id"] == "CAT0102"


@plain("CAT:01-03")
def an_unknown_dataset_is_a_catalogue_error(kit: Kit) -> None:
    assert kit.get(f"{kit.base}/catalog/datasets/CAT0103", status=404)["@type"] == "CatalogError"

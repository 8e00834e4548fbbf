"""Setting up the demo's connectors the way their people would: through the management interface."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from synthema.assembly.remote import call_remote
from synthema.demo.processes import Running
from synthema.policy.templates import render
from synthema.resources import bundled

PLUGINS = ("minimise", "marginals", "evaluation", "secure-sum")
DATASET = "mgus"
DISEASE = "MGUS"
CEILING = 6.0  # ε of one release that a hospital's policy allows
BUDGET = 8.0  # ε of all releases together under one agreement
DELTA = 1e-5


@dataclass(frozen=True, slots=True)
class Signatory:
    """A role account of the house, with the key its holder keeps."""

    person: str
    key: Ed25519PrivateKey

    def sign(self, hexadecimal: str) -> str:
        """The signature over bytes the connector asks for, hexadecimal."""
        return self.key.sign(bytes.fromhex(hexadecimal)).hex()


class House:
    """One connector of the demo with its two signatories: a data protection officer and a data steward."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.name = running.actor.name
        self.did = running.did
        self.signatories = [self._register("dpo"), self._register("data steward")]

    def call(self, operation: str, value: dict[str, Any] | None = None) -> Any:
        """Ask the connector for something, as its own people would."""
        return call_remote(self.running.settings.management_url, self.running.token, operation, value)

    def _register(self, role: str) -> Signatory:
        key = Ed25519PrivateKey.generate()
        public = key.public_key().public_bytes_raw().hex()
        person = self.call("people/register", {"roles": [role], "public_key": public})["person"]
        return Signatory(person, key)

    def approve_plugins(self, names: Iterable[str] = PLUGINS) -> None:
        """Two people approve the exact files of each of these first-party plugins."""
        for name in names:
            asked = self.call("plugin/signing", {"name": name})
            approvals = [{"person": s.person, "signature": s.sign(asked["sign"])} for s in self.signatories]
            self.call("plugin/approve", {"name": name, "digest": asked["digest"], "approvals": approvals})

    def activate_policy(self, text: str, file: str) -> dict[str, Any]:
        """Draft a policy in the DPO's form and put it in force with two signatures; returns the draft's answer."""
        draft: dict[str, Any] = self.call("policy/draft", {"text": text, "file": file})
        for signatory in self.signatories:
            self.call(
                "policy/sign",
                {
                    "policy": draft["policy"],
                    "version": draft["version"],
                    "person": signatory.person,
                    "signature": signatory.sign(draft["sign"]),
                },
            )
        return draft

    def activate_assessment(self, thresholds: dict[str, float], file: str = "synthetic-data.yaml") -> None:
        """Put a shipped impact assessment in force with two signatures.

        The officer confirms its thresholds, and sets the given ones (gate → threshold) instead.
        """
        text = (bundled("legal") / "dpia" / file).read_text(encoding="utf-8")
        proposed = self.call("dpia/propose", {"text": text, "file": file, "confirm": True, "thresholds": thresholds})
        for signatory in self.signatories:
            signature = signatory.sign(proposed["sign"])
            self.call("dpia/sign", {"dpia": proposed["dpia"], "person": signatory.person, "signature": signature})

    def dataset_iri(self) -> str:
        """The IRI of this house's dataset."""
        return f"{self.running.settings.public_url}/id/dataset/{DATASET}"


def site_policy(house: House) -> str:
    """The hospital's own policy (layer L2), from the template."""
    return render(
        "research-synthetic-data",
        {
            "name": "research-synthetic-data",
            "title": f"Synthetic data for research at {house.name}",
            "version": "1",
            "assigner": house.did,
            "epsilon": CEILING,
            "epsilon_reason": "Decided by the data protection officer for a rare disease",
            "parties": 3,
            "parties_reason": "With fewer than three sites a sum can be taken apart",
        },
    )


def dataset_policy(house: House) -> str:
    """What the patients of the dataset agreed to (layer L3), from the template."""
    return render(
        "dataset-consented-research",
        {
            "name": "mgus-consent",
            "title": f"Consented research on MGUS at {house.name}",
            "version": "1",
            "dataset": house.dataset_iri(),
            "disease": DISEASE,
        },
    )


def offer_policy(house: House, hub: str, today: datetime) -> str:
    """The agreement a hub is offered (layer L4), from the template."""
    return render(
        "study-agreement",
        {
            "name": "mgus-study",
            "title": f"Study agreement on MGUS with {house.name}",
            "version": "1",
            "dataset": house.dataset_iri(),
            "assigner": house.did,
            "assignee": hub,
            "starts": (today - timedelta(days=1)).strftime("%Y-%m-%dT00:00:00Z"),
            "ends": (today + timedelta(days=2 * 365)).strftime("%Y-%m-%dT00:00:00Z"),
            "epsilon": CEILING,
            "parties": 3,
        },
    )


def release_policy(house: House, bounds: Mapping[str, float]) -> str:
    """The hub's own policy (layer L2) on certifying and handing on; ``bounds`` are those of the impact assessment."""
    return render(
        "certified-synthetic-release",
        {
            "name": "certified-release",
            "title": f"Release of certified synthetic data by {house.name}",
            "version": "1",
            "assigner": house.did,
            "singling_out": bounds["singling-out-attack"],
            "inference": bounds["inference-attack"],
            "membership": bounds["membership-attack"],
            "bounds_reason": "What the sites' data protection officers set for cohorts of their size",
        },
    )


def released_data_policy(house: House) -> str:
    """What may become of the synthetic data a hub has released (layer L3), from the template."""
    return render(
        "released-synthetic-data",
        {"name": "released-data", "title": f"Synthetic data released by {house.name}", "version": "1"},
    )


def metadata(legal_basis: str) -> dict[str, Any]:
    """How the demo's datasets describe themselves in the catalogue."""
    return {
        "description": "Patients with monoclonal gammopathy of undetermined significance: laboratory values at "
        "diagnosis, progression and survival.",
        "categories": ["l"],
        "legal_basis": legal_basis,
        "keywords": ["MGUS", "survival"],
        "provenance": "Published with R's survival package (mgus2, Mayo Clinic); split over hospitals for the demo.",
        "contact": "mailto:data-office@hospital.example",
        "hdab": {"name": "The site itself, before EHDS Chapter IV applies", "url": "https://hdab.example"},
    }


def from_base64(text: str) -> bytes:
    """Bytes that travelled as base64."""
    return base64.b64decode(text, validate=True)

"""Operations on certificates: verify, collect, ingest, suspend, revoke."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from synthema.assembly.operations.registry import Input, Nothing, operation
from synthema.certification import IntendedUse, VerificationReport
from synthema.errors import InputError, NotFoundError

if TYPE_CHECKING:
    from synthema.assembly.connector import Connector

COLLECT_SECONDS = 60.0


class PackageFile(Input):
    """A certified package, base64, and what it is meant for."""

    package: str
    purpose: str


@operation("certificate/verify")
def verify_certificate(connector: Connector, given: PackageFile) -> dict[str, Any]:
    """Make every check a registry makes, without taking anything in."""
    report = connector.trust.registry.check(_bytes(given.package), _use(connector, given.purpose))
    return report_json(report)


@operation("registry/ingest")
def ingest_package(connector: Connector, given: PackageFile) -> dict[str, Any]:
    """Check a package and take it in only if every check holds."""
    receipt = connector.trust.registry.ingest(_bytes(given.package), _use(connector, given.purpose))
    return {"accepted": receipt.accepted, "receipt": receipt.id, **report_json(receipt.report)}


class Collect(Input):
    """A synthetic dataset in a hub's catalogue."""

    hub: str = Field(description="did of the hub")
    package: str = Field(description="digest of the package")


@operation("registry/collect")
def collect_package(connector: Connector, given: Collect) -> dict[str, Any]:
    """Negotiate for a released dataset in a hub's catalogue and transfer its package; returns it base64."""
    name = given.package.removeprefix("sha256:")
    iri = f"{connector.peers.peer(given.hub).url}/id/dataset/{name}"
    if iri not in {dataset["@id"] for dataset in connector.dataspace.catalogue_of(given.hub)}:
        raise NotFoundError("the hub's catalogue shows no such dataset", fix="take one from the hub's catalogue")
    agreement = connector.dataspace.negotiate(given.hub, iri, COLLECT_SECONDS)
    content = connector.dataspace.pull(given.hub, agreement, name, expected_digest=given.package)
    return {"agreement": agreement.id, "package": base64.b64encode(content).decode()}


@operation("registry/list")
def list_holdings(connector: Connector, given: Nothing) -> list[dict[str, Any]]:
    """What this registry holds, and in which standing."""
    return [
        {"certificate": h.certificate, "artefact": h.artefact, "state": str(h.state)}
        for h in connector.trust.registry.holdings()
    ]


class ChangeStatus(Input):
    """A change of an issued certificate, with its reason."""

    certificate: str
    change: Literal["suspend", "reinstate", "revoke"]
    reason: str = Field(min_length=3)


@operation("certificate/status")
def change_status(connector: Connector, given: ChangeStatus) -> dict[str, Any]:
    """Suspend, reinstate or revoke a certificate this connector issued."""
    getattr(connector.trust.status, given.change)(given.certificate, given.reason)
    return {"certificate": given.certificate, "change": given.change}


def report_json(report: VerificationReport) -> dict[str, Any]:
    """A verification report as JSON, with its lines for people."""
    return {"ok": report.ok, "lines": list(report.lines()), "report": report.as_dict()}


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError("the package is not base64", fix="send the file's bytes in base64") from error


def _use(connector: Connector, purpose: str) -> IntendedUse:
    return IntendedUse(purpose=purpose, recipient=connector.settings.did)

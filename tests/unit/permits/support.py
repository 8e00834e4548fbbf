"""A health data access body of the tests: its keys, its permits and its status lists, found without a network."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from synthema.clock import Clock
from synthema.errors import PeerError
from synthema.identity import DidResolver, FileSigner, did_document
from synthema.permits import Permit, PermitContent, PermitState, VerifiedPermit, read_permit, sign_permit, status_list
from synthema.vocabulary import load_vocabulary
from tests.unit.datasets.support import make_signer

V = load_vocabulary()
SITE = "did:web:hospital.example"
BODY = "did:web:hdab.example"
ORIGIN = "https://hdab.example"
HOLDER = "did:web:institute.example"
RESEARCH = "https://w3id.org/dpv/legal/eu/ehds#HealthcareScientificResearch"
SYN = "https://w3id.org/synthema/ns#"


def content(**changes: Any) -> PermitContent:
    values: dict[str, Any] = {
        "holder": HOLDER,
        "data": {
            "datasets": ["mgus"],
            "categories": [f"{SYN}Art51-1-l"],
            "specification": "laboratory values at diagnosis",
            "format": "pseudonymised",
            "justification": "models need single records",
            "sources": [SITE],
        },
        "purpose": RESEARCH,
        "principal_investigator": "https://institute.example/id/person/1",
        "authorised_persons": ["https://institute.example/id/person/2"],
        "valid_from": date(2026, 1, 1),
        "valid_to": date(2028, 12, 31),
        "conditions": ["results are shown to the registry first"],
    }
    return PermitContent.model_validate(values | changes)


class Body:
    """Signs permits and says where they stand."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.signer: FileSigner = make_signer()
        self.permits: dict[int, Permit] = {}
        self.answers = True
        documents = {BODY: did_document(BODY, self.signer, ORIGIN, [])}
        self.resolver = DidResolver(lambda _url: b"{}", {BODY: ORIGIN}, clock, own=documents)

    def issue(self, wish: PermitContent, *, issued: datetime | None = None) -> dict[str, Any]:
        """A signed permit."""
        at = issued or self.clock.now() - timedelta(days=1)
        permit = Permit(
            id=f"permit-{len(self.permits)}",
            content=wish,
            issuer=BODY,
            regime="EHDS",
            state=PermitState.ISSUED,
            applied_at=at,
            approved_at=at,
            valid_to=wish.valid_to,
            status_index=len(self.permits),
        )
        self.permits[permit.status_index] = permit
        return sign_permit(permit, origin=ORIGIN, issuer=BODY, signer=self.signer, at=at)

    def put(self, index: int, state: PermitState) -> None:
        """Change where a permit stands."""
        self.permits[index] = self.permits[index].model_copy(update={"state": state})

    def status(self, address: str) -> Mapping[str, Any]:
        """The status list at an address."""
        if not self.answers:
            raise PeerError("the body does not answer", fix="ask later")
        name = address.rsplit("/", 1)[-1]
        return status_list(
            list(self.permits.values()), name, origin=ORIGIN, issuer=BODY, signer=self.signer, at=self.clock.now()
        )

    def read(self, document: Mapping[str, Any], **changes: Any) -> VerifiedPermit:
        """Check a permit as a site would."""
        given: dict[str, Any] = {
            "bodies": [BODY],
            "site": SITE,
            "vocabulary": V,
            "resolver": self.resolver,
            "at": self.clock.now(),
            "status": self.status,
        }
        return read_permit(document, **(given | changes))

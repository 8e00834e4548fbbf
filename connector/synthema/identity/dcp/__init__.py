"""The Decentralized Claims Protocol 1.0.1: showing what one is, and reading what others show, without a third party.

=================  =================================================================================
``access``         self-issued tokens with an access token for our own credential service
``wallet``         the credentials we hold, and presentations of them
``holder``         the credential service: queries, deliveries and offers; our requests to issuers
``verification``   twelve numbered checks of what is presented
``counterparties`` what others have shown us, remembered while it holds
``issuer``         the issuer service: requests, decisions, deliveries
=================  =================================================================================
"""

from synthema.identity.dcp.access import EVERYTHING, Access, SecureTokenService
from synthema.identity.dcp.clients import TokenClients
from synthema.identity.dcp.counterparties import Counterparties, Known
from synthema.identity.dcp.envelope import envelop, present, read_container, read_credential, read_presentation
from synthema.identity.dcp.holder import CredentialService, Post
from synthema.identity.dcp.issuer import IssuerService, Issues
from synthema.identity.dcp.kinds import ACCESS_BODY, KINDS, MEMBERSHIP, PERMIT_HOLDER, ROLE, Kind, kind_of
from synthema.identity.dcp.scopes import Scope, of_type, read_scope
from synthema.identity.dcp.store import ClaimsLog, ClaimStep
from synthema.identity.dcp.verification import CHECKS, Claim, StatusSource, Trusted, VerificationError, Verifier
from synthema.identity.dcp.wallet import Held, Wallet

__all__ = [
    "ACCESS_BODY",
    "CHECKS",
    "EVERYTHING",
    "KINDS",
    "MEMBERSHIP",
    "PERMIT_HOLDER",
    "ROLE",
    "Access",
    "Claim",
    "ClaimStep",
    "ClaimsLog",
    "Counterparties",
    "CredentialService",
    "Held",
    "IssuerService",
    "Issues",
    "Kind",
    "Known",
    "Post",
    "Scope",
    "SecureTokenService",
    "StatusSource",
    "TokenClients",
    "Trusted",
    "VerificationError",
    "Verifier",
    "Wallet",
    "envelop",
    "kind_of",
    "of_type",
    "present",
    "read_container",
    "read_credential",
    "read_presentation",
    "read_scope",
]

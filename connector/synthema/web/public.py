"""The public application of a connector: protocol, studies, status lists. Nothing else is reachable from outside."""

from __future__ import annotations

from fastapi import FastAPI

from synthema.assembly import Connector
from synthema.federation.engine import LARGEST_PARCEL
from synthema.web.catalogue import catalogue_router
from synthema.web.claims import credential_router
from synthema.web.computations import computations_router
from synthema.web.federation import federation_router, status_router, witness_router
from synthema.web.heads import LogHeads
from synthema.web.joining import joining_router
from synthema.web.protocol import protocol_router
from synthema.web.receipts import receipts_router
from synthema.web.security import Security, install_guards
from synthema.web.withdrawals import withdrawal_router


def public_app(connector: Connector) -> FastAPI:
    """The application on the public port."""
    app = FastAPI(title=connector.settings.name, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(LogHeads, heads=connector.heads)
    install_guards(app, larger={"/federation/studies/": LARGEST_PARCEL})
    claims = connector.claims
    security = Security(
        connector.settings,
        connector.resolver,
        claims.replay,
        connector.clock,
        claims.counterparties.admit,
        connector.parties,
    )
    app.include_router(protocol_router(connector.dataspace, security, connector.did_document))
    app.include_router(catalogue_router(connector, security))
    app.include_router(federation_router(connector, security))
    app.include_router(computations_router(connector, security))
    app.include_router(credential_router(claims))
    app.include_router(joining_router(connector.membership, security))
    app.include_router(status_router(connector))
    app.include_router(receipts_router(connector, security))
    app.include_router(witness_router(connector))
    app.include_router(withdrawal_router(connector, security))
    return app

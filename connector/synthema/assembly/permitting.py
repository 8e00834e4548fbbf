"""Permits as this site issues, admits and watches over them: policy, budget, signature, status of foreign ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import Connection

from synthema.budget import EVERYONE
from synthema.canonical import canonical_json
from synthema.errors import DeniedError, InputError, IntegrityError, PeerError
from synthema.identity.credentials import verify
from synthema.obligations import PUBLISH_RESULTS, TaskState
from synthema.permits import (
    STATUS_LISTS,
    Permit,
    PermitState,
    Terms,
    VerifiedPermit,
    permit_policy,
    read_permit,
    sign_permit,
    status_list,
)
from synthema.policy import Policy, parse_policy, policy_digest
from synthema.provenance import Agent

if TYPE_CHECKING:
    from synthema.assembly.connector import Connector


_ISSUER = "its issuer does not stand by it now"  # what this site itself suspended, no issuer takes up again


def names_of(connector: Connector) -> dict[str, str]:
    """The names for people of every party this site knows."""
    settings = connector.settings
    known = {peer.did: peer.name for peer in connector.parties.values()} | {
        body.did: body.name for body in settings.access_bodies
    }
    return known | {settings.did: settings.name}


def is_ours(connector: Connector, permit: Permit) -> bool:
    """Whether this site issued the permit."""
    return permit.issuer == connector.settings.did


def derived_policy(connector: Connector, permit: Permit, epsilon: float) -> Policy:
    """The policy (L4) that follows from a permit; its tools are pinned to the files two people approved.

    Raises :class:`PluginError` for a tool that may not run, :class:`NotFoundError` for a dataset that is not here.
    """
    names = [connector.datasets.version(name).name for name in permit.content.data.datasets]
    digests = tuple(connector.plugins.require(name).digest for name in permit.content.tools)
    return permit_policy(
        permit,
        connector.vocabulary,
        site=connector.settings.did,
        datasets={name: connector.log.iri("dataset", name) for name in names},
        base=connector.log.origin,
        terms=Terms(epsilon, connector.settings.minimum_parties, digests),
    )


def policy_of(connector: Connector, permit: Permit, text: str, epsilon: float) -> Policy:
    """The policy written for a permit or, where none was, the one that follows from it."""
    if not text.strip():
        return derived_policy(connector, permit, epsilon)
    return parse_policy(text, connector.vocabulary, file="permit", base=connector.log.origin)


def signing_bytes(permit: Permit, policy: Policy, *, epsilon: float, delta: float, total: float) -> bytes:
    """What a data protection officer signs to grant a permit."""
    return canonical_json(
        {
            "grant permit": permit.id,
            "content": permit.digest,
            "policy": policy_digest(policy),
            "budget": {"epsilon": epsilon, "delta": delta, "total": total},
        }
    )


def grant(
    connector: Connector, permit: Permit, policy: Policy, *, epsilon: float, delta: float, total: float, by: Agent
) -> Permit:
    """Put a permit in force: its state, its policy, its privacy budget and its signature, together or not at all."""

    def keep(connection: Connection) -> Permit:
        granted = connector.permits.decide_within(connection, permit.id, "grant", by=by)
        connector.policies.add_agreement(connection, policy, permit.id)
        for dataset in permit.content.data.datasets:
            _open_budgets(connector, connection, dataset, permit, epsilon, delta, total, by)
        return sign(connector, connection, granted)

    return connector.database.write(keep)


def sign(connector: Connector, connection: Connection, permit: Permit) -> Permit:
    """Put this site's signature under a permit it issued; one of another body carries that body's already."""
    if not is_ours(connector, permit):
        return permit
    document = sign_permit(
        permit,
        origin=connector.log.origin,
        issuer=connector.settings.did,
        signer=connector.signer,
        at=connector.clock.now(),
    )
    return connector.permits.keep_credential(connection, permit.id, document)


def verified_permit(connector: Connector, document: Mapping[str, Any]) -> VerifiedPermit:
    """A permit of another body, checked as of now; see :func:`synthema.permits.read_permit` for what refuses it."""
    return read_permit(
        document,
        bodies=[body.did for body in connector.settings.access_bodies],
        site=connector.settings.did,
        vocabulary=connector.vocabulary,
        resolver=connector.resolver,
        at=connector.clock.now(),
        status=connector.trust.status_list,
    )


def follow_issuers(connector: Connector) -> list[Permit]:
    """Bring the permits of other bodies to the state their issuers published; returns those that changed.

    An issuer that does not answer changes nothing now and is asked again.
    """
    changed = []
    for permit in connector.permits.permits():
        if permit.credential is None or is_ours(connector, permit):
            continue
        if permit.state not in (PermitState.ISSUED, PermitState.SUSPENDED):
            continue
        event = _published_event(connector, permit)
        if event is not None:
            changed.append(end(connector, permit.id, event[0], event[1]))
    return changed


def end(
    connector: Connector,
    permit_id: str,
    event: Literal["suspend", "resume", "revoke"],
    reason: str | None,
    by: Agent | None = None,
) -> Permit:
    """Suspend, resume or revoke a permit; with a revocation its policy goes out of force in the same transaction."""
    connector.permits.expire_due()

    def work(connection: Connection) -> Permit:
        permit = connector.permits.decide_within(connection, permit_id, event, reason=reason, by=by)
        if event == "revoke":
            connector.policies.end_agreement(connection, permit_id)
        return permit

    return connector.database.write(work)


def published_status(connector: Connector, name: str) -> dict[str, Any]:
    """A status list this connector publishes, of permits or of certificates; raises :class:`NotFoundError`."""
    if name not in STATUS_LISTS:
        return connector.trust.status.credential(name)
    return status_list(
        connector.permits.permits(),
        name,
        origin=connector.log.origin,
        issuer=connector.settings.did,
        signer=connector.signer,
        at=connector.clock.now(),
    )


def published_results(connector: Connector) -> dict[str, Sequence[str]]:
    """By permit, the public references shown for the duty to publish results (EHDS Art. 58, 61(4))."""
    found: dict[str, list[str]] = {}
    for task in connector.obligations.tasks():
        done = task.state in (TaskState.FULFILLED, TaskState.SETTLED)
        if task.basis is not None and task.action == PUBLISH_RESULTS and done:
            found.setdefault(task.basis, []).extend(item.value for item in task.evidence)
    return {basis: tuple(dict.fromkeys(values)) for basis, values in found.items()}


def _published_event(
    connector: Connector, permit: Permit
) -> tuple[Literal["suspend", "resume", "revoke"], str | None] | None:
    """What the issuer's status lists ask for, against the state the permit has here."""
    try:
        verify(permit.credential or {}, connector.resolver, connector.clock.now(), connector.trust.status_list)
    except IntegrityError as error:
        if "it was revoked" in error.message:
            return "revoke", "its issuer revoked it"
        # Anything else that is wrong with it may be mended: it stops counting until then, and is not lost.
        return ("suspend", f"{_ISSUER}: {error.message}"[:500]) if permit.state is PermitState.ISSUED else None
    except PeerError:
        return None
    theirs = permit.state is PermitState.SUSPENDED and (permit.reason or "").startswith(_ISSUER)
    return ("resume", None) if theirs else None


def _open_budgets(
    connector: Connector,
    connection: Connection,
    dataset: str,
    permit: Permit,
    epsilon: float,
    delta: float,
    total: float,
    by: Agent,
) -> None:
    try:
        connector.budget.account_for(connection, dataset, None, EVERYONE)
    except DeniedError:
        connector.budget.open_account_within(connection, dataset, EVERYONE, total, delta, by=by)
    holder = permit.content.holder
    connector.budget.open_account_within(connection, dataset, holder, epsilon, delta, basis=permit.id, by=by)


def hexadecimal(text: str) -> bytes:
    """A signature from its hexadecimal digits; raises :class:`InputError`."""
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise InputError("signature is not hexadecimal", fix="give the bytes as hexadecimal digits") from error

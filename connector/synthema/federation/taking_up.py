"""How a coordinator that was killed gets back to where it was, from what it had written down."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection

from synthema.canonical import digest_bytes
from synthema.errors import IntegrityError
from synthema.federation import going_on, store
from synthema.federation.live import LiveStudy
from synthema.federation.messages import Message, Parcel
from synthema.federation.model import StudyState, state_from_json


def kept_vector(folder: Path, study_id: str, round_id: str, site: str) -> Path:
    """Where a coordinator keeps the masked vector a site sent in a round (a .npy file)."""
    return folder / study_id / round_id / f"{quote(site, safe='')}.npy"


def take_up(connection: Connection, live: LiveStudy, folder: Path | None) -> None:
    """Bring a study, and the round that was open, back into memory.

    Raises :class:`IntegrityError` or :class:`OSError` where a vector that had come in is not there any more.
    """
    plan = live.plan
    said, heard = going_on.said_in(connection, plan.id), going_on.heard_in(connection, plan.id)
    current, known = going_on.open_round(connection, plan.id), going_on.progress_of(connection, plan.id)
    live.started = store.study(connection, plan.id).state is StudyState.RUNNING
    refusals = {message.sender: str(message.body.get("reason", "")) for message in heard if message.kind == "refusal"}
    live.take_up(store.accepted_by(connection, plan.id), refusals, said)
    if current is not None and known is not None:
        parcels = [_parcel(message, folder) for message in heard if message.round_id == current.round_id]
        length = state_from_json(known.state).length
        live.take_up_round(current.number, current.round_id, length, said, parcels)


def _parcel(message: Message, folder: Path | None) -> Parcel:
    """A message of a site with its vector, as they came."""
    if message.attachment is None:
        return Parcel(message)
    if folder is None:
        raise IntegrityError("the masked vectors were not kept", fix="give the coordinator a folder; start anew")
    data = kept_vector(folder, message.study, message.round_id or "", message.sender).read_bytes()
    if digest_bytes(data) != message.attachment:
        raise IntegrityError("a masked vector is not the one that came in", fix="look for what changed it; start anew")
    return Parcel(message, data)

"""A new key for the connector's log: made, named in the log, taken into use, and told to every partner (ADR 0023)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synthema.assembly.setup import PASSPHRASE
from synthema.identity import FileSigner, read_passphrase_file
from synthema.identity.keys import successor_of
from synthema.provenance import Agent, Handover, ProvenanceLog, hand_over
from synthema.provenance.keyring import KEY_ID

if TYPE_CHECKING:
    from synthema.assembly.connector import Connector


def rotate_log_key(connector: Connector, reason: str) -> Handover:
    """Let a new key sign the log from now on; the private half of the old one is destroyed.

    ``reason`` stands in the log. Partners that answer cosign the first head of the new key at once; others learn of
    it with the next head they are shown. Raises :class:`InputError` without a reason.
    """
    passphrase = read_passphrase_file(connector.settings.home / PASSPHRASE)
    connector.signer.prepare_successor(KEY_ID, passphrase)
    organisation = Agent(connector.settings.did, "Organization")
    handover = hand_over(connector.log, reason, (organisation,), connector.clock.now())
    connector.signer.adopt_successor(KEY_ID)
    connector.housekeeping.witness_quietly()
    return handover


def finish_rotation(signer: FileSigner, log: ProvenanceLog) -> None:
    """Take the new key into use where a crash came between its entry in the log and its file."""
    staged = successor_of(KEY_ID)
    if staged in signer.key_ids() and signer.public_key(staged) == log.key.public_key:
        signer.adopt_successor(KEY_ID)

"""The last scene: a byte flipped in the dataset, and a byte flipped in a log entry, are each caught."""

from __future__ import annotations

import base64
import shutil
import sqlite3
from pathlib import Path

from synthema.assembly.setup import KEYS, PASSPHRASE
from synthema.clock import SystemClock
from synthema.demo.house import House
from synthema.demo.tale import Tale
from synthema.errors import IntegrityError
from synthema.identity import FileSigner, read_passphrase_file
from synthema.provenance import ProvenanceLog
from synthema.report import Table
from synthema.storage import open_database


def tampering(tale: Tale, registry: House, hospital: House, package: bytes, scratch: Path) -> None:
    """Flip one byte in each of the two, and let the ordinary checks find it."""
    items = tale.chapter(
        "Nobody can change what happened",
        "One byte of the dataset inside the package, and one byte of a hospital's log entry (in a copy), are changed.",
    )
    changed = _flip(package, package.index(b"PAR1") + 40)
    receipt = registry.call(
        "registry/ingest",
        {"package": base64.b64encode(changed).decode(), "purpose": "ehds:HealthcareScientificResearch"},
    )
    failed = [line for line in receipt["lines"] if "FAIL" in line]
    tale.claim("a byte flipped in the dataset: the registry refuses it", not receipt["accepted"])
    for line in failed[:3]:
        tale.say(line)
    caught = _flip_log_entry(hospital, scratch)
    tale.claim(f"a byte flipped in a log entry: {caught}", "entry" in caught)
    items.append(Table("What was caught", ("change", "found by"), (
        ("one byte of the dataset", "; ".join(failed)[:300]), ("one byte of a log entry", caught))))  # fmt: skip
    tale.close_chapter()


def _flip(content: bytes, position: int) -> bytes:
    changed = bytearray(content)
    changed[position] ^= 1
    return bytes(changed)


def _flip_log_entry(hospital: House, scratch: Path) -> str:
    """Copy a hospital's state, change one byte of an entry in the copy, and verify the copy's log."""
    home = hospital.running.settings.home
    copy = scratch / "copy-of-a-hospital"
    copy.mkdir(parents=True)
    shutil.copytree(home / KEYS, copy / KEYS)
    source = sqlite3.connect(home / "state.sqlite")
    target = sqlite3.connect(copy / "state.sqlite")
    source.backup(target)
    source.close()
    body = target.execute("SELECT body FROM log_entries WHERE sequence = 3").fetchone()[0]
    target.execute("UPDATE log_entries SET body = ? WHERE sequence = 3", (_flip(body, len(body) // 2),))
    target.commit()
    target.close()
    signer = FileSigner.open(copy / KEYS, read_passphrase_file(home / PASSPHRASE))
    database = open_database(copy / "state.sqlite")
    try:
        ProvenanceLog(database, signer, hospital.running.settings.public_url, SystemClock()).verify()
    except IntegrityError as error:
        return error.message
    finally:
        database.close()
        shutil.rmtree(copy)
    return "not caught"

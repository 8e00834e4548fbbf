"""The bag inside a package: BagIt 1.0 (RFC 8493) with sha-512 manifests, as the Five Safes RO-Crate profile asks.

The payload lies under ``data/``; four tag files beside it say what must be there, and they too are written in one way.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from synthema.certification.container import refuse

PAYLOAD: Final = "data/"
DECLARATION: Final = "bagit.txt"
INFO: Final = "bag-info.txt"
MANIFEST: Final = "manifest-sha512.txt"
TAG_MANIFEST: Final = "tagmanifest-sha512.txt"
TAG_FILES: Final = (DECLARATION, INFO, MANIFEST, TAG_MANIFEST)
MAX_TAG_BYTES: Final = 2 * 1024 * 1024
DECLARED: Final = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"

_LINE: Final = re.compile(r"([0-9a-f]{128})  ([A-Za-z0-9._/-]+)")


def bag_info(certificate: str, issuer: str, issued: datetime, sizes: Mapping[str, int]) -> bytes:
    """``bag-info.txt``: a name for the bag that follows from the certificate's, and what the payload adds up to.

    ``sizes`` are the payload files with their bytes.
    """
    lines = (
        f"Bagging-Date: {issued:%Y-%m-%d}",
        f"External-Identifier: {uuid.uuid5(uuid.NAMESPACE_URL, certificate).urn}",
        f"Payload-Oxum: {sum(sizes.values())}.{len(sizes)}",
        f"Source-Organization: {issuer}",
    )
    return "".join(f"{line}\n" for line in lines).encode()


def manifest(sums: Mapping[str, str]) -> bytes:
    """A manifest of these files (name → sha-512, hexadecimal), sorted by name."""
    return "".join(f"{value}  {name}\n" for name, value in sorted(sums.items())).encode()


def bag_files(payload: Mapping[str, bytes], info: bytes) -> dict[str, bytes]:
    """All files of the bag: the four tag files, then the payload under ``data/``."""
    files = {PAYLOAD + name: content for name, content in payload.items()}
    tags = {DECLARATION: DECLARED, INFO: info, MANIFEST: manifest({n: _sha512(c) for n, c in files.items()})}
    tags[TAG_MANIFEST] = manifest({name: _sha512(content) for name, content in tags.items()})
    return {**tags, **files}


def read_manifests(names: frozenset[str], read: Callable[[str], bytes]) -> dict[str, str]:
    """Payload file → sha-512 it must have; raises :class:`InputError` unless bag and manifests are complete.

    ``names`` are all files of the bag, ``read`` gives the bytes of a tag file. The tag files are
    checked against their own manifest here; the payload is left to be read by the caller.
    """
    missing = [name for name in TAG_FILES if name not in names]
    if missing:
        refuse(f"it is no bag: {missing[0]} is missing")
    if any(not name.startswith(PAYLOAD) and name not in TAG_FILES for name in names):
        refuse("beside its payload it holds a file that does not belong there")
    tags = {name: read(name) for name in TAG_FILES}
    if tags[DECLARATION] != DECLARED:
        refuse(f"{DECLARATION} does not say BagIt 1.0 in UTF-8")
    expected = _read(tags[TAG_MANIFEST], TAG_MANIFEST)
    if expected != {name: _sha512(tags[name]) for name in TAG_FILES[:-1]}:
        refuse("its tag files are not those that their manifest names")
    payload = _read(tags[MANIFEST], MANIFEST)
    present = {name for name in names if name.startswith(PAYLOAD)}
    if set(payload) - present:
        refuse("a file that its manifest names is missing")
    if present - set(payload):
        refuse("it holds a file that its manifest does not name")
    return payload


def _read(content: bytes, name: str) -> dict[str, str]:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        refuse(f"{name} is not written in UTF-8")
    found = [_LINE.fullmatch(line) for line in text.removesuffix("\n").split("\n")]
    sums = {match[2]: match[1] for match in found if match is not None}
    if manifest(sums) != content:
        refuse(f"{name} is not a sorted list of sha-512 digests and names")
    return sums


def _sha512(content: bytes) -> str:
    return hashlib.sha512(content).hexdigest()

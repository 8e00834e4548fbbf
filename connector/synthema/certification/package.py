"""The package that travels to a registry: one zip file that can be written in only one way.

    dataset.csv | dataset.parquet   the synthetic rows
    codebook.json                   what each variable means
    certificate.json                the signed certificate, in canonical JSON
    evidence/01.json …              the sites' evidence, in the certificate's order
    README.txt                      the same in plain words, bound by digest in the certificate

Entries are stored, not compressed: nothing can swell while it is read, and the same
content always gives the same bytes.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from synthema.canonical import canonical_json, digest_bytes, parse_json_strictly
from synthema.certification.model import Certificate, read_document
from synthema.errors import InputError

CERTIFICATE: Final = "certificate.json"
README: Final = "README.txt"
MAX_PACKAGE_BYTES: Final = 512 * 1024 * 1024
MAX_ENTRIES: Final = 100
MEDIA_TYPE: Final = "application/zip"

_NAMES: Final = re.compile(
    r"certificate\.json|codebook\.json|README\.txt|dataset\.(?:csv|parquet)|evidence/[0-9]{2}\.json"
)
_MIDNIGHT_1980: Final = 0x00210000
_MADE_ON_UNIX: Final = 3 << 8 | 20
_REGULAR_FILE: Final = 0o100644 << 16
_DAMAGE: Final = (zipfile.BadZipFile, EOFError, NotImplementedError, OSError, RuntimeError, ValueError, OverflowError)


@dataclass(frozen=True, slots=True)
class Package:
    """A package taken apart: entry name → bytes, in the order of the file. Nothing in it is verified yet."""

    data: bytes
    entries: Mapping[str, bytes]

    def certificate(self) -> Any:
        """The certificate as JSON; raises :class:`InputError` when it is missing or not strict JSON."""
        if CERTIFICATE not in self.entries:
            raise InputError("the package holds no certificate", fix="ask the issuer for the whole package")
        return parse_json_strictly(self.entries[CERTIFICATE])


def write_package(certificate: Mapping[str, Any], files: Mapping[str, bytes], readme: str) -> bytes:
    """The package of an issued certificate, the files it names, and its text in plain words.

    Raises :class:`InputError` when a file is missing, superfluous or another
    than the one that was certified: nobody should send a package that must fail.
    """
    document = read_document(Certificate, certificate)
    expected = {file.name: file.digest for file in document.credential_subject.files}
    found = {name: digest_bytes(content) for name, content in files.items()}
    if found != expected or digest_bytes(readme.encode()) != document.readme:
        raise InputError("the files are not those that were certified", fix=f"give exactly: {sorted(expected)}")
    entries = {
        **{file.name: files[file.name] for file in document.credential_subject.files},
        CERTIFICATE: canonical_json(certificate),
        **evidence_entries(document),
        README: readme.encode(),
    }
    return _zip(entries)


def evidence_entries(certificate: Certificate) -> dict[str, bytes]:
    """The evidence files of a certificate: name → canonical JSON."""
    return {
        f"evidence/{number:02d}.json": canonical_json(evidence.credential)
        for number, evidence in enumerate(certificate.credential_subject.evidence, start=1)
    }


def _zip(entries: Mapping[str, bytes]) -> bytes:
    """A zip file of stored entries (APPNOTE 6.3.3), written here so that no library's version changes a byte."""
    body, directory = bytearray(), bytearray()
    for name, content in entries.items():
        common = struct.pack(
            "<HHHIIIIHH", 20, 0, 0, _MIDNIGHT_1980, zlib.crc32(content), len(content), len(content), len(name), 0
        )
        directory += b"PK\x01\x02" + struct.pack("<H", _MADE_ON_UNIX) + common
        directory += struct.pack("<HHHII", 0, 0, 0, _REGULAR_FILE, len(body)) + name.encode()
        body += b"PK\x03\x04" + common + name.encode() + content
    end = struct.pack("<HHHHIIH", 0, 0, len(entries), len(entries), len(directory), len(body), 0)
    return bytes(body + directory + b"PK\x05\x06" + end)


def read_package(data: bytes, *, max_bytes: int = MAX_PACKAGE_BYTES) -> Package:
    """Take a package apart; raises :class:`InputError` on anything but a plain zip file with the known names.

    A damaged entry is handed over as it is, so that the check of digests can
    name the file; :func:`is_exact` tells whether the zip file around it is whole.
    """
    if len(data) > max_bytes:
        raise InputError(f"the package has {len(data)} bytes", fix=f"send at most {max_bytes} bytes")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = _entries(archive, len(data))
    except _DAMAGE as error:
        raise _unreadable(str(error) or type(error).__name__) from error
    return Package(data, entries)


def is_exact(package: Package) -> bool:
    """Whether the zip file is byte for byte the one form its entries have."""
    return _zip(package.entries) == package.data


def _entries(archive: zipfile.ZipFile, size: int) -> dict[str, bytes]:
    infos = archive.infolist()
    if not 1 <= len(infos) <= MAX_ENTRIES:
        raise _unreadable(f"it holds {len(infos)} files")
    entries: dict[str, bytes] = {}
    for info in infos:
        if not _NAMES.fullmatch(info.filename) or info.filename in entries:
            raise _unreadable("it holds a file that does not belong into a package, or one twice")
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & ~0x800 or info.file_size != info.compress_size:
            raise _unreadable("an entry is compressed or encrypted")
        if info.file_size > size:
            raise _unreadable("an entry claims to be larger than the package")
        # The checksum of the zip format is not what we rely on: a wrong digest names the file, a wrong CRC would not.
        info.CRC = None  # type: ignore[assignment]
        entries[info.filename] = archive.read(info)
    return entries


def _unreadable(reason: str) -> InputError:
    return InputError(f"the package cannot be read: {reason}", fix="ask the issuer for the package again")

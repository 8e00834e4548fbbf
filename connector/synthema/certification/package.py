"""The package that travels to a registry: a Five Safes RO-Crate in a bag in one zip file.

    synthetic-dataset/
      bagit.txt  bag-info.txt  manifest-sha512.txt  tagmanifest-sha512.txt
      data/
        certificate.json         the signed certificate, in canonical JSON
        README.txt               the same in plain words
        ro-crate-metadata.json   what is in it, how it was made, who checked it
        healthdcat-ap.jsonld     its record for catalogues
        dataset.csv | .parquet   the synthetic rows
        codebook.json            what each variable means
        workflow/                the study plan that every site agreed to
        evidence/001.json …      the sites' evidence, in the certificate's order
        proofs/….tlog-proof      the log entries behind it all, each provable by itself

The certificate names the digest of every file but its own; the manifests name that too.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final, Self

from synthema.canonical import MAX_JSON_BYTES, canonical_json, digest_bytes, parse_json_strictly
from synthema.certification import bag
from synthema.certification.container import MAX_BYTES, TOP, Place, Sums, blocks, read_container, sums, write_container
from synthema.certification.document import read_document
from synthema.certification.model import CERTIFICATE_FILE, Certificate
from synthema.errors import InputError, NotFoundError

MEDIA_TYPE: Final = "application/zip"


def write_package(certificate: Mapping[str, Any], files: Mapping[str, bytes]) -> bytes:
    """The package of an issued certificate and of all files it names.

    Raises :class:`InputError` when a file is missing, superfluous or another
    than the one that was certified: nobody should send a package that must fail.
    """
    document = read_document(Certificate, certificate)
    content = document.credential_subject
    expected = {file.name: file.digest for file in content.files}
    found = {name: digest_bytes(value) for name, value in files.items()}
    if found != expected:
        wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        raise InputError(
            f"the files are not those that were certified: {', '.join(wrong)}", fix="give exactly the certified files"
        )
    payload = {CERTIFICATE_FILE: canonical_json(certificate)} | {file.name: files[file.name] for file in content.files}
    info = expected_info(document, {name: len(value) for name, value in payload.items()})
    return write_container(bag.bag_files(payload, info))


def expected_info(certificate: Certificate, sizes: Mapping[str, int]) -> bytes:
    """``bag-info.txt`` as it must be for this certificate and payload (name → bytes)."""
    return bag.bag_info(certificate.id, certificate.issuer, certificate.valid_from, sizes)


class Package:
    """A package taken apart, read from where it lies. Container and bag are sound; no file in it is verified yet.

    ``expected`` holds the sha-512 that the manifest gives each payload file.
    """

    def __init__(self, stream: BinaryIO, places: Mapping[str, Place], expected: Mapping[str, str]) -> None:
        self._stream = stream
        self._places = places
        self.expected = {name.removeprefix(bag.PAYLOAD): value for name, value in expected.items()}

    @classmethod
    def open(cls, source: bytes | Path, *, max_bytes: int = MAX_BYTES) -> Self:
        """Take a package apart; raises :class:`InputError` on anything but a complete bag in its one form."""
        stream: BinaryIO = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
        try:
            places = read_container(stream, max_bytes=max_bytes)

            def read(name: str) -> bytes:
                return _read(stream, places[name], bag.MAX_TAG_BYTES)

            expected = bag.read_manifests(frozenset(places), read)
        except BaseException:
            stream.close()
            raise
        return cls(stream, places, expected)

    @property
    def names(self) -> tuple[str, ...]:
        """The payload files, in the order in which they lie."""
        return tuple(name.removeprefix(bag.PAYLOAD) for name in self._places if name.startswith(bag.PAYLOAD))

    def size(self, name: str) -> int:
        """The bytes of a payload file."""
        return self._place(name).size

    def read(self, name: str, max_bytes: int = MAX_JSON_BYTES) -> bytes:
        """The content of a payload file of bounded size."""
        return _read(self._stream, self._place(name), max_bytes)

    def sums(self, name: str) -> Sums:
        """Digests of a payload file, read in blocks."""
        return sums(self._stream, self._place(name))

    def is_whole(self) -> bool:
        """Whether the checksums in the zip file fit all files of the bag, so that any unpacker accepts them."""
        return all(sums(self._stream, place).crc == place.crc for place in self._places.values())

    def tag(self, name: str) -> bytes:
        """The content of a tag file."""
        return _read(self._stream, self._places[name], bag.MAX_TAG_BYTES)

    def copy(self, name: str, target: Path) -> None:
        """Write a payload file to a path of the caller's choice, in blocks; never over an existing file."""
        with target.open("xb") as stream:
            for block in blocks(self._stream, self._place(name)):
                stream.write(block)

    def certificate(self) -> Any:
        """The certificate as JSON; raises :class:`InputError` when it is missing or not strict JSON."""
        if CERTIFICATE_FILE not in self.names:
            raise InputError("the package holds no certificate", fix="ask the issuer for the whole package")
        return parse_json_strictly(self.read(CERTIFICATE_FILE))

    def close(self) -> None:
        """Let go of the file."""
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _place(self, name: str) -> Place:
        try:
            return self._places[bag.PAYLOAD + name]
        except KeyError:
            raise NotFoundError(f"the package holds no {name}", fix="ask the issuer for the whole package") from None


def _read(stream: BinaryIO, place: Place, max_bytes: int) -> bytes:
    if place.size > max_bytes:
        raise InputError(
            f"{place.name.removeprefix(TOP)} has {place.size} bytes", fix=f"at most {max_bytes} bytes are read"
        )
    return b"".join(blocks(stream, place))


def payload_of(source: bytes) -> dict[str, bytes]:
    """All payload files of a package in memory, for those who make another package of them; nothing is verified."""
    with Package.open(source) as package:
        return {name: package.read(name, MAX_BYTES) for name in package.names}

"""The zip file around a package: written in one way only, and read without trusting a byte of it.

Files are stored, not compressed, one after another, with nothing between, before or behind them
(APPNOTE 6.3.3; EPUB OCF 3.2, zip container). So nothing can swell while it is read, the same content always
gives the same bytes, and a reader knows the place of every file before it reads one. All limits hold before memory is
taken: the directory is bounded, files are read in blocks, and nothing is ever unpacked to a path from the package.
"""

from __future__ import annotations

import hashlib
import io
import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Final, NoReturn

from synthema.errors import InputError

TOP: Final = "synthetic-dataset/"
"""The one folder that a package holds."""

MAX_BYTES: Final = 512 * 1024 * 1024
MAX_FILES: Final = 4096
MAX_DIRECTORY: Final = 1024 * 1024
MAX_NAME: Final = 160
MAX_PART: Final = 80
BLOCK: Final = 1024 * 1024

_END: Final = struct.Struct("<4sHHHHIIH")
_LOCAL: Final = struct.Struct("<4sHHHIIIIHH")
_CENTRAL: Final = struct.Struct("<4sHHHHIIIIHHHHHII")
_MIDNIGHT_1980: Final = 0x00210000
_MADE_ON_UNIX: Final = 3 << 8 | 20
_REGULAR_FILE: Final = 0o100644 << 16
_TYPE_OF_FILE: Final = 0o170000 << 16
_LINK: Final = 0o120000 << 16

_ALPHABET: Final = re.compile(r"[A-Za-z0-9._/-]+")
_DEVICES: Final = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the bytes of one file lie in the package."""

    name: str
    offset: int
    size: int
    crc: int


@dataclass(frozen=True, slots=True)
class Sums:
    """What the bytes of one file add up to, taken in one pass."""

    sha256: str
    sha512: str
    crc: int
    size: int


def write_container(files: Mapping[str, bytes]) -> bytes:
    """A zip file of these files (name below the top folder → bytes), in the order given.

    Raises :class:`InputError` for a name or a size that the reader would refuse.
    """
    names = [TOP + name for name in files]
    check_names(names)
    body, directory = bytearray(), bytearray()
    for name, content in zip(names, files.values(), strict=True):
        place = Place(name, len(body), len(content), zlib.crc32(content))
        directory += _central(place)
        body += _local(place) + content
    end = _END.pack(b"PK\x05\x06", 0, 0, len(files), len(files), len(directory), len(body), 0)
    data = bytes(body + directory + end)
    if len(data) > MAX_BYTES or len(files) > MAX_FILES:
        raise InputError(f"the package would have {len(data)} bytes", fix=f"make one of at most {MAX_BYTES} bytes")
    return data


def read_container(stream: BinaryIO, *, max_bytes: int = MAX_BYTES) -> dict[str, Place]:
    """The places of all files in a package, by name below the top folder; raises :class:`InputError`.

    ``offset`` is that of the first byte of content. Every header is compared with the one that
    :func:`write_container` writes; only contents and their checksums are left to be checked.
    """
    size = stream.seek(0, io.SEEK_END)
    if size > max_bytes:
        raise InputError(f"the package has {size} bytes", fix=f"send at most {max_bytes} bytes")
    count, length, start = _read_end(stream, size)
    stream.seek(start)
    found = list(_places(stream.read(length), count))
    check_names([place.name for place, _ in found])
    for place, fields in found:
        _check_fields(place, fields)
    placed: dict[str, Place] = {}
    offset = 0
    for place, _ in found:
        header = _local(place)
        stream.seek(offset)
        if place.offset != offset or stream.read(len(header)) != header:
            refuse("its files do not lie one after another as its directory says")
        offset += len(header)
        placed[place.name.removeprefix(TOP)] = Place(place.name.removeprefix(TOP), offset, place.size, place.crc)
        offset += place.size
    if offset != start:
        refuse("it holds bytes that belong to no file")
    return placed


def blocks(stream: BinaryIO, place: Place) -> Iterator[bytes]:
    """The content of one file in blocks of bounded size; raises :class:`InputError` when it ends too early."""
    stream.seek(place.offset)
    left = place.size
    while left:
        block = stream.read(min(BLOCK, left))
        if not block:
            refuse("it ends in the middle of a file")
        left -= len(block)
        yield block


def sums(stream: BinaryIO, place: Place) -> Sums:
    """Digests and checksum of one file, read once and in blocks."""
    short, long, crc = hashlib.sha256(), hashlib.sha512(), 0
    for block in blocks(stream, place):
        short.update(block)
        long.update(block)
        crc = zlib.crc32(block, crc)
    return Sums(f"sha256:{short.hexdigest()}", long.hexdigest(), crc, place.size)


def check_names(names: list[str]) -> None:
    """Refuse every name that could mean another place, another file to another reader, or none that can be seen."""
    known: dict[str, str] = {}
    for name in names:
        _check_name(name)
        folded = name.casefold()
        if folded in known:
            same = "twice" if known[folded] == name else "twice, told apart by capital letters only"
            refuse(f"it holds a file {same}")
        known[folded] = name
    folders = {part for name in known for part in _folders(name)}
    if folders & set(known):
        refuse("a file has the name of a folder")


def _folders(name: str) -> Iterator[str]:
    parts = name.split("/")
    for depth in range(1, len(parts)):
        yield "/".join(parts[:depth])


def _check_name(name: str) -> None:
    parts = name.split("/")
    if len(name) > MAX_NAME or any(len(part) > MAX_PART for part in parts):
        refuse("a name in it is too long")
    if name.startswith("/") or "\\" in name or re.match(r"[A-Za-z]:", name):
        refuse("a name in it is an absolute path, or one of another system")
    if ".." in parts:
        refuse("a name in it leads out of the package")
    if not _ALPHABET.fullmatch(name):
        refuse("a name in it holds characters other than letters, digits, dot, hyphen and underscore")
    if name.endswith("/"):
        refuse("it holds a folder as an entry of its own")
    if not name.startswith(TOP):
        refuse(f"it holds something outside its one folder '{TOP}'")
    if any(part in ("", ".") or part.endswith(".") for part in parts):
        refuse("a name in it is written in a form that systems change")
    if any(_DEVICES.fullmatch(part) for part in parts):
        refuse("a name in it is that of a device")


def _read_end(stream: BinaryIO, size: int) -> tuple[int, int, int]:
    """Number of files, length and start of the directory, from the last bytes of the file."""
    if size < _END.size:
        refuse("it is no zip file")
    stream.seek(size - _END.size)
    mark, disk, first, here, count, length, start, comment = _END.unpack(stream.read(_END.size))
    if mark != b"PK\x05\x06" or comment or disk or first or here != count:
        refuse("it is no zip file that ends with its directory")
    if count == 0xFFFF or length == 0xFFFFFFFF or start == 0xFFFFFFFF or count > MAX_FILES:
        refuse(f"it holds more than {MAX_FILES} files")
    if length > MAX_DIRECTORY:
        refuse("its directory is larger than the names in it could need")
    if not count:
        refuse("it holds no file")
    if start + length + _END.size != size:
        refuse("its directory does not lie between its files and its end")
    return count, length, start


def _places(directory: bytes, count: int) -> Iterator[tuple[Place, tuple[int, ...]]]:
    position = 0
    for _ in range(count):
        if len(directory) - position < _CENTRAL.size:
            refuse("its directory ends too early")
        mark, *fields = _CENTRAL.unpack_from(directory, position)
        made, needed, flags, method, time, crc, packed, size, name_length, extra, comment, *rest = fields
        disk, internal, external, offset = rest
        position += _CENTRAL.size
        raw = directory[position : position + name_length]
        position += name_length
        if mark != b"PK\x01\x02" or len(raw) != name_length or extra or comment:
            refuse("its directory holds more than names, sizes and checksums")
        checked = (made, needed, flags, method, time, packed, disk, internal, external)
        yield Place(_text(raw), offset, size, crc), checked
    if position != len(directory):
        refuse("its directory does not end with its last file")


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        refuse("a name in it is not written in UTF-8")


def _check_fields(place: Place, fields: tuple[int, ...]) -> None:
    made, needed, flags, method, time, packed, disk, internal, external = fields
    if flags & 1:
        refuse("a file in it is encrypted")
    if external & _TYPE_OF_FILE == _LINK:
        refuse("it holds a link instead of a file")
    if method or packed != place.size:
        refuse("a file in it is compressed, so its size could not be known before it is read")
    if external & _TYPE_OF_FILE not in (0, _REGULAR_FILE & _TYPE_OF_FILE):
        refuse("it holds something that is not a plain file")
    ours = (_MADE_ON_UNIX, 20, 0, _MIDNIGHT_1980, 0, 0, _REGULAR_FILE)
    if (made, needed, flags, time, disk, internal, external) != ours:
        refuse("it is not written in the one way that packages are written in")


def _common(place: Place) -> tuple[int, ...]:
    return (20, 0, 0, _MIDNIGHT_1980, place.crc, place.size, place.size, len(place.name), 0)


def _local(place: Place) -> bytes:
    return _LOCAL.pack(b"PK\x03\x04", *_common(place)) + place.name.encode()


def _central(place: Place) -> bytes:
    fields = (_MADE_ON_UNIX, *_common(place), 0, 0, 0, _REGULAR_FILE, place.offset)
    return _CENTRAL.pack(b"PK\x01\x02", *fields) + place.name.encode()


def refuse(reason: str) -> NoReturn:
    """Say why a package cannot be read; never shows a name from the package, which could hold anything."""
    raise InputError(
        f"the package cannot be read: {reason}", fix="do not open it; ask the issuer for the package again"
    )

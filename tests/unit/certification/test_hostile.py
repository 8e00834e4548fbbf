"""Packages made to do harm: each is refused with a sentence that says why, before anything is unpacked or believed."""

from __future__ import annotations

import hashlib
import io
import struct
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from synthema.certification import Package, bag, payload_of
from synthema.certification.container import MAX_DIRECTORY, MAX_FILES, TOP, check_names
from synthema.certification.container import write_container as honest
from synthema.errors import InputError
from tests.unit.certification.world import World, bagged

END = struct.Struct("<4sHHHHIIH")
CENTRAL = struct.Struct("<4sHHHHIIIIHHHHHII")


def zipped(names: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip file as a common tool writes it, with any names."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of names that come twice, and writes them
        with zipfile.ZipFile(buffer, "w", compression) as archive:
            for name, content in names.items():
                archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, compression)
    return buffer.getvalue()


def twice(first: str, second: str) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr(first, "a")
            archive.writestr(second, "b")
    return buffer.getvalue()


def link() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        entry = zipfile.ZipInfo(TOP + "data/dataset.csv")
        entry.create_system, entry.external_attr = 3, 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    return buffer.getvalue()


def device_file() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        entry = zipfile.ZipInfo(TOP + "data/dataset.csv")
        entry.create_system, entry.external_attr = 3, 0o020666 << 16
        archive.writestr(entry, "")
    return buffer.getvalue()


def encrypted() -> bytes:
    data = bytearray(zipped({TOP + "data/dataset.csv": b"x"}))
    place = data.index(b"PK\x01\x02")
    data[place + 8] |= 1
    return bytes(data)


def many_files(count: int) -> bytes:
    """A directory that announces a million files; no more than its end is ever read."""
    name = (TOP + "a").encode()
    entry = CENTRAL.pack(b"PK\x01\x02", 788, 20, 0, 0, 0x00210000, 0, 0, 0, len(name), 0, 0, 0, 0, 0x81A40000, 0)
    directory = (entry + name) * min(count, 70_000)
    shown = min(count, 0xFFFF)
    return directory + END.pack(b"PK\x05\x06", 0, 0, shown, shown, len(directory), 0, 0)


def million_files() -> bytes:
    """A real archive of a million empty files, as zip64 writes it (APPNOTE 6.3.10 §4.3.14)."""
    count, name = 1_000_000, (TOP + "a").encode()
    entry = CENTRAL.pack(b"PK\x01\x02", 788, 20, 0, 0, 0x00210000, 0, 0, 0, len(name), 0, 0, 0, 0, 0x81A40000, 0)
    directory = (entry + name) * count
    size = len(directory)
    whole = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, 0)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, size, 1)
    end = END.pack(b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, size, 0, 0)
    return directory + whole + locator + end


def huge_directory() -> bytes:
    directory = b"PK\x01\x02" + b"\x00" * (MAX_DIRECTORY + 1)
    return directory + END.pack(b"PK\x05\x06", 0, 0, 1, 1, len(directory), 0, 0)


def overlapping() -> bytes:
    """Two entries over the same bytes, as in a bomb without recursion (Fifield 2019)."""
    data = bytearray(honest({"a": b"same", "b": b"same"}))
    second = data.rindex(b"PK\x01\x02")
    data[second + 42 : second + 46] = struct.pack("<I", 0)
    return bytes(data)


def at(name: str) -> Callable[[bytes], bytes]:
    return lambda _package: zipped({name: b"x"})


def payload(**changes: bytes | None) -> Callable[[bytes], bytes]:
    """The sound package with payload files changed or left out, its manifests following; names with ``__`` for dots."""

    def change(package: bytes) -> bytes:
        files = payload_of(package) | {name.replace("__", "."): value for name, value in changes.items()}
        return bagged({name: value for name, value in files.items() if value is not None})

    return change


def tags(change: Callable[[dict[str, bytes]], object], *, seal: bool = True) -> Callable[[bytes], bytes]:
    """The sound package with its tag files changed; with ``seal`` their manifest follows."""

    def make(package: bytes) -> bytes:
        with zipfile.ZipFile(io.BytesIO(package)) as archive:
            files = {name.removeprefix(TOP): archive.read(name) for name in archive.namelist()}
        change(files)
        if seal and bag.TAG_MANIFEST in files:
            sums: dict[str, str] = {n: hashlib.sha512(files[n]).hexdigest() for n in bag.TAG_FILES[:-1] if n in files}
            files[bag.TAG_MANIFEST] = bag.manifest(sums)
        return honest(files)

    return make


def drop(name: str) -> Callable[[dict[str, bytes]], object]:
    return lambda files: files.pop(name)


def put(name: str, change: Callable[[bytes], bytes]) -> Callable[[dict[str, bytes]], object]:
    return lambda files: files.update({name: change(files.get(name, b""))})


def reordered(manifest: bytes) -> bytes:
    return b"".join(sorted(manifest.splitlines(keepends=True)))


@dataclass(frozen=True)
class Hostile:
    """One hostile package: what it is called, how it is made of a sound one, and the reason it is refused for."""

    what: str
    make: Callable[[bytes], bytes]
    reason: str


CONTAINERS = (
    Hostile("nothing", lambda _: b"", "no zip file"),
    Hostile("noise", lambda _: bytes(range(256)) * 40, "no zip file that ends with its directory"),
    Hostile("an empty archive", lambda _: END.pack(b"PK\x05\x06", 0, 0, 0, 0, 0, 0, 0), "holds no file"),
    Hostile("a zip bomb", lambda _: zipped({TOP + "a": bytes(20_000_000)}, zipfile.ZIP_DEFLATED), "compressed"),
    Hostile("a bomb of another method", lambda _: zipped({TOP + "a": bytes(9_000_000)}, zipfile.ZIP_BZIP2), "compress"),
    Hostile("a bomb of overlapping entries", lambda _: overlapping(), "do not lie one after another"),
    Hostile("a zip within the zip", payload(inner__zip=zipped({"a": b"x"})), "inner.zip does not belong here"),
    Hostile("a way out of the folder", at(TOP + "data/../../../etc/passwd"), "leads out of the package"),
    Hostile("a way out at the top", at("../evil"), "leads out of the package"),
    Hostile("an absolute path", at("/etc/passwd"), "absolute path"),
    Hostile("a drive of Windows", at("C:/windows/system32"), "absolute path"),
    Hostile("backslashes", at(TOP + "data\\..\\..\\evil"), "absolute path, or one of another system"),
    Hostile("a symbolic link", lambda _: link(), "a link instead of a file"),
    Hostile("a device file", lambda _: device_file(), "not a plain file"),
    Hostile("an encrypted file", lambda _: encrypted(), "encrypted"),
    Hostile("a name that comes twice", lambda _: twice(TOP + "a", TOP + "a"), "a file twice"),
    Hostile("names told apart by case", lambda _: twice(TOP + "Data", TOP + "data"), "by capital letters only"),
    Hostile("a file named as a folder", lambda _: twice(TOP + "a", TOP + "a/b"), "the name of a folder"),
    Hostile("a folder entry", at(TOP + "data/"), "a folder as an entry"),
    Hostile("two top folders", at("another/file.txt"), "outside its one folder"),
    Hostile("control characters in a name", at(TOP + "a\x07b"), "characters other than"),
    Hostile("a line break in a name", at(TOP + "a\nb"), "characters other than"),
    Hostile("a turned reading direction in a name", at(TOP + "txt.\u202efdp"), "characters other than"),
    Hostile("an unseen character in a name", at(TOP + "data\u200b.csv"), "characters other than"),
    Hostile("a letter that looks like another", at(TOP + "d\u0430ta.csv"), "characters other than"),
    Hostile("a device name of Windows", at(TOP + "CON"), "that of a device"),
    Hostile("a device name with an ending", at(TOP + "data/nul.csv"), "that of a device"),
    Hostile("a name that ends with a dot", at(TOP + "data."), "a form that systems change"),
    Hostile("an empty part of a name", at(TOP + "a//b"), "a form that systems change"),
    Hostile("a name of 70,000 letters", at(TOP + "a" * 60_000), "too long"),
    Hostile("a part of a name that is too long", at(TOP + "a" * 100), "too long"),
    Hostile("70,000 files", lambda _: many_files(70_000), f"more than {MAX_FILES} files"),
    Hostile("a million files", lambda _: many_files(1_000_000), f"more than {MAX_FILES} files"),
    Hostile("a million files in zip64", lambda _: million_files(), f"more than {MAX_FILES} files"),
    Hostile("a huge directory", lambda _: huge_directory(), "directory is larger"),
    Hostile("a comment at the end", lambda p: p + b"!", "no zip file that ends with its directory"),
    Hostile("a program before the zip", lambda p: b"MZ" + p, "does not lie between its files and its end"),
    Hostile("another writer's zip", lambda p: zipped({TOP + n: c for n, c in payload_of(p).items()}), "one way"),
    Hostile("a name in another encoding", lambda p: p.replace(b"dataset.csv", b"datase\xff.csv"), "UTF-8"),
)

INFO, MANIFEST, DECLARATION = bag.INFO, bag.MANIFEST, bag.DECLARATION
BAGS = (
    Hostile("a file that the manifest does not name", tags(put("data/extra.txt", lambda _: b"x")), "does not name"),
    Hostile("a file beside the payload", tags(put("run-me.sh", lambda _: b"x")), "does not belong there"),
    Hostile("a list of files to fetch", tags(put("fetch.txt", lambda _: b"http://x 1 data/a")), "does not belong"),
    Hostile("a weaker manifest beside it", tags(put("manifest-md5.txt", lambda _: b"")), "does not belong there"),
    Hostile(
        "a manifest with a path out", tags(put(MANIFEST, lambda c: b"0" * 128 + b"  ../x\n" + c)), "that its manifest"
    ),
    Hostile("a manifest in UTF-16", tags(put(MANIFEST, lambda c: c.decode().encode("utf-16"))), "written in UTF-8"),
    Hostile("a manifest without digests", tags(put(MANIFEST, lambda _: b"hello\n")), "not a sorted list"),
    Hostile("a manifest in another order", tags(put(MANIFEST, reordered)), "not a sorted list"),
    Hostile("line ends of Windows", tags(put(MANIFEST, lambda c: c.replace(b"\n", b"\r\n"))), "not a sorted list"),
    Hostile("a missing payload file", tags(drop("data/codebook.json")), "that its manifest names is missing"),
    Hostile("a changed tag file", tags(put(INFO, lambda c: c + b"X: y\n"), seal=False), "not those that their"),
    Hostile("a bag in Latin-1", tags(put(DECLARATION, lambda c: c.replace(b"UTF", b"ISO"))), "BagIt 1.0 in UTF-8"),
    Hostile("another name for the bag", tags(put(INFO, lambda c: c.replace(b"urn:uuid:", b"urn:xyz:"))), "not the one"),
    *(Hostile(f"no {name}", tags(drop(name)), f"{name} is missing") for name in bag.TAG_FILES),
)


@pytest.mark.parametrize("case", [*CONTAINERS, *BAGS], ids=lambda case: case.what)
def test_a_hostile_package_is_refused(world: World, package: bytes, case: Hostile) -> None:
    report = world.verify(case.make(package))
    assert not report.ok
    reasons = " ".join(result.reason for result in report.results if not result.ok)
    assert case.reason in reasons
    assert all(result.fix for result in report.results if not result.ok)
    assert "\x07" not in reasons
    assert "\u202e" not in reasons


ROWS = b"age,sex\n61,F\n70,M\n"

TABLES = (
    Hostile("a formula", lambda _: b"age,sex\n61,F\n70,=1+1\n", "begins like a formula"),
    Hostile("a command", lambda _: b"age,sex\n61,F\n70,@SUM(A1)\n", "begins like a formula"),
    Hostile("a formula behind a blank", lambda _: b'age,sex\n61,F\n70," +cmd|calc"\n', "begins like a formula"),
    Hostile("a formula in a number", lambda _: b"age,sex\n61,F\n-2+3,M\n", "begins like a formula"),
    Hostile("a turned reading direction", lambda _: "age,sex\n61,F\n70,\u202eM\n".encode(), "cannot be seen"),
    Hostile("a bell", lambda _: b"age,sex\n61,F\n70,M\x07\n", "cannot be seen"),
    Hostile("another encoding", lambda _: "age,sex\n61,F\n70,M\u00e4\n".encode("latin-1"), "not written in UTF-8"),
    Hostile("one endless line", lambda _: b"age,sex\n61,F\n70," + b"M" * 200_000 + b"\n", "a line is too long"),
    Hostile("more rows than certified", lambda _: ROWS + b"70,M\n" * 1000, "more than the 2 certified rows"),
    Hostile("fewer rows than certified", lambda _: b"age,sex\n61,F\n", "1 rows, 2 were certified"),
    Hostile("other columns", lambda _: b"sex,age\nF,61\nM,70\n", "columns are not those"),
    Hostile("more columns", lambda _: b"age,sex,name\n61,F,x\n70,M,y\n", "columns are not those"),
    Hostile("an unknown category", lambda _: b"age,sex\n61,F\n70,X\n", "none of the categories"),
    Hostile("a value out of bounds", lambda _: b"age,sex\n61,F\n700,M\n", "outside 18 to 110"),
    Hostile("half a year", lambda _: b"age,sex\n61.5,F\n70,M\n", "not a whole number"),
    Hostile("text for a number", lambda _: b"age,sex\nsixty,F\n70,M\n", "not a number"),
    Hostile("ragged rows", lambda _: b"age,sex\n61,F,1,2\n70\n", "table of comma-separated values"),
)


@pytest.mark.parametrize("case", TABLES, ids=lambda case: case.what)
def test_a_hostile_table_is_refused_although_its_issuer_signed_it(tmp_path: Path, case: Hostile) -> None:
    from synthema.certification.table import read_released_table
    from synthema.datasets.codebook import dictionary

    path = tmp_path / "dataset.csv"
    path.write_bytes(case.make(b""))
    with pytest.raises(InputError) as refused:
        read_released_table(path, 2, 2, dictionary("mgus").keep(("age", "sex")))
    assert case.reason in refused.value.message
    assert "SUM" not in refused.value.message


def test_a_parquet_file_that_announces_other_rows_is_not_read(tmp_path: Path) -> None:
    import polars as pl

    from synthema.certification.table import read_released_table
    from synthema.datasets.codebook import dictionary

    codebook = dictionary("mgus").keep(("age", "sex"))
    pl.DataFrame({"age": [60] * 1000, "sex": ["F"] * 1000}).write_parquet(tmp_path / "dataset.parquet")
    with pytest.raises(InputError, match="announces 1000 rows"):
        read_released_table(tmp_path / "dataset.parquet", 2, 2, codebook)
    pl.DataFrame({"age": [60, 61], "sex": ["=HYPERLINK()", "F"]}).write_parquet(tmp_path / "dataset.parquet")
    with pytest.raises(InputError, match="begins like a formula"):
        read_released_table(tmp_path / "dataset.parquet", 2, 2, codebook)
    (tmp_path / "dataset.parquet").write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(InputError, match="not a Parquet table"):
        read_released_table(tmp_path / "dataset.parquet", 2, 2, codebook)


def test_a_table_larger_than_memory_is_not_opened(tmp_path: Path) -> None:
    from synthema.certification.table import MAX_CELLS, read_released_table
    from synthema.datasets.codebook import dictionary

    with pytest.raises(InputError, match="more than are opened here"):
        read_released_table(tmp_path / "dataset.csv", MAX_CELLS, 2, dictionary("mgus").keep(("age", "sex")))


def test_memory_is_bounded_whatever_the_package_announces(tmp_path: Path) -> None:
    """A file of 300 MB that claims to hold a million entries costs no more than its last bytes."""
    path = tmp_path / "large.zip"
    with path.open("wb") as stream:
        stream.truncate(300 * 1024 * 1024)
        stream.seek(0, io.SEEK_END)
        stream.write(END.pack(b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0))
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="more than"):
            Package.open(path)
        assert tracemalloc.get_traced_memory()[1] < 2 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_a_large_file_is_digested_in_blocks(tmp_path: Path) -> None:
    content = bytes(40 * 1024 * 1024)
    path = tmp_path / "large.zip"
    path.write_bytes(honest(bag.bag_files({"dataset.csv": content}, b"")))
    expected = hashlib.sha512(content).hexdigest()
    del content
    tracemalloc.start()
    try:
        with Package.open(path) as package:
            assert package.sums("dataset.csv").sha512 == expected == package.expected["dataset.csv"]
        assert tracemalloc.get_traced_memory()[1] < 8 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_our_own_names_are_held_to_the_same_rule() -> None:
    with pytest.raises(InputError, match="leads out"):
        honest({"../x": b""})
    check_names([TOP + "data/evidence/001.json"])

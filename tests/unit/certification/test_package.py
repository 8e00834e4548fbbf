from __future__ import annotations

import io
import zipfile

import pytest

from synthema.certification import read_package, write_package
from synthema.certification.package import _zip, is_exact
from synthema.errors import InputError
from tests.unit.certification.world import CODEBOOK, ROWS, World

FILES = {"dataset.csv": ROWS, "codebook.json": CODEBOOK}


def test_the_same_content_gives_the_same_bytes(world: World) -> None:
    record = world.issue()
    assert world.package(record) == world.package(record)


def test_a_package_is_an_ordinary_zip_file(package: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [
            "dataset.csv",
            "codebook.json",
            "certificate.json",
            "evidence/01.json",
            "evidence/02.json",
            "evidence/03.json",
            "README.txt",
        ]
        assert archive.read("dataset.csv") == ROWS
        assert archive.infolist()[0].external_attr >> 16 == 0o100644


def test_what_is_read_is_what_was_written(package: bytes) -> None:
    read = read_package(package)
    assert is_exact(read)
    assert read.entries["dataset.csv"] == ROWS


def test_a_package_is_made_of_the_certified_files_only(world: World) -> None:
    record = world.issue()
    for files in ({"dataset.csv": ROWS}, FILES | {"dataset.csv": ROWS + b"1,F\n"}, FILES | {"more.csv": b"x"}):
        with pytest.raises(InputError, match="not those that were certified"):
            world.issuer.package(record.id, files)
    with pytest.raises(InputError, match="not those that were certified"):
        write_package(record.document, FILES, "another text")


def test_the_text_for_people_says_what_matters(world: World) -> None:
    text = world.issue().readme
    for words in (
        "These rows are synthetic. None of them describes a real person.",
        "epsilon 3, delta 1e-05",
        "Assumption: at most one site sides with the coordinator",
        "membershipAUC",
        "Article 88 EHDS",
        "before Chapter IV",
        "Prohibited:",
        "synthema certificate verify",
        "Rare combinations",
    ):
        assert words in " ".join(text.split())
    assert max(len(line) for line in text.splitlines()) <= 120


def test_hostile_text_cannot_steer_a_terminal(world: World) -> None:
    content = world.content().model_copy(update={"title": "x\x1b[2Jy"})
    assert "\x1b" not in world.issue(content).readme


def zipped(names: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in names.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x05\x06" + b"\x00" * 18,
        zipped({"../../etc/passwd": b"x"}),
        zipped({"/etc/passwd": b"x"}),
        zipped({"certificate.json\n": b"x"}),
        zipped({"evidence/1.json": b"x"}),
        zipped({"certificate.json": b"\x00" * 10_000_000}, zipfile.ZIP_DEFLATED),
        zipped({f"evidence/{number:02d}.json": b"x" for number in range(100)} | {"README.txt": b"x"}),
    ],
    ids=["empty", "no-entry", "climbing", "absolute", "line-break", "one-digit", "bomb", "too-many"],
)
def test_anything_else_is_not_a_package(data: bytes) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_package(data)


def test_a_name_that_comes_twice_is_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("README.txt", "a")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("README.txt", "b")
    with pytest.raises(InputError, match="twice"):
        read_package(buffer.getvalue())


def test_a_size_above_the_limit_is_refused(package: bytes) -> None:
    with pytest.raises(InputError, match="send at most 100 bytes"):
        read_package(package, max_bytes=100)


def test_bytes_around_the_entries_are_noticed(package: bytes) -> None:
    for odd in (b"MZ" + package, package + b"\x00", zipped(dict(read_package(package).entries))):
        try:
            assert not is_exact(read_package(odd))
        except InputError:
            continue


def test_an_empty_entry_survives_the_way() -> None:
    assert read_package(_zip({"README.txt": b"", "dataset.csv": b"x"})).entries["README.txt"] == b""

"""The exchange: what goes in comes out, and nothing else gets through."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from synthema.errors import InputError
from synthema.spi.exchange import Folder, decode, decode_arguments, encode, encode_arguments, signature
from synthema.spi.hookspecs import KINDS
from synthema.spi.model import Aggregate, Anonymised, Contribution, Evaluation, Generated, Metric, Plan, State, Table
from synthema.spi.simulated import simulated_codebook, simulated_table

CODEBOOK = simulated_codebook()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def there_and_back(value: Any, type_: Any, folder: Folder) -> Any:
    import json

    document = json.loads(json.dumps(encode(value, type_, folder), allow_nan=False))
    return decode(document, type_, folder)


@pytest.mark.parametrize(
    "value",
    [
        Plan(CODEBOOK, 0.5, 10, {"a": [1, 2.5, None, {"b": True}]}),
        State(1, 3, 0.1, 2.0, False, {"deep": {"list": [1, "x"]}}),
        Evaluation((Metric("m", 1.0, 5, 0.5, None, 0.1),), {"curve": [[0, 1.0]]}, ("a note",)),
        Evaluation((), {}),
    ],
)
def test_records_come_back_equal(value: Any, folder: Folder) -> None:
    assert there_and_back(value, type(value), folder) == value


def test_tables_and_arrays_come_back_equal(folder: Folder) -> None:
    table = simulated_table(50).with_columns(
        day=pl.lit(date(2026, 1, 1)), flag=pl.lit(None, pl.Boolean), kind=pl.lit("a").cast(pl.Categorical)
    )
    anonymised = Anonymised(table, CODEBOOK, 2, {"smallestClass": 5.0}, ("note",))
    back = there_and_back(anonymised, Anonymised, folder)
    assert_frame_equal(back.table, table.with_columns(pl.col("kind").cast(pl.String)))
    assert (back.codebook, back.stability, back.measures) == (CODEBOOK, 2, {"smallestClass": 5.0})
    assert there_and_back(Generated(table, None, 0.0), Generated, folder).epsilon is None
    vector = np.array([2**62, -1, 0], dtype=np.int64)
    assert np.array_equal(there_and_back(Contribution(vector), Contribution, folder).vector, vector)
    assert there_and_back(Aggregate(vector, 3, 1), Aggregate, folder).sigma == 1.0
    masked = {"did:web:a": np.array([2**64 - 1], dtype=np.uint64)}
    wanted = signature("secure_sum_open").arguments["masked"]
    assert there_and_back(masked, wanted, folder)["did:web:a"][0] == 2**64 - 1


def test_an_empty_table_keeps_its_columns(folder: Folder) -> None:
    assert there_and_back(simulated_table(5)[:0], Table, folder).columns == simulated_table(1).columns


@pytest.mark.parametrize("hook", [hook for hooks in KINDS.values() for hook in hooks])
def test_every_hook_has_types_that_the_exchange_knows(hook: str, folder: Folder) -> None:
    known = signature(hook)
    for type_ in (*known.arguments.values(), known.returns):
        with pytest.raises(InputError):  # a type it did not know would be another error, or none
            encode(object(), type_, folder)


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        (None, Evaluation),
        ({"metrics": []}, Evaluation),
        (Evaluation((Metric("m", float("nan"), 1),)), Evaluation),
        (Evaluation((Metric("m", 1.0, 1),), {"s": object()}), Evaluation),
        (Evaluation((Metric("m", 1.0, True),)), Evaluation),
        (Evaluation(("no metric",)), Evaluation),  # type: ignore[arg-type]
        (Contribution(np.array([1.0])), Contribution),
        (Contribution([1]), Contribution),  # type: ignore[arg-type]
        (Generated(pl.DataFrame({"x": [[1]]}), None, 0.0), Generated),
        (Generated(pl.DataFrame({"x": [datetime(2026, 1, 1, tzinfo=UTC)]}), None, 0.0), Generated),
        ("not a table", Table),
        ({1: "a"}, dict[str, str]),
    ],
)
def test_values_of_another_type_are_not_written(value: Any, type_: Any, folder: Folder) -> None:
    with pytest.raises(InputError):
        encode(value, type_, folder)


def test_nesting_has_an_end(folder: Folder) -> None:
    value: Any = 0
    for _ in range(60):
        value = [value]
    with pytest.raises(InputError, match="nested"):
        encode(value, Any, folder)


@pytest.mark.parametrize(
    "name", ["../1-0.npy", "/etc/passwd", "1-0.pkl", "1-0.arrow", "link-0.npy", "", None, 7, "1-0.npy\n", "9-9.npy"]
)
def test_names_that_we_did_not_give_are_refused(name: Any, folder: Folder) -> None:
    with pytest.raises(InputError):
        folder.read(name, "npy")


def test_links_pipes_and_large_files_are_refused(tmp_path: Path) -> None:
    folder = Folder(tmp_path, max_file_bytes=100)
    (tmp_path / "1-0.npy").symlink_to("/etc/hostname")
    os.mkfifo(tmp_path / "1-1.npy")
    (tmp_path / "1-2.npy").write_bytes(bytes(101))
    for name in ("1-0.npy", "1-1.npy", "1-2.npy"):
        with pytest.raises(InputError):
            folder.read(name, "npy")
    with pytest.raises(InputError):
        folder.write("npy", bytes(101))


def test_pickled_and_broken_files_are_refused(tmp_path: Path, folder: Folder) -> None:
    np.save(tmp_path / "1-0.npy", np.array([{"x": 1}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "1-1.npy", np.array([1.0]))
    (tmp_path / "1-2.npy").write_bytes(b"nothing")
    for name in ("1-0.npy", "1-1.npy", "1-2.npy"):
        with pytest.raises(InputError):
            decode({"vector": {"array": name}}, Contribution, folder)
    (tmp_path / "1-3.arrow").write_bytes(b"nothing")
    with pytest.raises(InputError, match="not an Arrow table"):
        decode({"table": "1-3.arrow", "rows": 1, "columns": []}, Table, folder)


def test_a_table_must_be_the_one_its_message_describes(folder: Folder) -> None:
    document = encode(simulated_table(3), Table, folder)
    with pytest.raises(InputError, match="not the table"):
        decode(document | {"rows": 4}, Table, folder)


@pytest.mark.parametrize("document", [None, [], {}, {"vector": 1}, {"vector": {"array": "1-0.npy"}, "more": 1}])
def test_documents_of_another_shape_are_refused(document: Any, folder: Folder) -> None:
    with pytest.raises(InputError):
        decode(document, Contribution, folder)


def test_arguments_must_be_exactly_the_hooks(folder: Folder) -> None:
    arguments = {"table": simulated_table(2), "codebook": CODEBOOK, "parameters": {"a": 1}}
    document = encode_arguments("analyse", arguments, folder)
    assert decode_arguments("analyse", document, folder)["parameters"] == {"a": 1}
    for wrong in ({}, {**arguments, "more": 1}):
        with pytest.raises(InputError, match="takes table, codebook, parameters"):
            encode_arguments("analyse", wrong, folder)
        with pytest.raises(InputError):
            decode_arguments("analyse", dict.fromkeys(wrong, 1), folder)
    with pytest.raises(InputError, match="no hook"):
        signature("analyze")


def test_written_files_are_removed(tmp_path: Path) -> None:
    folder = Folder(tmp_path, prefix=3, shared=True)
    encode(simulated_table(2), Table, folder)
    assert [path.name for path in tmp_path.iterdir()] == ["3-0.arrow"]
    assert (tmp_path / "3-0.arrow").stat().st_mode & 0o777 == 0o444
    folder.remove()
    assert not list(tmp_path.iterdir())

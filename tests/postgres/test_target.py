"""Rows of a certified dataset in a real PostgreSQL."""
# ruff: noqa: S608 - the names in these questions are the ones we just made

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from synthema.certification.loading import Loading
from synthema.certification.targets import PostgresSchema, Rows
from synthema.datasets.codebook import Codebook, Variable
from synthema.errors import InputError, StorageError
from tests.unit.certification.world import CANDIDATE, World

pytestmark = pytest.mark.postgres


def ask(connection: str, question: str) -> list[tuple[Any, ...]]:
    import psycopg

    with psycopg.connect(connection) as database:
        return database.execute(question).fetchall()


def change(connection: str, statement: str) -> None:
    import psycopg

    with psycopg.connect(connection) as database:
        database.execute(statement)


@pytest.fixture
def house(world: World, tmp_path: Path, postgres: str) -> Loading:
    registry = world.registry(tmp_path / "packages")
    party = world.parties["registry"]
    record = world.issue()
    assert registry.ingest(world.package(record), world.use).accepted
    return Loading(party.database, party.log, party.did, registry, lambda _: PostgresSchema(postgres), world.clock)


def test_rows_become_a_typed_table_with_its_notice(house: Loading, postgres: str) -> None:
    load = house.load(CANDIDATE, "postgres", user="urn:office:a")
    assert ask(postgres, f"SELECT age, sex FROM {load.place} ORDER BY age") == [(61, "F"), (70, "M")]
    types = ask(
        postgres,
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'synthema' "
        f"AND table_name = '{load.place.partition('.')[2]}' ORDER BY ordinal_position",
    )
    assert types == [("age", "bigint"), ("sex", "text")]
    ((notice,),) = ask(postgres, f"SELECT obj_description('{load.place}'::regclass)")
    assert notice.startswith("SYNTHETIC DATA: no row describes a real person.")
    ((label,),) = ask(postgres, f"SELECT col_description('{load.place}'::regclass, 1)")
    assert label == "Age at diagnosis [a]"
    ((title, certificate, sensitive),) = ask(
        postgres, "SELECT title, certificate, highly_sensitive FROM synthema.datasets"
    )
    assert (title, certificate, sensitive) == ("Synthetic MGUS cohort", load.certificate, True)


def test_the_database_refuses_what_the_codebook_does(house: Loading, postgres: str) -> None:
    import psycopg

    place = house.load(CANDIDATE, "postgres").place
    for row in ("(700, 'F')", "(61, 'X')"):
        with pytest.raises(psycopg.errors.CheckViolation):
            change(postgres, f"INSERT INTO {place} VALUES {row}")


def test_loading_twice_leaves_the_rows_once(house: Loading, postgres: str) -> None:
    house.load(CANDIDATE, "postgres")
    place = house.load(CANDIDATE, "postgres").place
    assert ask(postgres, f"SELECT count(*) FROM {place}") == [(2,)]
    assert ask(postgres, "SELECT count(*) FROM synthema.datasets") == [(1,)]
    assert len(house.loads()) == 1


def test_a_withdrawn_dataset_leaves_the_database(house: Loading, postgres: str) -> None:
    load = house.load(CANDIDATE, "postgres", user="urn:office:a")
    house._registry.withdraw(load.certificate, "a patient withdrew")
    assert house.settle() == ()
    assert ask(postgres, f"SELECT to_regclass('{load.place}')") == [(None,)]
    assert ask(postgres, "SELECT count(*) FROM synthema.datasets") == [(0,)]
    assert [notice["event"] for notice in house.notices("urn:office:a")] == ["withdraw"]


def rows(table: pl.DataFrame, variables: tuple[Variable, ...], world: World) -> Rows:
    codebook = Codebook(id="x", version="1", title="x", disease="urn:x", patient_key="id", variables=variables)
    now = world.clock.now()
    return Rows("sha256:" + "ab" * 32, "urn:d", "urn:c", "'; DROP TABLE --", table, codebook, (), now, now, False)


def test_hostile_names_and_values_stay_values(world: World, postgres: str) -> None:
    variables = (
        Variable(name="select", label="'; DROP SCHEMA synthema; --", type="category", categories=("a';--", 'b"')),
        Variable(name="Table", label="x", type="decimal", minimum=0, maximum=1),
    )
    table = pl.DataFrame({"select": ["a';--", 'b"', None], "Table": [0.5, None, 1.0]})
    place = PostgresSchema(postgres).load(rows(table, variables, world))
    found = ask(postgres, f'SELECT "select", "Table" FROM {place} ORDER BY 2 NULLS LAST')
    assert found == [("a';--", 0.5), (None, 1.0), ('b"', None)]
    PostgresSchema(postgres).remove(place)


def test_nothing_is_left_of_rows_that_do_not_fit(world: World, postgres: str) -> None:
    variables = (Variable(name="x", label="x", type="integer", minimum=0, maximum=9),)
    broken = rows(pl.DataFrame({"x": [1, 99]}), variables, world)
    with pytest.raises(StorageError, match="could not be loaded into the database"):
        PostgresSchema(postgres).load(broken)
    assert ask(postgres, f"SELECT to_regclass('synthema.{broken.name}')") == [(None,)]
    whole = replace(broken, table=pl.DataFrame({"x": [1, 2]}))
    place = PostgresSchema(postgres).load(whole)
    with pytest.raises(StorageError):
        PostgresSchema(postgres).load(broken)
    assert ask(postgres, f"SELECT count(*) FROM {place}") == [(2,)]  # the earlier rows are still there
    PostgresSchema(postgres).remove(place)


def test_a_database_that_is_away_is_named_without_its_password(world: World) -> None:
    target = PostgresSchema("host=/nowhere user=x password=secret dbname=y")
    with pytest.raises(StorageError) as away:
        target.remove("synthema.synthetic_" + "0" * 24)
    assert "secret" not in str(away.value)
    with pytest.raises(StorageError, match="not one of the registry's own"):
        target.remove("public.patients")
    with pytest.raises(InputError, match="no name for a schema"):
        PostgresSchema("", schema='x"; DROP')

"""The writer: all or nothing for a unit, durable before anyone hears of it, one failure harms nobody else."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Column, Connection, Integer, String, Table, insert, select

from synthema.errors import InputError, StorageError
from synthema.storage import Database, metadata

numbers = Table("test_numbers", metadata, Column("n", Integer, primary_key=True), Column("word", String))


def all_numbers(database: Database) -> list[int]:
    with database.read() as connection:
        return list(connection.execute(select(numbers.c.n).order_by(numbers.c.n)).scalars())


def test_what_a_unit_returns_reaches_its_caller(database: Database) -> None:
    assert database.write(lambda c: c.execute(insert(numbers).values(n=1)).rowcount) == 1
    assert all_numbers(database) == [1]


def test_a_failing_unit_keeps_nothing_and_its_error_is_raised(database: Database) -> None:
    def work(connection: Connection) -> None:
        connection.execute(insert(numbers).values(n=1))
        raise InputError("no", fix="yes")

    with pytest.raises(InputError):
        database.write(work)
    assert all_numbers(database) == []


def test_many_writers_share_commits_and_one_failure_harms_nobody(database: Database) -> None:
    def work(n: int) -> None:
        def unit(connection: Connection) -> None:
            connection.execute(insert(numbers).values(n=n))
            if n % 10 == 0:
                raise InputError("every tenth fails", fix="none")

        if n % 10 == 0:
            with pytest.raises(InputError):
                database.write(unit)
        else:
            database.write(unit)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(200)))
    assert all_numbers(database) == [n for n in range(200) if n % 10]


def test_a_database_error_becomes_ours_and_keeps_the_others(database: Database) -> None:
    database.write(lambda c: c.execute(insert(numbers).values(n=1)))
    with pytest.raises(StorageError):
        database.write(lambda c: c.execute(insert(numbers).values(n=1)))
    database.write(lambda c: c.execute(insert(numbers).values(n=2)))
    assert all_numbers(database) == [1, 2]


def test_a_unit_may_not_start_another(database: Database) -> None:
    with pytest.raises(StorageError, match="pass the connection on"):
        database.write(lambda _: database.write(lambda c: c.execute(insert(numbers).values(n=1))))


def test_listeners_wake_after_a_commit(database: Database) -> None:
    woken = threading.Event()
    database.on_commit(woken.set)
    database.write(lambda c: c.execute(insert(numbers).values(n=1)))
    assert woken.wait(5)


def test_a_closed_database_refuses(database: Database) -> None:
    database.close()
    with pytest.raises(StorageError, match="closed"):
        database.write(lambda c: c.execute(insert(numbers).values(n=1)))


def test_readers_do_not_see_unfinished_work(database: Database) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        connection.execute(insert(numbers).values(n=1))
        inside.set()
        go_on.wait(5)

    writer = threading.Thread(target=database.write, args=(slow,))
    writer.start()
    inside.wait(5)
    assert all_numbers(database) == []
    go_on.set()
    writer.join()
    assert all_numbers(database) == [1]

"""Rows as a table in PostgreSQL, typed and constrained by the codebook, listed in a table of datasets beside it.

The connection is given as a libpq string; keep its password in a file that only the connector reads.
Needs the extra ``postgres``.
"""

from __future__ import annotations

import importlib
import re
from types import ModuleType
from typing import Any, Final

from synthema.certification.targets.base import Kind, Rows
from synthema.clock import to_text
from synthema.datasets.codebook import Variable
from synthema.errors import InputError, StorageError

SCHEMA: Final = "synthema"
LIST: Final = "datasets"
_TABLE: Final = re.compile(r"synthetic_[0-9a-f]{24}")
_TYPES: Final = {"integer": "bigint", "decimal": "double precision", "category": "text", "text": "text"}
_SECONDS: Final = 10


class PostgresSchema:
    """Tables in one schema of a database. Loading and removing are one transaction each."""

    kind: Kind = "postgres"

    def __init__(self, connection: str, schema: str = SCHEMA) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,40}", schema):
            raise InputError(
                f"'{schema[:40]}' is no name for a schema", fix="use small letters, digits and underscores"
            )
        self._connection = connection
        self._schema = schema

    def load(self, rows: Rows) -> str:
        """Create the table and copy the rows; a table of the same dataset is replaced."""
        psycopg = _psycopg()
        sql = psycopg.sql
        table = sql.Identifier(self._schema, rows.name)
        try:
            with self._connect(psycopg) as connection, connection.cursor() as cursor:
                self._prepare(cursor, sql)
                cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))
                columns = sql.SQL(", ").join([_column(variable, sql) for variable in rows.codebook.variables])
                cursor.execute(sql.SQL("CREATE TABLE {} ({})").format(table, columns))
                cursor.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(table, sql.Literal(rows.notice)))
                for variable in rows.codebook.variables:
                    place = sql.Identifier(self._schema, rows.name, variable.name)
                    told = f"{variable.label}{f' [{variable.unit}]' if variable.unit else ''}"
                    cursor.execute(sql.SQL("COMMENT ON COLUMN {} IS {}").format(place, sql.Literal(told)))
                with cursor.copy(sql.SQL("COPY {} FROM STDIN").format(table)) as copy:
                    for row in rows.table.iter_rows():
                        copy.write_row(row)
                self._list(cursor, sql, rows)
        except psycopg.Error as error:
            raise _failed("could not be loaded into", error) from error
        return f"{self._schema}.{rows.name}"

    def remove(self, place: str) -> None:
        """Drop the table and its line in the list."""
        schema, _, name = place.partition(".")
        if schema != self._schema or _TABLE.fullmatch(name) is None:
            raise StorageError("this table is not one of the registry's own", fix="drop the table by hand")
        psycopg = _psycopg()
        sql = psycopg.sql
        try:
            with self._connect(psycopg) as connection, connection.cursor() as cursor:
                self._prepare(cursor, sql)
                cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(schema, name)))
                listed = sql.Identifier(schema, LIST)
                cursor.execute(sql.SQL("DELETE FROM {} WHERE table_name = %s").format(listed), (name,))
        except psycopg.Error as error:
            raise _failed("could not be removed from", error) from error

    def _connect(self, psycopg: ModuleType) -> Any:
        return psycopg.connect(self._connection, connect_timeout=_SECONDS, application_name="synthema registry")

    def _prepare(self, cursor: Any, sql: Any) -> None:
        cursor.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(self._schema)))
        cursor.execute(
            sql.SQL(
                "CREATE TABLE IF NOT EXISTS {} (table_name text PRIMARY KEY, title text NOT NULL, "
                "dataset text NOT NULL, artefact text NOT NULL, certificate text NOT NULL, "
                "valid_until timestamptz NOT NULL, "
                "highly_sensitive boolean NOT NULL, notice text NOT NULL)"
            ).format(sql.Identifier(self._schema, LIST))
        )

    def _list(self, cursor: Any, sql: Any, rows: Rows) -> None:
        listed = sql.Identifier(self._schema, LIST)
        cursor.execute(sql.SQL("DELETE FROM {} WHERE table_name = %s").format(listed), (rows.name,))
        values = (
            rows.name,
            rows.title,
            rows.dataset,
            rows.artefact,
            rows.certificate,
            to_text(rows.valid_until),
            rows.highly_sensitive,
            rows.notice,
        )
        cursor.execute(sql.SQL("INSERT INTO {} VALUES (%s, %s, %s, %s, %s, %s, %s, %s)").format(listed), values)


def _column(variable: Variable, sql: Any) -> Any:
    """A column with the bounds of its variable, so that the database too refuses what the codebook does."""
    name = sql.Identifier(variable.name)
    parts = [name, sql.SQL(_TYPES[variable.type])]
    if not variable.may_be_missing:
        parts.append(sql.SQL("NOT NULL"))
    if variable.type == "category":
        allowed = sql.SQL(", ").join([sql.Literal(category) for category in variable.categories])
        parts.append(sql.SQL("CHECK ({} IN ({}))").format(name, allowed))
    elif variable.minimum is not None and variable.maximum is not None:
        low, high = sql.Literal(variable.minimum), sql.Literal(variable.maximum)
        parts.append(sql.SQL("CHECK ({} BETWEEN {} AND {})").format(name, low, high))
    return sql.SQL(" ").join(parts)


def _psycopg() -> ModuleType:
    try:
        importlib.import_module("psycopg.sql")
        return importlib.import_module("psycopg")
    except ImportError as error:
        raise InputError(
            "loading into PostgreSQL needs the package psycopg, which is not installed",
            fix="install it with: pip install 'synthema[postgres]'",
        ) from error


def _failed(what: str, error: Exception) -> StorageError:
    # The server's words may repeat the connection string; only the kind of fault is told.
    kind = getattr(error, "sqlstate", None) or type(error).__name__
    return StorageError(
        f"the rows {what} the database ({kind})", fix="check that it runs, its connection string and its rights"
    )

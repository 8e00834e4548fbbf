"""Tables as files of a run."""

from __future__ import annotations

import io

import polars as pl

from synthema.errors import InputError
from synthema.spi.model import Table

PARQUET = "application/vnd.apache.parquet"
JSON = "application/json"


def table_bytes(table: Table) -> bytes:
    """A table as Parquet, the same bytes for the same rows."""
    stream = io.BytesIO()
    table.write_parquet(stream, compression="zstd", statistics=False)
    return stream.getvalue()


def read_table(content: bytes) -> Table:
    """A Parquet file's table; raises :class:`InputError` on anything else."""
    try:
        return pl.read_parquet(io.BytesIO(content))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError("this is not a Parquet table", fix="send the file as the connector released it") from error

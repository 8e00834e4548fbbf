"""Rows as a Parquet file, with the notice in its metadata."""

from __future__ import annotations

from pathlib import Path

from synthema.certification.targets.base import Kind, Rows, remove_file, write_whole


class ParquetFolder:
    """Parquet files in one folder, named by the digest of the dataset."""

    kind: Kind = "parquet"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, rows: Rows) -> str:
        """Write the file; the same rows give the same bytes."""
        path = self._folder / f"{rows.name}.parquet"
        told = {"synthema.notice": rows.notice, "synthema.certificate": rows.certificate}
        write_whole(
            path, lambda stream: rows.table.write_parquet(stream, compression="zstd", statistics=False, metadata=told)
        )
        return str(path)

    def remove(self, place: str) -> None:
        """Delete the file."""
        remove_file(self._folder, place)

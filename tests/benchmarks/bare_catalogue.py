"""The peer of the catalogue benchmark: pages of datasets with FastAPI, pydantic and SQLite, and nothing more.

The same datasets, records and offers, filtered by one column. Each request leaves a row in a table, with a commit of
its own, as ours leaves the token it has spent. There are no tokens and no policies.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, Field

PAGE = 100


class Dataset(BaseModel, extra="allow"):
    """A dataset with its offers."""

    id: str = Field(alias="@id")
    policies: list[dict[str, Any]] = Field(alias="hasPolicy")
    distribution: list[dict[str, Any]]


class Page(BaseModel):
    """One page of the catalogue."""

    dataset: list[Dataset]
    following: str | None


def catalogue(path: Path, datasets: Iterable[dict[str, Any]]) -> FastAPI:
    """An application with one address, ``/catalog``; ``after`` is the last id of the page before."""
    turn = threading.Lock()
    rows = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    rows.execute("PRAGMA journal_mode=WAL")
    rows.execute("PRAGMA synchronous=FULL")
    rows.execute("CREATE TABLE datasets (id TEXT PRIMARY KEY, audience TEXT, body TEXT)")
    rows.execute("CREATE TABLE requests (number INTEGER PRIMARY KEY, after TEXT)")
    rows.execute("BEGIN")
    rows.executemany("INSERT INTO datasets VALUES (?, '*', ?)", ((each["@id"], json.dumps(each)) for each in datasets))
    rows.execute("COMMIT")
    app = FastAPI()

    @app.post("/catalog", response_model_by_alias=True)
    def page(after: str = "") -> Page:
        query = "SELECT body FROM datasets WHERE audience = '*' AND id > ? ORDER BY id LIMIT ?"
        with turn:
            rows.execute("INSERT INTO requests (after) VALUES (?)", (after,))
            found = [Dataset.model_validate_json(body) for (body,) in rows.execute(query, (after, PAGE + 1))]
        return Page(dataset=found[:PAGE], following=found[PAGE - 1].id if len(found) > PAGE else None)

    return app

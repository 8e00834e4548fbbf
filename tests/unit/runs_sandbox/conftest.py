"""A session factory, and plugins that misbehave."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from synthema.config import Limits
from synthema.runs.sandbox import Sandbox, Session
from synthema.spi.simulated import simulated_codebook, simulated_table
from tests.unit.spi.plugin_files import approved, manifest_text, write_plugin

Open = Callable[..., Session]

HEAD = """
import os, sys
import numpy as np
import polars as pl
from synthema.spi import Evaluation, Metric, hookimpl

def answer(value=1.0):
    return Evaluation((Metric("value", float(value), 1),))

@hookimpl
def analyse(table, codebook, parameters):
"""


@pytest.fixture
def open_plugin(tmp_path: Path) -> Iterator[Open]:
    """Write an ``analysis`` plugin with this body, and open a session with it."""
    with ExitStack() as stack:

        def open_plugin(body: str, *, head: str = HEAD, more: str = "", limits: Limits | None = None) -> Session:
            code = head + "".join(f"    {line}\n" for line in body.strip().splitlines())
            package = write_plugin(tmp_path / "plugins", "subject", code, manifest_text("subject", more=more))
            return stack.enter_context(Sandbox().open_session([approved(package)], tmp_path, limits=limits))

        yield open_plugin


def analyse(session: Session, **parameters: Any) -> Any:
    """Call the plugin on ten simulated rows."""
    codebook = simulated_codebook(with_identifier=False)
    table = simulated_table(10, with_identifier=False)
    return session.call("subject", "analyse", table=table, codebook=codebook, parameters=parameters)

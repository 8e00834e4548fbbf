"""The program that is started as a worker. It reaches confinement with the standard library and our own files only.

Started with ``python -I -S -B``: no site packages, no ``.pth`` files, no
environment. Packages of ours whose ``__init__`` would pull in more than the
worker needs are put up as empty shells that only know their folder.
"""

from __future__ import annotations

import importlib
import sys
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHELLS = ("synthema", "synthema.runs", "synthema.runs.sandbox", "synthema.datasets")


def put_up_shells() -> None:
    """Make our packages importable by folder, without running their ``__init__``."""
    for name in SHELLS:
        shell = types.ModuleType(name)
        shell.__path__ = [str(ROOT.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = shell


if __name__ == "__main__":
    put_up_shells()
    importlib.import_module("synthema.runs.sandbox.worker").main()

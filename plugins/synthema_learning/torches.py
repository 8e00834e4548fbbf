"""PyTorch, loaded on first use: it is large, and belongs to an extra."""

from __future__ import annotations

import tempfile
from functools import cache
from typing import Any


@cache
def torch() -> Any:
    """The library, with one thread; raises ``ValueError`` saying how to install it."""
    _settle_where_no_file_goes()
    try:
        import torch as library  # noqa: PLC0415 - heavy, and part of an extra
    except ImportError as error:
        raise ValueError("deep learning needs PyTorch: install the extra, pip install 'synthema[deep]'") from error
    library.set_num_threads(1)
    return library


def _settle_where_no_file_goes() -> None:
    """Parts of the library ask on loading where temporary files go, and write none; a sandbox has no such place."""
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        tempfile.tempdir = "/"

"""Waiting for what another thread, process or connector brings about."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def until(
    look: Callable[[], Any], good: Callable[[Any], object] = bool, seconds: float = 30.0, pause: float = 0.02
) -> Any:
    """What is seen as soon as it is good; fails with what was seen last when it is not within these seconds.

    ``pause`` is between two looks, in seconds.
    """
    end = time.monotonic() + seconds
    while not good(seen := look()):
        assert time.monotonic() < end, f"not within {seconds:g} s: {str(seen)[:2000]}"
        time.sleep(pause)
    return seen

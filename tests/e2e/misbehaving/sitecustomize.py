"""Loads :mod:`misbehaviour` in a process that a test has put this folder on the PYTHONPATH of. Not for others."""

from __future__ import annotations

import os
import sys

if "serve" in sys.orig_argv and os.environ.get("SYNTHEMA_TEST_SITE"):
    import misbehaviour  # type: ignore[import-not-found]  # lies beside this file, on the PYTHONPATH

    misbehaviour.begin(os.environ["SYNTHEMA_TEST_SITE"], os.environ["SYNTHEMA_TEST_TOLD"])

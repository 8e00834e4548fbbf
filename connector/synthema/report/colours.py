"""The two colours of all plots."""

from __future__ import annotations

REAL, SYNTHETIC = "#3b82c4", "#d5601c"
"""Blue and vermilion: told apart in all common kinds of colour blindness, and 3:1 on white and on near-black."""

"""The odometer of a budget as a picture that can be read aloud: an SVG with a description, and a bar of text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape

from synthema.budget.model import ALERT, Account

_WIDTH, _HEIGHT = 480, 160
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 16, 32
_CELLS = 30
_ATTRIBUTES = 'role="img" aria-labelledby="budget-title budget-description" font-family="sans-serif" font-size="11"'


def text_bar(share: float, spent: float, ceiling: float, delta: float) -> str:
    """The state of a budget in one line, e.g. ``[#########---------------------] 30 %: ε = 2.4 of 8 …``."""
    filled = max(0, min(_CELLS, int(share * _CELLS)))
    bar = "#" * filled + "-" * (_CELLS - filled)
    nearly = ", nearly spent" if share >= ALERT else ""
    return (
        f"[{bar}] {100 * share:.0f} % spent or set aside{nearly}: ε = {spent:.3g} of {ceiling:g} spent at δ = {delta:g}"
    )


def svg(account: Account, entries: Sequence[dict[str, Any]], title: str) -> str:
    """The ε spent after each release as steps below the ceiling, with a line at four fifths of it.

    ``entries`` are those of :func:`synthema.budget.outlook.history`. Colour carries no meaning of its own.
    """
    values = [0.0, *(float(entry["spent"]) for entry in entries if entry["state"] == "spent")]
    top = max(account.epsilon, *values)
    told = len(values) - 1
    described = (
        f"After {told} release{'' if told == 1 else 's'}, ε = {values[-1]:.3g} of {account.epsilon:g} is spent "
        f"at δ = {account.delta:g}. "
        f"The dashed line is four fifths of the ceiling."
    )
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" {_ATTRIBUTES}>',
        f'<title id="budget-title">{escape(title)}</title>',
        f'<desc id="budget-description">{escape(described)}</desc>',
        _level(account.epsilon, top, "", f"ceiling {account.epsilon:g}"),
        _level(account.epsilon * ALERT, top, ' stroke-dasharray="4 3"', "80 %"),
        f'<path d="{_steps(values, top)}" fill="none" stroke="#1a4f8a" stroke-width="2.5"/>',
        f'<line x1="{_LEFT}" y1="{_TOP}" x2="{_LEFT}" y2="{_y(0, top):.1f}" stroke="#444"/>',
        f'<line x1="{_LEFT}" y1="{_y(0, top):.1f}" x2="{_WIDTH - _RIGHT}" y2="{_y(0, top):.1f}" stroke="#444"/>',
        f'<text x="{_LEFT - 6}" y="{_y(0, top):.1f}" text-anchor="end">0</text>',
        f'<text x="{_LEFT}" y="{_HEIGHT - 8}">ε spent, after each of {len(values) - 1} releases</text>',
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _level(value: float, top: float, dashes: str, label: str) -> str:
    y = _y(value, top)
    return (
        f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}" stroke="#444"{dashes}/>'
        f'<text x="{_WIDTH - _RIGHT}" y="{y - 3:.1f}" text-anchor="end">{escape(label)}</text>'
    )


def _steps(values: Sequence[float], top: float) -> str:
    wide = (_WIDTH - _LEFT - _RIGHT) / max(1, len(values))
    points = [f"M{_LEFT:.1f} {_y(values[0], top):.1f}"]
    for number, value in enumerate(values):
        points.append(f"V{_y(value, top):.1f}H{_LEFT + wide * (number + 1):.1f}")
    return "".join(points)


def _y(value: float, top: float) -> float:
    return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - value / top)

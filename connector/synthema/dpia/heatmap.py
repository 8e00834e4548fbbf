"""The map of risks: severity against likelihood, four by four, as a picture that needs no colour to be read."""

from __future__ import annotations

from html import escape

from synthema.dpia.model import Dpia
from synthema.dpia.parts import SEVERITIES, Level

_CELL = 92
_LEFT, _TOP = 118, 14
_WIDTH, _HEIGHT = _LEFT + 4 * _CELL + 8, _TOP + 4 * _CELL + 52
# Lightness falls with the risk, so that the map reads in grey as well; numbers name the risks.
_SHADES = {"low": "#eef3f0", "medium": "#e9d9a6", "high": "#d79a86"}


def shade(level: Level) -> str:
    """How great a level is, in one word."""
    if level.is_high:
        return "high"
    return "medium" if level.severity + level.likelihood >= 5 else "low"


def risk_map(dpia: Dpia, when: str, name: str) -> str:
    """The map ``before`` or after (``residual``) measures as inline SVG with a text alternative."""
    levels: dict[tuple[int, int], list[int]] = {}
    for number, risk in enumerate(dpia.risks, 1):
        level: Level = getattr(risk, when)
        levels.setdefault((level.severity, level.likelihood), []).append(number)
    title = f"Risks {'before' if when == 'before' else 'after'} measures: severity upwards, likelihood to the right"
    parts = [
        f'<svg class="map" role="img" aria-labelledby="{name}-title {name}-desc" viewBox="0 0 {_WIDTH} {_HEIGHT}">',
        f'<title id="{name}-title">{escape(title)}</title>',
        f'<desc id="{name}-desc">{escape(alternative(dpia, when))}</desc>',
    ]
    for severity in range(4, 0, -1):
        y = _TOP + (4 - severity) * _CELL
        parts.append(_label(_LEFT - 8, y + _CELL / 2 + 4, f"{severity} {SEVERITIES[severity]}", "end"))
        parts += [_cell(severity, likelihood, y, levels.get((severity, likelihood), [])) for likelihood in range(1, 5)]
    bottom = _TOP + 4 * _CELL
    for likelihood in range(1, 5):
        x = _LEFT + (likelihood - 0.5) * _CELL
        parts.append(_label(x, bottom + 18, f"{likelihood} {SEVERITIES[likelihood]}", "middle"))
    parts.append(_label(_LEFT + 2 * _CELL, bottom + 40, "likelihood →", "middle"))
    parts.append(_label(8, _TOP + 10, "severity ↑", "start"))
    return "".join([*parts, "</svg>"])


def alternative(dpia: Dpia, when: str) -> str:
    """The map in words: each risk with its level."""
    return " ".join(
        f"{number} {risk.id}: {level.words} ({shade(level)})."
        for number, risk in enumerate(dpia.risks, 1)
        for level in (getattr(risk, when),)
    )


def _cell(severity: int, likelihood: int, y: float, risks: list[int]) -> str:
    x = _LEFT + (likelihood - 1) * _CELL
    fill = _SHADES[shade(Level(severity=severity, likelihood=likelihood))]
    box = f'<rect x="{x}" y="{y}" width="{_CELL}" height="{_CELL}" fill="{fill}" stroke="#3a3a3a" stroke-width="1"/>'
    rows = [risks[start : start + 4] for start in range(0, len(risks), 4)]
    texts = "".join(
        _label(x + _CELL / 2, y + 22 + 18 * n, " ".join(str(number) for number in row), "middle", weight="600")
        for n, row in enumerate(rows)
    )
    return box + texts


def _label(x: float, y: float, text: str, anchor: str, weight: str = "400") -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-size="13" font-weight="{weight}" fill="#1b1b1b">'
        f"{escape(text)}</text>"
    )

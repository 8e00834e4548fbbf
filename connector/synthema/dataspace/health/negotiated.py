"""Which form a reader wants: the ``Accept`` header against the forms there are (RFC 9110 §12.5.1)."""

from __future__ import annotations

from typing import Final

from synthema.dataspace.health.rdf import JSON_LD, N_TRIPLES, RDF_XML, TURTLE

MEDIA_TYPES: Final = (JSON_LD, TURTLE, RDF_XML, N_TRIPLES)
"""The forms of the catalogue; the first is given where the reader does not mind."""

_ALIASES: Final = {"application/json": JSON_LD}


def best_media_type(accept: str | None) -> str | None:
    """The form the reader likes best, or ``None`` where it takes none of ours."""
    if accept is None or not accept.strip():
        return MEDIA_TYPES[0]
    wishes = [wish for part in accept.split(",") if (wish := _wish(part)) is not None]
    ranked = [(_quality(media_type, wishes), -place) for place, media_type in enumerate(MEDIA_TYPES)]
    quality, place = max(ranked)
    return MEDIA_TYPES[-place] if quality > 0 else None


def _wish(part: str) -> tuple[str, float] | None:
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    quality = 1.0
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                quality = float(value)
            except ValueError:
                return None
            if not 0 <= quality <= 1:  # which no NaN is
                return None
    return (_ALIASES.get(name, name), quality) if name else None


def _quality(media_type: str, wishes: list[tuple[str, float]]) -> float:
    """The quality of the most exact wish that covers a form; 0 where none does."""
    for covering in (media_type, f"{media_type.partition('/')[0]}/*", "*/*"):
        found = [quality for name, quality in wishes if name == covering]
        if found:
            return max(found)
    return 0.0

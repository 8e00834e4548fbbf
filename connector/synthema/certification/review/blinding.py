"""Who sees what in which order, drawn from one secret seed that is committed to before the first answer.

Everything random in a review follows from its seed by HMAC-SHA-256: which places of the sheet are
synthetic, which rows are shown, under which names, and in which order each reviewer meets them.
The log gets a digest of the seed when the review opens and the seed itself when it closes: then
anybody with the answers can check that nothing was arranged afterwards.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from synthema.canonical import canonical_json, digest
from synthema.errors import IntegrityError

TOLERANCE = 10
"""The kinds differ by at most a tenth of the sheet, so that nobody can count the last vignettes out."""


def ranked(seed: bytes, purpose: str, count: int) -> tuple[int, ...]:
    """The numbers from 0 to ``count - 1`` in an order that only the seed tells."""
    return tuple(sorted(range(count), key=lambda number: _keyed(seed, f"{purpose}|{number}")))


def assignment(seed: bytes, vignettes: int) -> tuple[bool, ...]:
    """For each place of the sheet whether its vignette is synthetic: about half of them are."""
    room = vignettes // TOLERANCE
    spare = int.from_bytes(_keyed(seed, "balance")[:8], "big") % (room + 1) - room // 2
    synthetic = set(ranked(seed, "kind", vignettes)[: (vignettes + spare) // 2])
    return tuple(place in synthetic for place in range(vignettes))


def names(seed: bytes, vignettes: int) -> tuple[str, ...]:
    """For each place the name under which its vignette is shown; it says nothing, not even the place."""
    return tuple(_keyed(seed, f"name|{place}").hex()[:20] for place in range(vignettes))


def order(seed: bytes, seat: int, vignettes: int) -> tuple[int, ...]:
    """The places in the order in which one reviewer meets them."""
    return ranked(seed, f"order|{seat}", vignettes)


def commitment(review: str, seed: bytes, sheet: Sequence[Sequence[str]]) -> str:
    """What the log is told before the first answer: it binds seed and vignettes and gives neither away."""
    shown = hmac.digest(seed, canonical_json([list(sentences) for sentences in sheet]), "sha256").hex()
    return digest({"review": review, "seed": seed.hex(), "sheet": shown})


def check_opening(committed: str, review: str, seed: bytes, sheet: Sequence[Sequence[str]]) -> None:
    """Raise :class:`IntegrityError` unless seed and vignettes are those that were committed to."""
    if commitment(review, seed, sheet) != committed:
        raise IntegrityError(
            "the assignment is not the one the log was told before the first answer",
            fix="do not use the figures of this review; open another one",
        )


def sealed_digest(seed: bytes, value: object) -> str:
    """A digest of an answer for the log: nobody can guess the answer from it until the seed is opened."""
    return f"sha256:{hmac.digest(seed, canonical_json(value), 'sha256').hex()}"


def _keyed(seed: bytes, text: str) -> bytes:
    return hmac.digest(seed, text.encode(), "sha256")

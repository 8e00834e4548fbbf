"""How likely a row is taken for the right person, before and after.

Prosecutor: the attacker knows that the person is in the table. Journalist: she does not, and picks somebody of the
population. Marketer: she wants as many right links as possible. Definitions of El Emam and Dankar (JAMIA 2008) and
Dankar and El Emam (2010). Without figures on the population the journalist's risk is at most the prosecutor's, and
that is what is reported.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthema_anonymise.promises import Kept

THRESHOLD = 0.09
"""A risk that European and Canadian regulators have accepted for sharing (El Emam et al., JMIR 2020;22(11):e23139)."""

People = NDArray[np.float64]


def risks_of(kept: Kept, population: People | None = None) -> dict[str, float]:
    """The risks of a table whose classes have ``kept.patients`` patients, and ``population`` people each.

    ``uniqueness`` is the share of patients alone in their class, ``atRisk`` the share of patients whose prosecutor
    risk is above 0.09.
    """
    sizes = kept.patients.astype(np.float64)
    if not len(sizes):
        return {}
    total = float(sizes.sum())
    found = {
        "prosecutorRisk": 1.0 / float(sizes.min()),
        "averageRisk": len(sizes) / total,
        "journalistRisk": 1.0 / float(sizes.min()),
        "marketerRisk": len(sizes) / total,
        "uniqueness": float(sizes[sizes == 1].sum()) / total,
        "atRisk": float(sizes[1.0 / sizes > THRESHOLD].sum()) / total,
    }
    if population is not None:
        # The patients of the table belong to the population, whatever its figures say.
        people = np.maximum(population, sizes)
        found["journalistRisk"] = 1.0 / float(people.min())
        found["marketerRisk"] = float((sizes / people).sum()) / total
    return found

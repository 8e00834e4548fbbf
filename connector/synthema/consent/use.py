"""What a use asks of each person's consent: the purpose with its closure, and the boxes that must be ticked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from synthema.consent.model import ConsentItem, NationalException, Question
from synthema.vocabulary import Vocabulary
from synthema.vocabulary.namespaces import SYN, expand

TRAINING = expand("ehds:TrainTestAndEvaluateHealthAlgorithms")
RESEARCH = expand("ehds:HealthcareScientificResearch")
_COMMERCIAL = expand("dpv:CommercialResearch")
_GENETIC = SYN + "Art51-1-f"
_EEA = SYN + "EuropeanEconomicArea"
_BOX_OF_ACTION = {
    SYN + "link": ConsentItem.LINKAGE,
    SYN + "trainModel": ConsentItem.ALGORITHM_TRAINING,
    SYN + "reportFinding": ConsentItem.INCIDENTAL_FINDINGS,
}
_OVERRULING = (SYN + "Art53-1-a", SYN + "Art53-1-b", SYN + "Art53-1-c", RESEARCH)


@dataclass(frozen=True, slots=True)
class Use:
    """A use as far as a person's consent may speak about it; all names are IRIs.

    ``place`` is where the recipient is established, ``disease`` what is studied and
    ``own_disease`` what the dataset is about. What is None was not said and asks for no box of
    its own: whether it may stay unsaid is for policies, in which the unknown never permits.
    """

    purpose: str | None = None
    action: str | None = None
    for_profit: bool | None = None
    place: str | None = None
    categories: tuple[str, ...] = ()
    disease: str | None = None
    own_disease: str | None = None
    contact: bool = False
    data_as_of: datetime | None = None


def question(use: Use, vocabulary: Vocabulary) -> Question:
    """What a use asks of each record. A purpose the vocabulary does not know is a kind of nothing."""
    purposes = None if use.purpose is None else vocabulary.purposes.ancestors(use.purpose)
    return Question(frozenset(_boxes(use, vocabulary)), purposes, use.data_as_of)


def _boxes(use: Use, vocabulary: Vocabulary) -> set[ConsentItem]:
    """The boxes that must be ticked for a use."""
    purposes, actions = vocabulary.purposes, vocabulary.actions
    purpose, action = use.purpose or "", use.action or ""
    needed = {ConsentItem.SECONDARY_USE}
    needed |= {item for name, item in _BOX_OF_ACTION.items() if action == name or actions.is_a(action, name)}
    asked = {
        ConsentItem.ALGORITHM_TRAINING: purposes.is_a(purpose, TRAINING),
        ConsentItem.FOR_PROFIT: use.for_profit is True or purposes.is_a(purpose, _COMMERCIAL),
        ConsentItem.THIRD_COUNTRY: use.place is not None and not vocabulary.places.is_a(use.place, _EEA),
        ConsentItem.GENETIC_DATA: any(vocabulary.data_categories.is_a(name, _GENETIC) for name in use.categories),
        ConsentItem.BEYOND_DISEASE: _is_another_disease(use, vocabulary),
        ConsentItem.RECONTACT: use.contact,
    }
    return needed | {item for item, is_asked in asked.items() if is_asked}


def _is_another_disease(use: Use, vocabulary: Vocabulary) -> bool:
    if use.disease is None or use.own_disease is None:
        return False
    return use.disease != use.own_disease and not vocabulary.diseases.is_a(use.disease, use.own_disease)


def national_exception(
    *, law: str | None, regime: str, reason: str | None, permit: str, purpose: str, vocabulary: Vocabulary
) -> NationalException | None:
    """The exception of EHDS Art. 71(4), or None where one of its conditions is not met.

    All must hold: Chapter IV applies; national law provides the exception, as the Member State pack
    in force says (``law`` names it); the permit states it with its reason (Art. 68(10)(c)), which is
    how the access body says that points (a) to (c) of Art. 71(4) are met; and the purpose is public or
    occupational health, policy making and regulation, statistics, or scientific research.
    """
    if regime != "EHDS" or not law or not (reason or "").strip():
        return None
    if not any(vocabulary.purposes.is_a(purpose, name) for name in _OVERRULING):
        return None
    return NationalException(law, str(reason).strip(), permit)

"""Health of this connector, and help with its words."""

from __future__ import annotations

from typing import Final

from synthema.web.console.desk import Desk
from synthema.web.console.pages import Page, Route, Visit

GLOSSARY: Final = (
    ("Agreement", "What a site and a recipient settled about a dataset: who, what for, how long, with which budget."),
    ("Certificate", "A signed statement about one synthetic dataset: how it was made, and what was measured."),
    ("Chain", "The log's entries are bound together by hashes; changing one shows in all later signed heads."),
    ("Delta (δ)", "The small probability with which the bound given by ε may not hold."),
    ("Digest", "A fingerprint of a file or text. Another byte is another digest."),
    ("DPIA", "Data protection impact assessment (GDPR Art. 35). Its thresholds are checked before each release."),
    ("DPO", "Data protection officer."),
    ("Epsilon (ε)", "How much a result may reveal about one patient at most. Smaller protects more."),
    ("Gate", "A threshold of the impact assessment that a measured figure must keep."),
    ("Grant", "A single-use permission for one run. It opens patient data once and then expires."),
    ("Layer", "Where a rule comes from: Union law, Member State law, site, dataset, agreement. The strictest counts."),
    (
        "Obligation",
        "Something a party owes by a date, from a decision, a permit or the law. Evidence shows it was done.",
    ),
    ("ODRL", "The W3C language in which machines exchange policies."),
    ("Opt-out", "A person's word that their data are not used for other purposes than their care (EHDS Art. 71)."),
    ("Permit", "What lets one party work with named data for one purpose and one period (EHDS Art. 68)."),
    ("Plugin", "A program that reads data in the sandbox. It runs only while its files are those two people approved."),
    ("Purpose", "What the data are asked for. EHDS Art. 53 permits some; Art. 54 forbids others."),
    ("Quarantine", "Where a result waits until its measured figures have passed every gate."),
    ("Rho (ρ)", "The unit in which the privacy budget adds up exactly; ε is computed from it for a given δ."),
    ("Replay", "Deciding again what was decided: the same input gives the same decision, byte for byte."),
    ("What if", "A request that nobody makes, decided like a real one, to see the answer and what would turn it."),
    ("Witness", "Another connector that signs what it saw of this log, so that nobody can rewrite it alone."),
)
"""Word → what it means here."""


def show_health(desk: Desk, _visit: Visit) -> Page:
    """The doctor's checks."""
    return Page("health.html", "Health of this connector", desk.ask("doctor/check"))


def show_help(_desk: Desk, _visit: Visit) -> Page:
    """How the console works, and its words."""
    value = {"glossary": [{"word": word, "meaning": meaning} for word, meaning in GLOSSARY]}
    return Page("help.html", "Help and glossary", value)


ROUTES = (Route("/health", show_health), Route("/help", show_help))

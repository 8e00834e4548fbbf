"""The scenes of the demo, one function each; every claim in them is checked, none is only told."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from synthema.clock import SystemClock
from synthema.demo import pictures
from synthema.demo.house import BUDGET as AGREEMENT_BUDGET
from synthema.demo.house import (
    DATASET,
    DELTA,
    House,
    dataset_policy,
    from_base64,
    metadata,
    offer_policy,
    release_policy,
    released_data_policy,
    site_policy,
)
from synthema.demo.patients import HospitalData
from synthema.demo.tale import Tale
from synthema.errors import PeerError
from synthema.report import Code, Table, certificate_items, decision_item, graph_item

EXPLICIT_CONSENT = "https://w3id.org/dpv/legal/eu/gdpr#A9-2-a"
RESEARCH = "https://w3id.org/dpv/legal/eu/gdpr#A9-2-j"
FIELDS = ("age", "sex", "hgb", "creat", "mspike", "ptime", "pstat", "futime", "death")
STUDY_SECONDS = 240.0
FINAL = ("released", "refused", "stopped", "failed")
# A small hospital's figures scatter widely; its officer sets bounds for that size (see the evaluation plugin's README).
THRESHOLDS = {
    "membership-attack": 0.75,
    "membership-attack-again": 0.75,
    "inference-attack": 0.35,
    "singling-out-attack": 0.25,
    "singling-out-again": 0.25,
    "same-course": 0.12,
    "no-copies": 0.15,
}


class Stage:
    """Who is on stage: hospitals, hub, registry, and the tale that is told."""

    def __init__(self, tale: Tale, hospitals: list[House], hub: House, registry: House) -> None:
        self.tale = tale
        self.hospitals = hospitals
        self.hub = hub
        self.registry = registry

    @property
    def names(self) -> dict[str, str]:
        """Did → name of each hospital."""
        return {house.did: house.name for house in self.hospitals}

    def plain(self, sentence: str) -> str:
        """A sentence for the screen: names instead of identifiers; where evidence lies stands in the report."""
        for house in [*self.hospitals, self.hub, self.registry]:
            sentence = sentence.replace(house.did, house.name).replace(house.dataset_iri(), f"the data of {house.name}")
        return re.sub(r" \(shown by \S+\)", "", sentence)

    def run_study(self, title: str, purpose: str, epsilon: float, rows: int, holdout: float) -> dict[str, Any]:
        """Start a study at the hub and follow it to its end."""
        study = study_document(self, title, purpose, epsilon, rows, holdout)
        identifier = self.hub.call("study/start", {"study": study, "codebook": "mgus"})["study"]
        end = time.monotonic() + STUDY_SECONDS
        seen = 0
        while time.monotonic() < end:
            found: dict[str, Any] = self.hub.call("study/show", {"study": identifier})
            for event in found["events"][seen:]:
                who = self.names.get(event.get("site", ""), "hub")
                self.tale.say(self.plain(f"{who}: {event['text']}"))
            seen = len(found["events"])
            if found["state"] in FINAL:
                return found
            time.sleep(0.2)
        raise PeerError(f"the study '{title}' did not end in time", fix="look at the hub's server.log")


def study_document(stage: Stage, title: str, purpose: str, epsilon: float, rows: int, holdout: float) -> dict[str, Any]:
    """The study as a researcher would write it in STUDY.yaml."""
    return {
        "title": title,
        "codebook": "mgus",
        "purpose": purpose,
        "action": "synthesise",
        "sites": [{"did": house.did, "dataset": DATASET} for house in stage.hospitals],
        "fields": list(FIELDS),
        "anonymiser": {"plugin": "minimise", "parameters": {"band": ["age"], "k": 5, "small_classes": "refuse"}},
        "algorithm": {"plugin": "marginals", "parameters": {}},
        "aggregator": {"plugin": "secure-sum", "parameters": {}},
        "evaluators": [{"plugin": "evaluation", "parameters": {}}],
        "privacy": {"epsilon": epsilon, "delta": DELTA},
        "rounds": 3,
        "minimum_sites": 3,
        "tolerated_colluders": 1,
        "holdout": holdout,
        "rows": rows,
    }


def patients_and_consent(stage: Stage, data: list[HospitalData]) -> None:
    """Each hospital takes in its own patients and their consent records."""
    tale = stage.tale
    items = tale.chapter(
        "Three hospitals take in their patients",
        "Real patients with monoclonal gammopathy (survival::mgus2), split unevenly. Each table is checked against "
        "the public codebook and sealed; consent and opt-outs are kept as keyed tokens.",
    )
    rows = []
    for house, brought in zip(stage.hospitals, data, strict=True):
        basis = RESEARCH if brought.consent_states.get("opt-out") else EXPLICIT_CONSENT
        added = house.call(
            "dataset/add",
            {
                "name": DATASET,
                "title": f"MGUS cohort of {house.name}",
                "file": "mgus.csv",
                "table": brought.table,
                "codebook": "mgus",
                "metadata": metadata(basis),
            },
        )
        states = house.call("consent/import", {"dataset": DATASET, "file": "consent.csv", "table": brought.consents})
        ground = "research" if basis == RESEARCH else "consent"
        rows.append((house.name, added["rows"], _states(states["states"]), states["optOuts"], ground))
        tale.claim(f"{house.name} takes in {brought.patients} patients", added["rows"] == brought.patients)
    columns = ("hospital", "patients", "consent", "opt-outs", "legal basis")
    items.append(Table("Patients and consent", columns, tuple(rows)))
    tale.close_chapter()


def policies_in_force(stage: Stage) -> None:
    """Each hospital's policies, written in the DPO's form, are put in force by two signatures."""
    tale = stage.tale
    items = tale.chapter(
        "Each hospital's data protection officer writes the rules",
        "Policies come from policies/templates, are compiled to ODRL and need two signatures by different people. "
        "The impact assessment's thresholds are confirmed by the officer; plugins are approved by their files' digest.",
    )
    for house in [*stage.hospitals, stage.hub]:
        house.approve_plugins()
    stage.hub.activate_policy(release_policy(stage.hub, THRESHOLDS), "certified-synthetic-release.yaml")
    stage.hub.activate_policy(released_data_policy(stage.hub), "released-synthetic-data.yaml")
    for house in stage.hospitals:
        draft = house.activate_policy(site_policy(house), "research-synthetic-data.yaml")
        house.activate_policy(dataset_policy(house), "mgus-consent.yaml")
        house.activate_assessment(THRESHOLDS)
        house.call(
            "offer/publish",
            {
                "dataset": DATASET,
                "policy": offer_policy(house, stage.hub.did, SystemClock().now()),
                "epsilon": AGREEMENT_BUDGET,
                "delta": DELTA,
                "total_epsilon": AGREEMENT_BUDGET,
            },
        )
        active = house.call("policy/list")
        tale.claim(
            f"{house.name}: site and dataset policy are in force with two signatures",
            sum(policy["state"] == "active" for policy in active) >= 2,
        )
    items.append(
        Table("The site policy of one hospital in sentences", ("sentence",), tuple((s,) for s in draft["sentences"]))
    )
    tale.close_chapter()


def forbidden_purpose(stage: Stage, rows: int) -> None:
    """A request for advertising is denied by Union law, and nothing can change that."""
    tale = stage.tale
    items = tale.chapter(
        "A forbidden purpose is refused",
        "The hub asks for synthetic data for advertising (EHDS Art. 54(c)).",
    )
    study = stage.run_study("MGUS records for advertising", "dpv:Advertising", 2.0, rows, 0.25)
    answers = _answers(stage, study)
    tale.claim("all three hospitals deny the request", _effects(answers) == ["deny"] * 3)
    reasons = [str(answer["decision"]["reasons"]) for answer in answers.values()]
    changes = [answer["decision"]["changes"] for answer in answers.values()]
    tale.claim("the reason names EHDS Article 54", bool(reasons) and all("54" in reason for reason in reasons))
    tale.claim("no change of the request would permit it", bool(changes) and not any(changes))
    _show_one_decision(stage, items, answers)
    tale.close_chapter()


def too_large_epsilon(stage: Stage, rows: int) -> None:
    """A permitted purpose with too large a privacy loss is denied, and the smallest change is named."""
    tale = stage.tale
    items = tale.chapter(
        "A permitted purpose with too large a privacy loss is refused",
        "The purpose is research, but ε = 12 is more than the hospitals allow.",
    )
    study = stage.run_study("MGUS cohort, little privacy", "ehds:HealthcareScientificResearch", 12.0, rows, 0.25)
    answers = _answers(stage, study)
    tale.claim("all three hospitals deny the request", _effects(answers) == ["deny"] * 3)
    changes = [change["sentence"] for a in answers.values() for change in a["decision"]["changes"]]
    tale.claim(f"the smallest change is named: {changes[0] if changes else '-'}", _one_change_each(answers))
    _show_one_decision(stage, items, answers)
    tale.close_chapter()


def stopped_in_quarantine(stage: Stage, rows: int) -> None:
    """With hardly any privacy loss the result is useless; the gates stop it."""
    tale = stage.tale
    items = tale.chapter(
        "A bad setting is stopped in quarantine",
        "ε = 0.05 is permitted, but so much noise makes misleading patients. The candidate never leaves quarantine.",
    )
    study = stage.run_study("MGUS cohort, too much noise", "ehds:HealthcareScientificResearch", 0.05, rows, 0.25)
    tale.claim("all three hospitals permit the request", _effects(_answers(stage, study)) == ["permit"] * 3)
    tale.claim("the candidate is stopped by the impact assessment's gates", study["state"] == "stopped")
    failures = tuple((failure,) for failure in str(study["reason"]).split("; "))
    items.append(Table("What the hospitals found", ("gate that did not pass",), failures))
    tale.close_chapter()


def released(stage: Stage, rows: int) -> dict[str, Any]:
    """The corrected request: rounds of secure sums, evaluation inside each hospital, release."""
    tale = stage.tale
    items = tale.chapter(
        "The corrected request is permitted, run and released",
        "Excluded patients are filtered, the table is minimised to k = 5, and three rounds of secure, private sums "
        "make a model. Each hospital attacks the candidate with its own rows before anything is released.",
    )
    study = stage.run_study("MGUS virtual cohort", "ehds:HealthcareScientificResearch", 5.0, rows, 0.25)
    answers = _answers(stage, study)
    tale.claim("all three hospitals permit the request", _effects(answers) == ["permit"] * 3)
    _show_one_decision(stage, items, answers)
    tale.claim("the study ends released, with a certificate", study["state"] == "released")
    if study["state"] == "released":
        tale.claim("each hospital decided that the dataset may leave and be certified", _let_go(stage, study))
        rounds = stage.hub.call("study/rounds", {"study": study["id"]})
        items.append(pictures.rounds_table(rounds))
        _hub_saw_only_sums(stage, items, study, rounds)
        _hospital_logs(stage, items)
        items.extend(pictures.comparison(study["result"]["series"], stage.names))
        budgets = {house.name: house.call("budget/show") for house in stage.hospitals}
        items.append(pictures.budget_plot(budgets))
    tale.close_chapter()
    return study


def _let_go(stage: Stage, study: Mapping[str, Any]) -> bool:
    """Whether every hospital's policies permitted the release, as its own record of the evaluation says."""
    for house in stage.hospitals:
        runs = [run for run in house.call("request/list") if run["study"] == study["id"]]
        acts = [act for run in runs for act in house.call("request/show", {"run": run["run"]})["acts"]]
        permitted = [act["action"].rpartition("#")[2] for act in acts if act["effect"] == "permit"]
        if sorted(permitted) != ["certify", "export", "export"]:  # the figures, then the candidate
            return False
    return True


def _hub_saw_only_sums(stage: Stage, items: list[Any], study: Mapping[str, Any], rounds: list[dict[str, Any]]) -> None:
    """What the hub received from single sites cannot be told from noise, and adds up to what it opened."""
    tale = stage.tale
    uniform = []
    for round_ in rounds:
        for site in stage.names:
            order = {"study": study["id"], "round": round_["round"], "site": site}
            received = stage.hub.call("study/received", order)
            vector = np.frombuffer(from_base64(received["data"]), dtype=received["dtype"])
            uniform.append(pictures.uniformity(vector))
    tale.claim("the hub holds no dataset of patients", stage.hub.call("dataset/list") == [])
    fewest = min(test.p_value for test in uniform)
    # The bound is corrected for the number of tests (Bonferroni): chance alone fails once in 10,000 demos.
    tale.claim(
        f"no single site's vector can be told from noise ({len(uniform)} vectors, smallest p = {fewest:.3g})",
        fewest > 1e-4 / len(uniform),
    )
    items.append(pictures.received_plot(uniform[-1]))


def _hospital_logs(stage: Stage, items: list[Any]) -> None:
    rows = []
    for house in stage.hospitals:
        entries = _all_entries(house)
        prepared = [body for body in entries if "#Preparation>" in body]
        excluded = [pictures.number_of(body, "excludedPatients") for body in prepared]
        smallest = [pictures.number_of(body, "smallestClass") for body in prepared]
        rows.append((house.name, len(entries), max(excluded), min(smallest)))
        stage.tale.claim(f"{house.name} left out {max(excluded)} excluded patients in every run", min(excluded) >= 1)
        stage.tale.claim(f"{house.name}: the smallest class has {min(smallest)} patients (k = 5)", min(smallest) >= 5)
    items.append(
        Table("What each hospital's log says", ("hospital", "log entries", "left out", "smallest class"), tuple(rows))
    )


def certified(stage: Stage, study: Mapping[str, Any]) -> bytes:
    """The registry finds the dataset in the hub's catalogue, checks its certificate and takes it in."""
    tale = stage.tale
    items = tale.chapter(
        "The registry verifies the certificate and takes the dataset in",
        "The certificate is a W3C Verifiable Credential (eddsa-jcs-2022); it rests on evidence each hospital signed.",
    )
    result = study["result"]
    order = {"hub": stage.hub.did, "package": result["package"]}
    collected = stage.registry.call("registry/collect", order)
    package = from_base64(collected["package"])
    receipt = stage.registry.call(
        "registry/ingest", {"package": collected["package"], "purpose": "ehds:HealthcareScientificResearch"}
    )
    for line in receipt["lines"]:
        tale.say(line)
    tale.claim("every check of the registry holds and the dataset is taken in", receipt["accepted"])
    told = stage.hub.call("certificate/receipts")
    taken = [found for found in told if found["event"] == "accepted" and found["peer"] == stage.registry.did]
    tale.claim("the hub keeps the registry's signed receipt, with the proof of its log entry", len(taken) == 1)
    artefact = receipt["report"]["artefact"]
    for target in ("parquet", "fhir"):
        loaded = stage.registry.call("registry/load", {"artefact": artefact, "target": target, "user": "office:demo"})
        tale.claim(f"the registry puts the rows where they are used: {target}", bool(loaded["place"]))
    items.append(pictures.checks_of("The registry's checks", receipt["report"]))
    items.extend(certificate_items(result["document"]))
    tale.close_chapter()
    return package


def provenance(stage: Stage, study: Mapping[str, Any]) -> None:
    """Every log verifies, and the dataset's origin can be asked for."""
    tale = stage.tale
    items = tale.chapter(
        "The memory of the gate",
        "Every step stands in a log that outsiders can verify. The graph shows what the hub's log says of the dataset.",
    )
    for house in [*stage.hospitals, stage.hub, stage.registry]:
        verified = house.call("log/verify")
        tale.claim(f"{house.name}: {verified['sentence']}", verified["size"] > 0)
        witnesses = house.call("log/witness")
        tale.claim(f"{house.name}: {len(witnesses)} other connectors cosigned the head of its log", len(witnesses) == 4)
    about = study["result"]["document"]["credentialSubject"]["id"]
    graph = stage.hub.call("lineage/ask", {"question": "graph", "about": about})
    items.append(graph_item("Where the synthetic dataset comes from", graph))
    items.append(
        Code("One proof that an outsider can check offline", stage.hub.call("log/prove", {"entry": 0})["proof"])
    )
    tale.close_chapter()


def _all_entries(house: House) -> list[str]:
    bodies: list[str] = []
    after = -1
    while page := house.call("log/entries", {"after": after, "limit": 1000}):
        bodies += [entry["body"] for entry in page]
        after = page[-1]["sequence"]
    return bodies


def _answers(stage: Stage, study: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What each hospital decided, as it stands in its own house: the hub hears one sentence of it."""
    found = {}
    for house in stage.hospitals:
        runs = [
            run for run in house.call("request/list") if run["study"] == study["id"] and run["action"] == "synthesise"
        ]
        if not runs:
            continue  # it was never asked, which the claims then show
        decision = house.call("request/show", {"run": runs[-1]["run"]})["decision"]
        found[house.did] = {"effect": decision["effect"], "decision": decision, "sentences": _sentences(decision)}
    return found


def _sentences(decision: Mapping[str, Any]) -> list[str]:
    """What a decision gives as its reasons, each once, and what would change it."""
    reasons = [f"{each['explanation']} ({each['article']})" for each in decision["reasons"]]
    changes = [f"  – {change['sentence']}" for change in decision["changes"]]
    return [*dict.fromkeys(reasons), *(["The smallest change that would permit:", *changes] if changes else [])]


def _effects(answers: Mapping[str, dict[str, Any]]) -> list[str]:
    return [answer["effect"] for answer in answers.values()]


def _one_change_each(answers: Mapping[str, dict[str, Any]]) -> bool:
    return all(len(a["decision"]["changes"]) == 1 and "6" in str(a["decision"]["changes"]) for a in answers.values())


def _show_one_decision(stage: Stage, items: list[Any], answers: Mapping[str, dict[str, Any]]) -> None:
    if not answers:
        return
    site, answer = next(iter(answers.items()))
    sentences = tuple(stage.plain(sentence) for sentence in answer["sentences"])
    for sentence in sentences:
        stage.tale.say(sentence)
    items.append(decision_item(f"Decision of {stage.names[site]}", answer["decision"], sentences))


def _states(states: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(states.items()))

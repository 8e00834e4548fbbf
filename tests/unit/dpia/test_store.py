from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from synthema.clock import FixedClock
from synthema.dpia import (
    Declaration,
    Dpia,
    DpiaState,
    DpiaStore,
    DpiaVersion,
    Evidence,
    GateReport,
    Outcome,
    PluginState,
    confirm_gates,
    declaration_bytes,
    load_dpia,
    measured,
    pin_plugins,
    signing_bytes,
)
from synthema.errors import ConflictError, DeniedError, InputError, IntegrityError, NotFoundError, StorageError
from synthema.identity import People, PersonKey
from synthema.provenance import PeopleLog, ProvenanceLog
from synthema.resources import bundled
from synthema.storage import Database
from tests.unit.datasets.support import log_text, make_log

SYN = "https://w3id.org/synthema/ns#"
FILES = "sha256:" + "a" * 64
CAPABILITIES = ("anonymise", "anonymised_codebook", "federated_contribute", "secure_sum_mask")


class Cast:
    """Three role accounts and their keys."""

    def __init__(self, people: People) -> None:
        self.keys: dict[str, PersonKey] = {}
        self.ids: dict[str, str] = {}
        for role in ("dpo", "data steward", "operator"):
            key = PersonKey(Ed25519PrivateKey.generate())
            self.keys[role] = key
            self.ids[role] = people.register([role], key.public_key).id

    def sign(self, store: DpiaStore, version: DpiaVersion, role: str) -> DpiaVersion:
        return store.sign(version.id, self.ids[role], self.keys[role].sign(signing_bytes(version.digest)))


@pytest.fixture
def log(database: Database, clock: FixedClock) -> ProvenanceLog:
    return make_log(database, clock)


@pytest.fixture
def people(database: Database, log: ProvenanceLog, clock: FixedClock) -> People:
    return People(database, PeopleLog(log), clock)


@pytest.fixture
def cast(people: People) -> Cast:
    return Cast(people)


@pytest.fixture
def plugins() -> dict[str, PluginState]:
    """What the plugin registry says; a test changes it."""
    return {name: PluginState("approved", FILES, CAPABILITIES) for name in ("minimise", "marginals", "secure-sum")} | {
        "evaluation": PluginState("approved", FILES, ("evaluate", "shadow_attack"))
    }


@pytest.fixture
def store(
    database: Database, log: ProvenanceLog, clock: FixedClock, people: People, plugins: dict[str, PluginState]
) -> DpiaStore:
    return DpiaStore(database, log, clock, people, lambda name: plugins.get(name, PluginState("not installed")))


@pytest.fixture(scope="module")
def draft() -> Dpia:
    return load_dpia(bundled("legal") / "dpia" / "synthetic-data.yaml")


@pytest.fixture(scope="module")
def ready(draft: Dpia) -> Dpia:
    return pin_plugins(confirm_gates(draft), dict.fromkeys(draft.plugins(), FILES))


def activate(store: DpiaStore, cast: Cast, dpia: Dpia) -> DpiaVersion:
    version = store.propose(dpia)
    for role in ("dpo", "operator"):
        version = cast.sign(store, version, role)
    return version


def declare(
    store: DpiaStore, cast: Cast, version: DpiaVersion, kind: Declaration, subject: str, role: str, text: str = "so"
) -> DpiaVersion:
    signature = cast.keys[role].sign(declaration_bytes(kind, version.digest, subject, text))
    return store.declare(version.id, kind, subject, text, cast.ids[role], signature)


@pytest.mark.article("GDPR 35(2)")
def test_two_people_one_of_them_the_officer_put_it_in_force(
    store: DpiaStore, cast: Cast, ready: Dpia, log: ProvenanceLog
) -> None:
    version = store.propose(ready)
    assert version.state is DpiaState.PROPOSED
    assert store.propose(ready) == version
    assert cast.sign(store, version, "data steward").state is DpiaState.PROPOSED
    with pytest.raises(DeniedError):
        store.covering("mgus")[-1]
    signed = cast.sign(store, version, "dpo")
    assert signed.state is DpiaState.ACTIVE
    assert signed.signed_by == (cast.ids["data steward"], cast.ids["dpo"])
    assert store.covering("mgus")[-1].digest == ready.digest
    assert store.covering("mgus", "syn:synthesise")[-1].id == version.id
    said = log_text(log)
    for step in ("DpiaProposal", "DpiaSignature", "DpiaActivation"):
        assert step in said


def test_without_an_officer_it_does_not(store: DpiaStore, cast: Cast, ready: Dpia) -> None:
    version = store.propose(ready)
    cast.sign(store, version, "data steward")
    with pytest.raises(DeniedError, match="no data protection officer"):
        cast.sign(store, version, "operator")
    assert store.version(version.id).signed_by == (cast.ids["data steward"],)
    assert cast.sign(store, version, "dpo").state is DpiaState.ACTIVE


def test_nobody_signs_twice(store: DpiaStore, cast: Cast, ready: Dpia) -> None:
    version = store.propose(ready)
    cast.sign(store, version, "dpo")
    with pytest.raises(ConflictError, match="signed already"):
        cast.sign(store, version, "dpo")


def test_a_signature_over_anything_else_is_none(store: DpiaStore, cast: Cast, ready: Dpia) -> None:
    version = store.propose(ready)
    for data in (b"", version.digest.encode(), signing_bytes("sha256:00")):
        with pytest.raises(IntegrityError):
            store.sign(version.id, cast.ids["dpo"], cast.keys["dpo"].sign(data))
    with pytest.raises(IntegrityError):
        store.sign(version.id, cast.ids["dpo"], cast.keys["operator"].sign(signing_bytes(version.digest)))
    with pytest.raises(DeniedError):
        store.sign(version.id, "person-unknown", b"")


def test_unconfirmed_thresholds_cannot_be_signed(store: DpiaStore, cast: Cast, draft: Dpia) -> None:
    version = store.propose(draft)
    with pytest.raises(ConflictError, match="18 thresholds are not confirmed"):
        cast.sign(store, version, "dpo")


def test_a_new_version_supersedes_the_old(store: DpiaStore, cast: Cast, ready: Dpia, clock: FixedClock) -> None:
    old = store.propose(ready)
    for role in ("dpo", "operator"):
        cast.sign(store, old, role)
    new = store.propose(ready.model_copy(update={"version": "1.1"}))
    clock.advance(timedelta(days=1))
    for role in ("operator", "dpo"):
        cast.sign(store, new, role)
    assert store.version(old.id).state is DpiaState.SUPERSEDED
    assert store.covering("mgus")[-1].id == new.id
    assert [v.id for v in store.versions()] in ([new.id, old.id], [old.id, new.id])
    with pytest.raises(ConflictError):
        cast.sign(store, old, "data steward")


def test_withdrawn_is_not_in_force(store: DpiaStore, cast: Cast, ready: Dpia) -> None:
    version = store.propose(ready)
    for role in ("dpo", "operator"):
        cast.sign(store, version, role)
    assert store.facts(store.covering("mgus")[-1])[f"{SYN}dpiaOutcome"].value == Outcome.MITIGATED.iri
    withdrawn = store.withdraw(version.id)
    assert store.facts(withdrawn) == {}
    with pytest.raises(DeniedError):
        store.check("mgus", "pre-release", [], datetime(2026, 11, 21, tzinfo=UTC))
    with pytest.raises(ConflictError):
        store.withdraw(version.id)


def test_it_covers_what_it_names(store: DpiaStore, cast: Cast, ready: Dpia) -> None:
    processing = ready.processing.model_copy(update={"datasets": ("mgus",)})
    version = store.propose(ready.model_copy(update={"processing": processing}))
    for role in ("dpo", "operator"):
        cast.sign(store, version, role)
    assert store.covering("mgus")[-1].id == version.id
    for dataset, action in (("mds", None), ("mgus", "syn:link")):
        with pytest.raises(DeniedError, match="GDPR Art"):
            store.covering(dataset, action)


@pytest.mark.article("GDPR 35(1)")
def test_where_several_cover_an_act_all_of_them_hold_and_the_officer_is_told_so(
    store: DpiaStore, cast: Cast, ready: Dpia
) -> None:
    sooner = ready.model_copy(update={"id": "beside", "review_due": ready.review_due - timedelta(days=30)})
    for dpia in (sooner, ready):  # whichever is signed last
        version = store.propose(dpia)
        for role in ("dpo", "operator"):
            cast.sign(store, version, role)
    act = f"{SYN}synthesise"
    assert [found.dpia.id for found in store.covering("mgus", act)] == ["beside", ready.id]
    facts = store.facts_for("mgus", act)
    assert facts[f"{SYN}dpiaReviewDue"].value.date() == sooner.review_due
    assert facts[f"{SYN}dpiaOutcome"].value == Outcome.MITIGATED.iri
    report = store.check("mgus", "pre-run", [], NOW, act)
    gates = sorted(result.gate for result in report.results if result.gate.endswith(": crowd"))
    assert gates == sorted([f"{ready.id}: crowd", "beside: crowd"])
    assert any("'beside'. 2 assessments in force cover this act, and all of" in said for said in report.failures())
    assert (report.dpia_digest, len(report.beside)) == (version.digest, 1)
    store.record(report, attacked(0.55, NOW), about=RUN)
    assert all(store.figures(found) for found in store.covering("mgus", act))
    both = store.rules_digest("mgus", act)
    (first, _) = store.covering("mgus", act)
    declare(store, cast, first, "raised", first.dpia.triggers[0].id, "dpo", "an attack was published")
    with pytest.raises(DeniedError, match="So says the assessment 'beside'"):
        store.require("mgus", act)
    assert f"{SYN}dpiaOutcome" not in store.facts_for("mgus", act)
    assert any("2 assessments in force" in said for said in store.why_not("mgus", act))
    store.withdraw(first.id)
    assert store.why_not("mgus", act) == ()
    assert both != store.rules_digest("mgus", act) == version.digest


def test_facts_carry_the_review_date(store: DpiaStore, cast: Cast, ready: Dpia) -> None:
    version = store.propose(ready)
    for role in ("dpo", "operator"):
        cast.sign(store, version, role)
    fact = store.facts(store.covering("mgus")[-1])[f"{SYN}dpiaReviewDue"]
    assert isinstance(fact.value, datetime)
    assert fact.value.date() == ready.review_due
    assert fact.evidence == f"http://127.0.0.1:8101/id/dpia/{version.id}"
    report = store.check("mgus", "pre-release", [], datetime(2026, 11, 21, tzinfo=UTC))
    assert not report.conformant


def test_an_overdue_assessment_cannot_be_signed(store: DpiaStore, cast: Cast, ready: Dpia, clock: FixedClock) -> None:
    version = store.propose(ready)
    clock.advance(timedelta(days=366))
    with pytest.raises(ConflictError, match="overdue"):
        cast.sign(store, version, "dpo")


def test_what_is_not_logged_does_not_happen(
    store: DpiaStore, ready: Dpia, log: ProvenanceLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StorageError("the log is full", fix="make room")

    monkeypatch.setattr(log, "append", fail)
    with pytest.raises(StorageError):
        store.propose(ready)
    assert store.versions() == []


def test_an_unknown_version(store: DpiaStore) -> None:
    with pytest.raises(NotFoundError):
        store.version("dpia-none")


# whether it holds ----------------------------------------------------------------------------------------------------


def test_the_files_of_plugins_are_noted_when_it_is_proposed(store: DpiaStore, draft: Dpia) -> None:
    version = store.propose(confirm_gates(draft))
    assert {m.plugin_digest for m in version.dpia.measures if m.plugin} == {FILES}


@pytest.mark.article("GDPR 35(11)")
@pytest.mark.parametrize(
    ("state", "said"),
    [
        (PluginState("approved", "sha256:" + "b" * 64, CAPABILITIES), "have changed since the assessment was signed"),
        (PluginState("revoked", FILES, CAPABILITIES), "'marginals' is revoked"),
        (PluginState("not approved", FILES, CAPABILITIES), "'marginals' is not approved"),
        (PluginState("approved", FILES, ("generate",)), "does not have the capability 'federated_contribute'"),
        (PluginState("not installed"), "'marginals' is not installed"),
    ],
)
def test_a_measure_whose_plugin_is_not_as_assessed_makes_it_deny(
    store: DpiaStore, cast: Cast, ready: Dpia, plugins: dict[str, PluginState], state: PluginState, said: str
) -> None:
    version = activate(store, cast, ready)
    assert store.examine(version).conformant
    assert store.why_not("mgus", "syn:synthesise") == ()
    plugins["marginals"] = state
    found = store.examine(version)
    assert not found.conformant
    (sentence,) = found.sentences()
    assert "'differential-privacy' is not in place" in sentence
    assert said in sentence
    assert "To change it: " in sentence
    outcome = store.facts(version)[f"{SYN}dpiaOutcome"]
    assert outcome.value == Outcome.HIGH_RESIDUAL.iri
    with pytest.raises(DeniedError, match="does not hold"):
        store.require("mgus", "syn:synthesise")
    report = store.check("mgus", "pre-run", [], NOW)
    assert any(result.gate == "measure:differential-privacy" and not result.passed for result in report.results)


def test_a_past_review_is_given_to_policies_as_the_day_it_was(
    store: DpiaStore, cast: Cast, ready: Dpia, clock: FixedClock
) -> None:
    version = activate(store, cast, ready.model_copy(update={"plan": ()}))
    clock.advance(timedelta(days=366))
    found = store.examine(version)
    assert [finding.kind for finding in found.stops()] == ["review"]
    facts = store.facts(version)
    due = facts[f"{SYN}dpiaReviewDue"].value
    assert isinstance(due, datetime)
    assert due < clock.now()
    assert f"{SYN}dpiaOutcome" not in facts  # so that a policy which does not ask for the day denies as well


@pytest.mark.article("GDPR 35(2)")
def test_a_signature_can_be_taken_back(store: DpiaStore, cast: Cast, ready: Dpia, log: ProvenanceLog) -> None:
    version = activate(store, cast, ready)
    declare(store, cast, version, "signature withdrawn", cast.ids["dpo"], "dpo")
    (sentence,) = store.examine(version).sentences("syn:synthesise")
    assert "1 of 2 signatures stand; 1 withdrew, and no data protection officer among them" in sentence
    assert f"{SYN}dpiaOutcome" not in store.facts(version)
    assert "DpiaDeclaration" in log_text(log)
    with pytest.raises(InputError, match="no 'person-"):
        declare(store, cast, version, "signature withdrawn", cast.ids["data steward"], "data steward")
    with pytest.raises(InputError):  # nobody takes back the signature of another
        declare(store, cast, version, "signature withdrawn", cast.ids["operator"], "dpo")


def test_a_version_with_a_withdrawn_signature_is_not_signed_on(store: DpiaStore, cast: Cast, ready: Dpia) -> None:
    version = store.propose(ready)
    cast.sign(store, version, "dpo")
    declare(store, cast, version, "signature withdrawn", cast.ids["dpo"], "dpo")
    with pytest.raises(ConflictError, match="withdrew their signature"):
        cast.sign(store, version, "operator")


@pytest.mark.article("GDPR 35(11)")
def test_a_reason_to_review_stops_until_an_officer_answers_it(store: DpiaStore, cast: Cast, ready: Dpia) -> None:
    version = activate(store, cast, ready)
    declare(store, cast, version, "raised", "breach", "data steward", "a patient was recognised")
    (sentence,) = store.examine(version).sentences()
    assert "A personal data breach (GDPR Art. 33)" in sentence
    with pytest.raises(DeniedError, match="only a data protection officer"):
        declare(store, cast, version, "answered", "breach", "data steward")
    declare(store, cast, version, "answered", "breach", "dpo", "a false report")
    assert store.examine(version).conformant
    with pytest.raises(InputError, match="no 'breach'"):
        declare(store, cast, version, "answered", "breach", "dpo")
    with pytest.raises(InputError, match="no 'war'"):
        declare(store, cast, version, "raised", "war", "dpo")


def test_an_item_of_the_plan_that_is_late_stops_until_it_is_done(
    store: DpiaStore, cast: Cast, ready: Dpia, clock: FixedClock
) -> None:
    due = clock.now().date() + timedelta(days=30)
    plan = (ready.plan[1].model_copy(update={"due": due}),)
    version = activate(store, cast, ready.model_copy(update={"plan": plan}))
    next_due = store.examine(version).next_due()
    assert next_due is not None
    assert next_due.subject == "practise-restore"
    clock.advance(timedelta(days=31))
    (sentence,) = store.examine(version).sentences()
    assert "'practise-restore'" in sentence
    assert "is not done" in sentence
    declare(store, cast, version, "done", "practise-restore", "operator", "restored in forty minutes")
    assert store.examine(version).conformant
    again = activate(store, cast, version.dpia.model_copy(update={"version": "2.1"}))
    assert store.examine(again).conformant  # the very same item is done
    moved = (plan[0].model_copy(update={"sentence": "Something else"}),)
    other = activate(store, cast, version.dpia.model_copy(update={"version": "2.2", "plan": moved}))
    assert not store.examine(other).conformant


def test_a_declaration_is_signed_for_what_it_says(store: DpiaStore, cast: Cast, ready: Dpia) -> None:
    version = activate(store, cast, ready)
    signature = cast.keys["dpo"].sign(declaration_bytes("raised", version.digest, "breach", "one"))
    with pytest.raises(IntegrityError):
        store.declare(version.id, "raised", "breach", "another", cast.ids["dpo"], signature)
    store.withdraw(version.id)
    with pytest.raises(ConflictError, match="version in force"):
        declare(store, cast, version, "raised", "breach", "dpo")


# after the release ---------------------------------------------------------------------------------------------------

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
RUN = "http://127.0.0.1:8101/id/run/run-1"


def attacked(auc: float, at: datetime, source: str = RUN) -> list[Evidence]:
    return [
        measured("membershipAUC", auc, 200, at, source, lower=auc - 0.02, upper=auc + 0.02),
        measured("singlingOutRisk", 0.05, 200, at, source, lower=0.0, upper=0.1),
    ]


def release(store: DpiaStore, at: datetime) -> GateReport:
    report = store.check("mgus", "pre-release", attacked(0.55, at), at)
    store.record(report, attacked(0.55, at), about=RUN, released=True)
    return report


@pytest.mark.article("GDPR 35(11)")
def test_a_release_is_measured_again_or_stops_what_comes_after(
    store: DpiaStore, cast: Cast, ready: Dpia, clock: FixedClock, log: ProvenanceLog
) -> None:
    longer = ready.model_copy(update={"review_due": date(2036, 1, 1), "plan": ()})
    version = activate(store, cast, longer)
    release(store, clock.now())
    assert "GateCheck" in log_text(log)
    assert store.examine(version).conformant
    due = store.examine(version).next_due()
    assert due is not None
    assert due.subject == "membership-attack-again"
    clock.advance(timedelta(days=366))
    found = store.examine(version)
    assert {finding.subject for finding in found.stops()} == {"membership-attack-again", "singling-out-again"}
    assert all("never measured again" in finding.sentence for finding in found.stops())
    assert {(finding.subject, finding.release) for finding in store.failing_releases()} == {
        ("membership-attack-again", RUN),
        ("singling-out-again", RUN),
    }
    assert found.stops("syn:evaluateModel") == ()  # measuring again is what mends it
    assert f"{SYN}dpiaOutcome" not in store.facts(version, "syn:synthesise")
    assert f"{SYN}dpiaOutcome" in store.facts(version, "syn:evaluateModel")
    again = attacked(0.56, clock.now(), RUN + "2")
    store.record(store.check("mgus", "post-release", again, clock.now(), "syn:evaluateModel"), again, about=RUN)
    assert store.examine(version).conformant
    assert store.failing_releases() == ()
    assert store.measured_in(RUN) == (RUN, RUN + "2")
    assert store.figures(version)["membershipAUC"].source == RUN + "2"


def test_a_release_that_no_longer_passes_is_recalled(
    store: DpiaStore, cast: Cast, ready: Dpia, clock: FixedClock
) -> None:
    version = activate(store, cast, ready)
    release(store, clock.now())
    clock.advance(timedelta(days=10))
    worse = attacked(0.8, clock.now())
    store.record(store.check("mgus", "post-release", worse, clock.now()), worse, about=RUN)
    (sentence,) = store.examine(version).sentences("syn:synthesise")
    assert "does not pass" in sentence
    assert "recall the release" in sentence
    with pytest.raises(DeniedError, match="only a data protection officer"):
        declare(store, cast, version, "recalled", RUN, "operator")
    declare(store, cast, version, "recalled", RUN, "dpo", "drawn back from the registry")
    assert store.examine(version).conformant
    new = activate(store, cast, version.dpia.model_copy(update={"version": "3"}))
    assert store.examine(new).conformant


def test_a_new_version_inherits_what_was_released(store: DpiaStore, cast: Cast, ready: Dpia, clock: FixedClock) -> None:
    activate(store, cast, ready)
    release(store, clock.now())
    worse = attacked(0.8, clock.now() + timedelta(hours=1))
    clock.advance(timedelta(hours=2))
    store.record(store.check("mgus", "post-release", worse, clock.now()), worse, about=RUN)
    new = activate(store, cast, ready.model_copy(update={"version": "3"}))
    assert not store.examine(new).conformant


def test_what_is_no_number_is_not_kept(store: DpiaStore, cast: Cast, ready: Dpia, clock: FixedClock) -> None:
    version = activate(store, cast, ready)
    odd = [measured("membershipAUC", float("nan"), 5, clock.now(), RUN)]
    store.record(store.check("mgus", "pre-release", odd, clock.now()), odd)
    assert store.figures(version) == {}

"""Nothing that is missing, stale, odd, in another unit or about others passes a gate; tightening never passes more."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from synthema.clock import duration
from synthema.dpia import Dpia, Evidence, Gate, check, confirm_gates, load_dpia
from synthema.dpia.check import judge_gate
from synthema.dpia.conformance import Circumstances, PluginState, Signature, examine
from synthema.dpia.terms import expand
from synthema.resources import bundled

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
SHIPPED = confirm_gates(load_dpia(bundled("legal") / "dpia" / "synthetic-data.yaml"))
SOURCE = "http://127.0.0.1:8101/id/run/run-1"

gates = st.sampled_from(SHIPPED.gates)
values = st.floats(-2, 200, allow_nan=False)


def right(gate: Gate, value: float, **changes: Any) -> Evidence:
    """Evidence of the right kind for a gate, with some value."""
    metric = SHIPPED.metric(gate.metric)
    found = Evidence(
        gate.metric, value, 10_000, NOW, SOURCE, value, value, metric.unit, metric.population,
        expand(gate.evidence), 0.95,
    )  # fmt: skip
    return replace(found, **changes)


def passes(gate: Gate, *evidence: Evidence, dpia: Dpia = SHIPPED) -> bool:
    return all(result.passed for result in judge_gate(dpia, gate, evidence, NOW))


@given(gates)
@pytest.mark.article("GDPR 35(7)")
def test_missing_evidence_passes_nothing_but_where_the_assessment_lets_it_be_noted(gate: Gate) -> None:
    noted = gate.on_missing == "note"
    other = next(g for g in SHIPPED.gates if g.metric != gate.metric)
    for evidence in ((), (right(other, other.threshold),)):
        assert passes(gate, *evidence) == noted
        (result,) = judge_gate(SHIPPED, gate, evidence, NOW)
        assert result.observed is None
        assert ("does not ask for it always" in result.sentence) == noted


@given(gates, values, st.sampled_from(["value", "lower", "upper"]), st.sampled_from([float("nan"), float("inf")]))
def test_what_is_no_number_passes_nothing(gate: Gate, value: float, end: str, odd: float) -> None:
    for number in (odd, -odd):
        changes: dict[str, Any] = {end: number}
        assert not passes(gate, replace(right(gate, value), **changes))


@given(gates, values, st.integers(1, 10**7))
def test_stale_evidence_and_evidence_from_the_future_pass_nothing(gate: Gate, value: float, seconds: int) -> None:
    stale = NOW - duration(gate.maximum_age) - timedelta(seconds=seconds)
    assert not passes(gate, right(gate, value, measured_at=stale))
    assert not passes(gate, right(gate, value, measured_at=NOW + timedelta(seconds=seconds)))


@given(gates, values, st.sampled_from([None, "share", "patients", "records", "months"]))
def test_another_unit_passes_nothing(gate: Gate, value: float, unit: Any) -> None:
    assume(unit != SHIPPED.metric(gate.metric).unit)
    assert not passes(gate, right(gate, value, unit=unit))


@given(gates, values, st.sampled_from([None, "cohort", "synthetic records", "releases", "held-out patients"]))
def test_other_people_pass_nothing(gate: Gate, value: float, population: Any) -> None:
    assume(population != SHIPPED.metric(gate.metric).population)
    assert not passes(gate, right(gate, value, population=population))


@given(gates, values, st.sampled_from([None, "syn:Promise", "https://example.org/report", ""]))
def test_another_kind_of_evidence_passes_nothing(gate: Gate, value: float, kind: Any) -> None:
    assert not passes(gate, right(gate, value, kind=kind))


@given(gates, values, st.one_of(st.none(), st.floats(0, 0.949), st.just(float("nan")), st.floats(1, 9)))
def test_a_less_certain_interval_passes_no_gate_that_judges_it(gate: Gate, value: float, confidence: Any) -> None:
    assume(gate.bound != "value")
    assert not passes(gate, right(gate, value, confidence=confidence))


@given(gates, values, values)
def test_tightening_a_threshold_never_passes_more(gate: Gate, value: float, other: float) -> None:
    tightens = {"lt": -1, "lteq": -1, "gt": 1, "gteq": 1}.get(gate.operator)
    assume(tightens is not None and (other - gate.threshold) * (tightens or 0) > 0)
    if not passes(gate, right(gate, value)):
        assert not passes(gate.model_copy(update={"threshold": other}), right(gate, value))


@given(gates, values, st.integers(0, 30))
def test_asking_for_more_never_passes_more(gate: Gate, value: float, n: int) -> None:
    evidence = right(gate, value, n=n, measured_at=NOW - timedelta(minutes=20))
    for stricter in ({"minimum_n": gate.minimum_n + 5}, {"maximum_age": "PT10M"}, {"confirmed_by_site": False}):
        if not passes(gate, evidence):
            assert not passes(gate.model_copy(update=stricter), evidence)
    assert not passes(gate.model_copy(update={"confirmed_by_site": False}), evidence)


@settings(max_examples=40)
@given(st.data())
def test_order_is_irrelevant(data: st.DataObject) -> None:
    evidence = [right(gate, data.draw(values)) for gate in SHIPPED.gates]
    shuffled = data.draw(st.permutations(evidence))
    document = SHIPPED.model_dump()
    for part in ("gates", "risks", "measures", "metrics"):
        document[part] = data.draw(st.permutations(document[part]))
    other = Dpia.model_validate(document)
    for phase in ("pre-run", "in-run", "pre-release", "post-release"):
        one, two = check(SHIPPED, phase, evidence, NOW), check(other, phase, shuffled, NOW)
        assert one.conformant == two.conformant
        assert {(r.gate, r.observed, r.passed) for r in one.results} == {
            (r.gate, r.observed, r.passed) for r in two.results
        }


@settings(max_examples=60)
@given(st.data())
def test_more_evidence_never_turns_no_into_yes_for_what_failed(data: st.DataObject) -> None:
    gate = data.draw(gates)
    evidence = [right(gate, value) for value in data.draw(st.lists(values, min_size=1, max_size=3))]
    more = [*evidence, right(gate, data.draw(values))]
    if not passes(gate, *evidence):
        assert not passes(gate, *more)


PINNED = SHIPPED.model_copy(
    update={
        "measures": tuple(
            m.model_copy(update={"plugin_digest": "sha256:" + "0" * 64}) if m.plugin else m for m in SHIPPED.measures
        )
    }
)
GOOD = Circumstances(
    plugins={
        name: PluginState("approved", "sha256:" + "0" * 64, tuple(m.capability for m in SHIPPED.measures))
        for name in SHIPPED.plugins()
    },
    signatures=(Signature("person-1", ("dpo",)), Signature("person-2", ("data steward",))),
)


@settings(max_examples=60)
@given(st.data())
@pytest.mark.article("GDPR 35(11)")
def test_taking_anything_away_from_what_it_rests_on_never_makes_it_hold(data: st.DataObject) -> None:
    assert examine(PINNED, GOOD, NOW).conformant
    plugins = dict(GOOD.plugins)
    name = data.draw(st.sampled_from(sorted(plugins)))
    change = data.draw(st.sampled_from(["gone", "digest", "revoked", "capability", "signature", "late", "raised"]))
    state = plugins[name]
    circumstances, at = GOOD, NOW
    match change:
        case "gone":
            circumstances = replace(GOOD, plugins={k: v for k, v in plugins.items() if k != name})
        case "digest":
            circumstances = replace(GOOD, plugins=plugins | {name: replace(state, digest="sha256:" + "1" * 64)})
        case "revoked":
            circumstances = replace(GOOD, plugins=plugins | {name: replace(state, standing="revoked")})
        case "capability":
            circumstances = replace(GOOD, plugins=plugins | {name: replace(state, capabilities=())})
        case "signature":
            gone = replace(GOOD.signatures[data.draw(st.integers(0, 1))], withdrawn_at=NOW)
            kept = [s for s in GOOD.signatures if s.person != gone.person]
            circumstances = replace(GOOD, signatures=(gone, *kept))
        case "late":
            at = NOW + timedelta(days=data.draw(st.integers(366, 4000)))
        case _:
            circumstances = replace(GOOD, raised={"breach": NOW})
    found = examine(PINNED, circumstances, at)
    assert not found.conformant
    assert found.sentences()
    assert all("To change it: " in sentence for sentence in found.sentences())
    assert found.outcome("syn:synthesise") != PINNED.outcome

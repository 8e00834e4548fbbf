# ruff: noqa: S101 - assertions are what a contract test is made of
"""Contract tests for authors of plugins: subclass the class of your kind, name your plugin, run pytest.

    from synthema.spi.testing import GeneratorContract

    class TestMine(GeneratorContract):
        plugin = "my-generator"
        parameters = {"degree": 2}

The plugin must be installed (an editable install will do). Hooks are called in
this process, but every value takes the same way through the exchange as in the
sandbox. Override :meth:`PluginContract.new_session` to test inside a real
sandbox. The tables are simulated: no row describes a person.
"""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Protocol

import numpy as np
import polars as pl
import pytest

from synthema.datasets.codebook import Codebook
from synthema.spi.exchange import Folder, decode, decode_arguments, encode, encode_arguments, signature
from synthema.spi.hookspecs import KINDS
from synthema.spi.hosting import Host
from synthema.spi.loader import InstalledPlugin, find
from synthema.spi.manifest import describe
from synthema.spi.model import (
    Aggregate,
    Anonymised,
    Contribution,
    Evaluation,
    Generated,
    Json,
    Parameters,
    Plan,
    State,
    Table,
)
from synthema.spi.simulated import check_conforms, simulated_codebook, simulated_table

__all__ = [
    "AggregatorContract",
    "AnalysisContract",
    "AnonymiserContract",
    "Caller",
    "EvaluatorContract",
    "FederatedAlgorithmContract",
    "FederatedAnalysisContract",
    "GeneratorContract",
    "InProcess",
    "PluginContract",
    "check_conforms",
    "simulated_codebook",
    "simulated_table",
]

MAX_ROUNDS = 100


class Caller(Protocol):
    """What calls hooks: a sandbox session, or :class:`InProcess`."""

    def call(self, plugin: str, hook: str, **arguments: Any) -> Any:
        """Call a hook of a plugin and return its value."""
        ...


class InProcess:
    """Calls hooks in this process, through the exchange; each object holds a fresh copy of the plugin's module."""

    def __init__(self, plugin: InstalledPlugin, folder: Path) -> None:
        self._plugin = plugin
        self._folder = folder
        self._calls = 0
        self._host = Host(_fresh(plugin.module), plugin.manifest)

    def call(self, plugin: str, hook: str, **arguments: Any) -> Any:
        assert plugin == self._plugin.name
        self._calls += 1
        there, back = Folder(self._folder, prefix=2 * self._calls), Folder(self._folder, prefix=2 * self._calls + 1)
        if "parameters" in arguments:
            arguments["parameters"] = self._plugin.manifest.validate_parameters(arguments["parameters"])
        given = decode_arguments(hook, encode_arguments(hook, arguments, there), there)
        returns = signature(hook).returns
        value = decode(encode(self._host.call(hook, given), returns, back), returns, back)
        there.remove()
        back.remove()
        return value


def _fresh(module: str) -> ModuleType:
    """Import a package anew, so that one object's state is not another's."""
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == module}
    try:
        return importlib.import_module(module)
    finally:
        sys.modules.update(before)


class PluginContract:
    """What holds for every plugin. Name yours in ``plugin``; ``parameters`` are those the tests run it with."""

    plugin: ClassVar[str]
    kind: ClassVar[str]
    parameters: ClassVar[Parameters] = {}
    rows: ClassVar[int] = 300

    @pytest.fixture
    def installed(self) -> InstalledPlugin:
        """The plugin as it is found on this machine, not imported."""
        return find(self.plugin)

    def new_session(self, installed: InstalledPlugin, folder: Path) -> Caller:
        """Make a caller. Override it to run the tests inside a sandbox; close what you open in a fixture."""
        return InProcess(installed, folder)

    @pytest.fixture
    def session(self, installed: InstalledPlugin, tmp_path: Path) -> Iterator[Caller]:
        """One caller for one test."""
        session = self.new_session(installed, tmp_path)
        yield session
        getattr(session, "close", lambda: None)()

    @pytest.fixture
    def codebook(self) -> Codebook:
        """What the tables of the tests mean; a kind that works on anonymised tables has no patient key in it."""
        return simulated_codebook(with_identifier=self.kind == "anonymiser")

    @pytest.fixture
    def table(self, codebook: Codebook) -> Table:
        """Simulated rows that conform to :meth:`codebook`."""
        return simulated_table(self.rows, with_identifier="patient" in codebook.names())

    def ask(self, session: Caller, hook: str, **arguments: Any) -> Any:
        """Call a hook of the plugin under test."""
        return session.call(self.plugin, hook, **arguments)

    def test_its_manifest_says_the_kind_and_all_its_hooks(self, installed: InstalledPlugin) -> None:
        assert self.kind in installed.manifest.kinds
        assert set(KINDS[self.kind]) <= set(installed.manifest.capabilities)

    def test_it_implements_exactly_what_it_declares(self, session: Caller) -> None:
        assert session is not None  # opening it compares hooks with capabilities and refuses a difference

    def test_a_data_protection_officer_can_read_what_it_is(self, installed: InstalledPlugin) -> None:
        sentences = describe(installed.manifest)
        assert len(sentences) >= 5
        assert all(sentence.endswith(".") for sentence in sentences)

    def test_the_parameters_of_the_tests_are_allowed(self, installed: InstalledPlugin) -> None:
        installed.manifest.validate_parameters(self.parameters)


class AnonymiserContract(PluginContract):
    """An anonymiser says beforehand what its table will look like, and then it does."""

    kind = "anonymiser"

    @pytest.fixture
    def result(self, session: Caller, table: Table, codebook: Codebook) -> Anonymised:
        value = self.ask(session, "anonymise", table=table, codebook=codebook, parameters=self.parameters)
        assert isinstance(value, Anonymised)
        return value

    def test_its_table_conforms_to_its_codebook(self, result: Anonymised) -> None:
        check_conforms(result.table, result.codebook)

    def test_it_adds_no_rows(self, result: Anonymised, table: Table) -> None:
        assert 0 < result.table.height <= table.height

    def test_the_codebook_is_known_without_data(self, session: Caller, result: Anonymised, codebook: Codebook) -> None:
        first, second = (
            self.ask(session, "anonymised_codebook", codebook=codebook, parameters=self.parameters) for _ in range(2)
        )
        assert first == second == result.codebook

    def test_identifiers_are_gone(self, result: Anonymised) -> None:
        assert not result.codebook.names("identifier")

    def test_stability_is_a_whole_number_of_rows(self, result: Anonymised) -> None:
        assert result.stability >= 1

    def test_one_row_changes_at_most_stability_rows(
        self, session: Caller, result: Anonymised, table: Table, codebook: Codebook
    ) -> None:
        fewer = self.ask(session, "anonymise", table=table[1:], codebook=codebook, parameters=self.parameters)
        assert _rows_apart(result.table, fewer.table) <= result.stability

    def test_rows_kept_apart_get_the_same_form(
        self, session: Caller, result: Anonymised, table: Table, codebook: Codebook, installed: InstalledPlugin
    ) -> None:
        if "anonymise_control" not in installed.manifest.capabilities:
            pytest.skip("it has no anonymise_control: no run can hold rows out")
        apart = self.ask(
            session,
            "anonymise_control",
            table=table[:20],
            fitted=table[20:],
            codebook=codebook,
            parameters=self.parameters,
        )
        assert apart.schema == result.table.schema
        assert apart.height <= 20
        check_conforms(apart, result.codebook)


class GeneratorContract(PluginContract):
    """A generator gives as many rows as asked, all allowed by the codebook."""

    kind = "generator"

    @pytest.fixture
    def result(self, session: Caller, table: Table, codebook: Codebook) -> Generated:
        value = self.ask(session, "generate", table=table, codebook=codebook, parameters=self.parameters, rows=60)
        assert isinstance(value, Generated)
        return value

    def test_it_makes_the_rows_that_were_asked_for(self, result: Generated) -> None:
        assert result.table.height == 60

    def test_its_rows_conform_to_the_codebook(self, result: Generated, codebook: Codebook) -> None:
        check_conforms(result.table, codebook)

    def test_it_says_what_privacy_it_spent(self, result: Generated, installed: InstalledPlugin) -> None:
        assert result.epsilon is None or result.epsilon >= 0
        assert 0 <= result.delta < 1
        if installed.manifest.guarantee.kind == "differential-privacy":
            assert result.epsilon is not None


class _RoundsContract(PluginContract):
    """What works in rounds speaks in vectors of bounded sensitivity and learns from sums only."""

    rho: ClassVar[float] = 1.0

    @pytest.fixture
    def plan(self, codebook: Codebook, installed: InstalledPlugin) -> Plan:
        """What the rounds of the tests agree on."""
        return Plan(codebook, self.rho, 40, installed.manifest.validate_parameters(self.parameters))

    def rounds(self, session: Caller, plan: Plan, table: Table) -> Iterator[tuple[State, Contribution]]:
        """Run to the end on one site's own vectors, without noise."""
        state = self.ask(session, "federated_open", plan=plan)
        while not state.finished:
            assert state.round < MAX_ROUNDS
            contribution = self.ask(session, "federated_contribute", state=state, table=table, codebook=plan.codebook)
            yield state, contribution
            state = self.ask(session, "federated_absorb", state=state, total=Aggregate(contribution.vector, 1, 1.0))
        self._finished = state

    def after_noise(self, session: Caller, plan: Plan) -> State:
        """The finished state after totals that are nothing but noise."""
        random = np.random.default_rng(1)
        state: State = self.ask(session, "federated_open", plan=plan)
        while not state.finished:
            assert state.round < MAX_ROUNDS
            noise = np.rint(random.normal(0, 50, state.length)).astype(np.int64)
            state = self.ask(session, "federated_absorb", state=state, total=Aggregate(noise, 3, 50.0))
        return state

    def test_a_vector_is_as_long_as_the_state_says(self, session: Caller, plan: Plan, table: Table) -> None:
        lengths = [
            (state.length, contribution.vector.shape) for state, contribution in self.rounds(session, plan, table)
        ]
        assert lengths
        assert all(shape == (length,) for length, shape in lengths)

    def test_the_rounds_spend_no_more_than_the_plan(self, session: Caller, plan: Plan, table: Table) -> None:
        spent = [state.rho for state, _ in self.rounds(session, plan, table)]
        assert all(rho > 0 for rho in spent)
        assert sum(spent) <= plan.rho * (1 + 1e-9)

    def test_one_row_more_or_less_changes_a_vector_by_at_most_its_sensitivity(
        self, session: Caller, plan: Plan, table: Table
    ) -> None:
        for state, contribution in self.rounds(session, plan, table):
            for row in range(0, table.height, max(1, table.height // 8)):
                without = pl.concat([table[:row], table[row + 1 :]])
                other = self.ask(session, "federated_contribute", state=state, table=without, codebook=plan.codebook)
                change = np.linalg.norm((contribution.vector - other.vector).astype(float))
                assert change <= state.sensitivity * (1 + 1e-9), f"row {row} changed round {state.round} by {change}"


class FederatedAlgorithmContract(_RoundsContract):
    """A federated algorithm ends in synthetic rows."""

    kind = "federated-algorithm"

    def test_rows_come_out_that_the_codebook_allows(self, session: Caller, plan: Plan, table: Table) -> None:
        for _ in self.rounds(session, plan, table):
            pass
        self._check_sample(self.ask(session, "federated_sample", state=self._finished, plan=plan), plan)

    def test_it_survives_totals_that_are_nothing_but_noise(self, session: Caller, plan: Plan) -> None:
        state = self.after_noise(session, plan)
        self._check_sample(self.ask(session, "federated_sample", state=state, plan=plan), plan)

    def _check_sample(self, generated: Generated, plan: Plan) -> None:
        assert generated.table.height == plan.rows
        check_conforms(generated.table, plan.codebook)


class AggregatorContract(PluginContract):
    """An aggregator adds up exactly, and nobody's masked vector shows the vector behind it."""

    kind = "aggregator"
    members: ClassVar[tuple[str, ...]] = tuple(f"did:web:site{number}.example" for number in range(1, 6))
    threshold: ClassVar[int] = 3
    colluders: ClassVar[int] = 0
    bound: ClassVar[int] = 2**31

    @pytest.fixture
    def sites(self, installed: InstalledPlugin, tmp_path: Path) -> Iterator[dict[str, Caller]]:
        """A session for each site: their secrets must not meet."""
        sessions: dict[str, Caller] = {}
        for number, member in enumerate(self.members):
            folder = tmp_path / str(number)
            folder.mkdir()
            sessions[member] = self.new_session(installed, folder)
        yield sessions
        for session in sessions.values():
            getattr(session, "close", lambda: None)()

    @pytest.fixture
    def vectors(self) -> dict[str, np.ndarray[Any, np.dtype[np.int64]]]:
        random = np.random.default_rng(2)
        return {member: random.integers(-self.bound, self.bound, 64) for member in self.members}

    def run_round(
        self, sites: dict[str, Caller], vectors: dict[str, Any], dropped: tuple[str, ...] = ()
    ) -> tuple[Any, dict[str, Any]]:
        """One round in which some sites fall silent after sharing; returns the total and the masked vectors."""
        keys: dict[str, Json] = {
            name: self.ask(site, "secure_sum_advertise", round_id="round-1", me=name) for name, site in sites.items()
        }
        agreed = {"threshold": self.threshold, "bound": self.bound, "colluders": self.colluders}
        sealed = {
            name: self.ask(site, "secure_sum_share", round_id="round-1", public_keys=keys, **agreed)
            for name, site in sites.items()
        }
        survivors = sorted(set(sites) - set(dropped))
        masked = {
            name: self.ask(
                sites[name],
                "secure_sum_mask",
                round_id="round-1",
                vector=vectors[name],
                shares={writer: shares[name] for writer, shares in sealed.items() if writer != name},
            )
            for name in survivors
        }
        answers = {
            name: self.ask(
                sites[name], "secure_sum_unmask", round_id="round-1", survivors=survivors, dropped=sorted(dropped)
            )
            for name in survivors
        }
        total = self.ask(
            sites[survivors[0]],
            "secure_sum_open",
            round_id="round-1",
            public_keys=keys,
            masked=masked,
            answers=answers,
            **agreed,
        )
        return total, masked

    def test_the_sum_is_exact(self, sites: dict[str, Caller], vectors: dict[str, Any]) -> None:
        total, _ = self.run_round(sites, vectors)
        assert np.array_equal(total, np.sum([vectors[name] for name in self.members], axis=0))

    def test_the_sum_is_exact_when_a_site_drops_out(self, sites: dict[str, Caller], vectors: dict[str, Any]) -> None:
        total, masked = self.run_round(sites, vectors, dropped=(self.members[-1],))
        assert np.array_equal(total, np.sum([vectors[name] for name in masked], axis=0))

    def test_a_masked_vector_does_not_show_the_plain_one(
        self, sites: dict[str, Caller], vectors: dict[str, Any]
    ) -> None:
        _, masked = self.run_round(sites, vectors)
        for name, value in masked.items():
            assert value.shape == vectors[name].shape
            assert value.dtype in (np.uint32, np.uint64)
            assert not np.any(value == vectors[name].astype(value.dtype))


class _MeasuringContract(PluginContract):
    def check(self, result: Evaluation, installed: InstalledPlugin, *, some: bool = True) -> None:
        """Every figure is one the manifest announces, finite, and inside its own interval; ``some`` asks for one."""
        assert isinstance(result, Evaluation)
        assert result.metrics or not some
        assert {metric.id for metric in result.metrics} <= set(installed.manifest.metrics)
        for metric in result.metrics:
            assert math.isfinite(metric.value)
            assert metric.n >= 0
            if metric.lower is not None and metric.upper is not None:
                slack = 1e-9
                assert metric.lower - slack <= metric.value <= metric.upper + slack, (
                    f"{metric.id} lies outside its own interval"
                )


class EvaluatorContract(_MeasuringContract):
    """An evaluator gives the figures its manifest announces, or says in a note why one is missing."""

    kind = "evaluator"

    @pytest.fixture
    def result(self, session: Caller, codebook: Codebook) -> Evaluation:
        train, holdout, synthetic = (
            simulated_table(self.rows, seed=seed, with_identifier="patient" in codebook.names()) for seed in (1, 2, 3)
        )
        value: Evaluation = self.ask(
            session,
            "evaluate",
            train=train,
            holdout=holdout,
            synthetic=synthetic,
            codebook=codebook,
            parameters=self.parameters,
        )
        return value

    def test_it_measures_what_it_announces(self, result: Evaluation, installed: InstalledPlugin) -> None:
        self.check(result, installed)
        missing = set(installed.manifest.metrics) - {metric.id for metric in result.metrics}
        unsaid = sorted(name for name in missing if not any(name in note for note in result.notes))
        assert not unsaid, f"announced, not measured, and no note says why: {', '.join(unsaid)}"

    def test_it_attacks_what_shadow_runs_made(
        self, session: Caller, installed: InstalledPlugin, codebook: Codebook
    ) -> None:
        if "shadow_attack" not in installed.manifest.capabilities:
            pytest.skip("it has no shadow_rows and shadow_attack: runs are evaluated without shadow runs")
        table = simulated_table(self.rows, seed=1, with_identifier="patient" in codebook.names())
        given = {"table": table, "codebook": codebook, "parameters": self.parameters | {"shadows": 8}}
        halves, again = (self.ask(session, "shadow_rows", **given) for _ in range(2))
        assert len(halves) == 8
        assert all(one.equals(other) for one, other in zip(halves, again, strict=True)), "who is in which run changes"
        made = [half.sample(half.height, with_replacement=True, seed=seed) for seed, half in enumerate(halves)]
        self.check(self.ask(session, "shadow_attack", made=made, **given), installed)


class FederatedAnalysisContract(_RoundsContract, _MeasuringContract):
    """A federated analysis ends in figures."""

    kind = "federated-analysis"

    def test_it_gives_figures_it_announces(
        self, session: Caller, plan: Plan, table: Table, installed: InstalledPlugin
    ) -> None:
        for _ in self.rounds(session, plan, table):
            pass
        self.check(self.ask(session, "federated_report", state=self._finished, plan=plan), installed)

    def test_it_survives_totals_that_are_nothing_but_noise(
        self, session: Caller, plan: Plan, installed: InstalledPlugin
    ) -> None:
        found = self.ask(session, "federated_report", state=self.after_noise(session, plan), plan=plan)
        self.check(found, installed, some=False)


class AnalysisContract(_MeasuringContract):
    """An analysis gives aggregate figures."""

    kind = "analysis"

    @pytest.fixture
    def result(self, session: Caller, table: Table, codebook: Codebook) -> Evaluation:
        value: Evaluation = self.ask(session, "analyse", table=table, codebook=codebook, parameters=self.parameters)
        return value

    def test_it_gives_figures_it_announces(self, result: Evaluation, installed: InstalledPlugin) -> None:
        self.check(result, installed)


def _rows_apart(one: Table, other: Table) -> int:
    """How many rows must be added to or taken from one table to get the other, whatever their order."""
    counts: dict[tuple[Any, ...], int] = {}
    for table, step in ((one, 1), (other.select(one.columns), -1)):
        for row in table.iter_rows():
            counts[row] = counts.get(row, 0) + step
    return max(
        sum(count for count in counts.values() if count > 0), sum(-count for count in counts.values() if count < 0)
    )

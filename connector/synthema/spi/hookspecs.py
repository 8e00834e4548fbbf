"""All hooks a plugin may implement. One function per capability; a plugin declares those it has.

A hook is called by name on one chosen plugin, inside the sandbox. It gets plain
values and returns one of the values of :mod:`synthema.spi.model`. ``None`` is
never an answer: a plugin that returns it has failed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pluggy
from numpy.typing import NDArray

from synthema.datasets.codebook import Codebook
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

PROJECT = "synthema"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Hooks:
    """The hooks, grouped by kind of plugin."""

    # anonymiser -----------------------------------------------------------------

    @hookspec
    def anonymise(self, table: Table, codebook: Codebook, parameters: Parameters) -> Anonymised:
        """Reduce what a table says about each person; row order need not be kept."""
        raise AssertionError

    @hookspec
    def anonymised_codebook(self, codebook: Codebook, parameters: Parameters) -> Codebook:
        """The codebook :meth:`anonymise` will give back, computed without any data."""
        raise AssertionError

    @hookspec
    def anonymise_control(self, table: Table, fitted: Table, codebook: Codebook, parameters: Parameters) -> Table:
        """Rows kept apart, in the form that :meth:`anonymise` gives ``fitted`` with the same parameters.

        ``table`` has no say in how anything is made coarser, and no promise is made about it: these rows are the
        control of attacks and the yardstick of figures, and never leave. Without them no run can hold rows out.
        """
        raise AssertionError

    # generator ------------------------------------------------------------------

    @hookspec
    def generate(self, table: Table, codebook: Codebook, parameters: Parameters, rows: int) -> Generated:
        """Make synthetic rows from one site's table."""
        raise AssertionError

    # federated algorithm (ends in rows) and federated analysis (ends in figures) -----

    @hookspec
    def federated_open(self, plan: Plan) -> State:
        """Coordinator: the state before the first round."""
        raise AssertionError

    @hookspec
    def federated_contribute(self, state: State, table: Table, codebook: Codebook) -> Contribution:
        """Site: this round's vector of counts; must change by at most ``state.sensitivity`` (L2) per row."""
        raise AssertionError

    @hookspec
    def federated_absorb(self, state: State, total: Aggregate) -> State:
        """Coordinator: the next state, from the noisy sum alone."""
        raise AssertionError

    @hookspec
    def federated_sample(self, state: State, plan: Plan) -> Generated:
        """Coordinator: synthetic rows from a finished state; post-processing, so it spends nothing more."""
        raise AssertionError

    @hookspec
    def federated_report(self, state: State, plan: Plan) -> Evaluation:
        """Coordinator: the figures of a finished state; post-processing, so it spends nothing more."""
        raise AssertionError

    # aggregator (one object per round and site; state stays inside the plugin's process) ---------

    @hookspec
    def secure_sum_advertise(self, round_id: str, me: str) -> Json:
        """Site: make this round's key pairs, return the public keys for the site's identity to sign."""
        raise AssertionError

    @hookspec
    def secure_sum_share(
        self, round_id: str, public_keys: dict[str, Json], threshold: int, bound: int, colluders: int
    ) -> dict[str, Json]:
        """Site: encrypted shares of this site's secrets, one for each member (name → sealed share).

        ``threshold`` is the fewest survivors, ``bound`` the largest size of any number of any member's
        vector, ``colluders`` the members that may side with the coordinator; all members are told the same.
        """
        raise AssertionError

    @hookspec
    def secure_sum_mask(
        self, round_id: str, vector: NDArray[np.int64], shares: dict[str, Json]
    ) -> NDArray[np.unsignedinteger[Any]]:
        """Site: the vector under its masks, given the sealed shares the others sent; indistinguishable from noise.

        Numbers of 32 or 64 bits without sign, as many as the vector has.
        """
        raise AssertionError

    @hookspec
    def secure_sum_unmask(self, round_id: str, survivors: list[str], dropped: list[str]) -> Json:
        """Site: the shares that open the total for exactly this set; answered once per round."""
        raise AssertionError

    @hookspec
    def secure_sum_open(
        self,
        round_id: str,
        public_keys: dict[str, Json],
        masked: dict[str, NDArray[np.unsignedinteger[Any]]],
        answers: dict[str, Json],
        threshold: int,
        bound: int,
        colluders: int,
    ) -> NDArray[np.int64]:
        """Coordinator: the exact sum of the surviving sites' vectors; the last three as the sites were told."""
        raise AssertionError

    # evaluator and analysis -----------------------------------------------------

    @hookspec
    def evaluate(
        self, train: Table, holdout: Table, synthetic: Table, codebook: Codebook, parameters: Parameters
    ) -> Evaluation:
        """Compare synthetic with real rows, inside the site that holds the real ones.

        ``train`` holds the real rows the generator learned from, ``holdout`` real rows it never
        saw: the control of every attack and the yardstick of every utility figure.
        """
        raise AssertionError

    @hookspec
    def shadow_rows(self, table: Table, codebook: Codebook, parameters: Parameters) -> list[Table]:
        """The rows that a generator is to learn from in each shadow run, for the strongest membership attack.

        ``table`` holds all real rows of the run, hold-out included. The same arguments give the same answer, so that
        :meth:`shadow_attack` knows who was in which run. The parameter ``shadows`` says how many runs there are.
        """
        raise AssertionError

    @hookspec
    def shadow_attack(self, table: Table, made: list[Table], codebook: Codebook, parameters: Parameters) -> Evaluation:
        """What the rows ``made`` in the runs of :meth:`shadow_rows`, in their order, tell of who was in each run."""
        raise AssertionError

    @hookspec
    def analyse(self, table: Table, codebook: Codebook, parameters: Parameters) -> Evaluation:
        """A clinical analysis whose result is aggregate figures."""
        raise AssertionError


KINDS: dict[str, tuple[str, ...]] = {
    "anonymiser": ("anonymise", "anonymised_codebook"),
    "generator": ("generate",),
    "federated-algorithm": ("federated_open", "federated_contribute", "federated_absorb", "federated_sample"),
    "federated-analysis": ("federated_open", "federated_contribute", "federated_absorb", "federated_report"),
    "aggregator": (
        "secure_sum_advertise",
        "secure_sum_share",
        "secure_sum_mask",
        "secure_sum_unmask",
        "secure_sum_open",
    ),
    "evaluator": ("evaluate",),
    "analysis": ("analyse",),
}
"""The hooks that make up each kind of plugin; a plugin of a kind implements all of them."""

OPTIONAL: dict[str, tuple[str, ...]] = {
    "anonymiser": ("anonymise_control",),
    "evaluator": ("shadow_rows", "shadow_attack"),
}
"""Hooks that a plugin of a kind may implement besides."""

HOOKS: frozenset[str] = frozenset(hook for hooks in (*KINDS.values(), *OPTIONAL.values()) for hook in hooks)
"""Every hook there is."""

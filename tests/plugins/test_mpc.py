"""The sum shared among compute nodes, and the computations of parties with MPyC: exact, and nothing else opened."""

from __future__ import annotations

import importlib.util
import itertools
import json
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from synthema.spi.testing import AggregatorContract
from synthema_mpc import Member, MpcError, Survival, open_sum, sharing
from synthema_mpc.__main__ import check_parties


class TestContract(AggregatorContract):
    """What holds for every aggregator, its values crossing a process boundary."""

    plugin = "mpc"


class Round:
    def __init__(self, vectors: Mapping[str, NDArray[np.int64]], threshold: int) -> None:
        self.vectors, self.threshold = dict(vectors), threshold
        self.members = {name: Member() for name in vectors}
        self.keys = {name: member.advertise("r", name) for name, member in self.members.items()}
        self.sealed: dict[str, dict[str, str]] = {}
        self.masked: dict[str, NDArray[np.uint64]] = {}

    def share(self, *absent: str) -> Round:
        for name in self.members.keys() - set(absent):
            self.sealed[name] = self.members[name].share("r", self.keys, self.threshold)
        return self

    def inbox(self, name: str) -> dict[str, str]:
        return {writer: sealed[name] for writer, sealed in self.sealed.items() if writer != name}

    def mask(self, *absent: str) -> Round:
        for name in self.sealed.keys() - set(absent):
            self.masked[name] = self.members[name].mask("r", self.vectors[name], self.inbox(name))
        return self

    def unmask(self) -> dict[str, Any]:
        gone = sorted(set(self.sealed) - set(self.masked))
        return {name: self.members[name].unmask("r", sorted(self.masked), gone) for name in self.masked}

    def open(self, answers: Mapping[str, Any]) -> NDArray[np.int64]:
        return open_sum("r", self.keys, self.masked, answers, self.threshold)


def vectors(count: int, length: int = 20) -> dict[str, NDArray[np.int64]]:
    random = np.random.default_rng(0)
    return {f"s{i:02}": random.integers(-(2**40), 2**40, length) for i in range(count)}


@settings(max_examples=30, deadline=None)
@given(data=st.data(), count=st.integers(3, 8))
def test_the_sum_is_exact_also_after_drop_outs(data: st.DataObject, count: int) -> None:
    limit = (2**63 - 1) // count
    numbers = st.lists(st.integers(-limit, limit), min_size=3, max_size=3)
    inputs = {f"s{i}": np.array(data.draw(numbers), dtype=np.int64) for i in range(count)}
    threshold = max(3, count // 2 + 1)
    most = min(count - threshold, 2 if count >= 5 else 1)
    lost = data.draw(st.lists(st.sampled_from(sorted(inputs)), unique=True, max_size=most))
    cut = data.draw(st.integers(0, len(lost)))
    run = Round(inputs, threshold).share(*lost[:cut]).mask(*lost[cut:])
    expected = np.sum([inputs[name] for name in run.masked], axis=0)
    assert run.open(run.unmask()).tolist() == expected.tolist()


@pytest.mark.parametrize(("count", "nodes"), [(3, 3), (4, 3), (5, 5), (9, 5)])
def test_a_minority_of_nodes_misses_a_seed_and_a_majority_has_all(count: int, nodes: int) -> None:
    run = Round(vectors(count), count // 2 + 2)
    roll = sharing.Roll.call("r", run.keys, run.threshold)
    assert len(roll.nodes) == nodes
    for size in range(1, nodes + 1):
        for helpers in itertools.combinations(roll.nodes, size):
            known = sum(1 for group in roll.groups if set(group) & set(helpers))
            assert (known == len(roll.groups)) == (size > nodes // 2)


def test_a_minority_of_nodes_with_everything_it_was_sent_sees_noise() -> None:
    run = Round({name: np.zeros(100_000, np.int64) for name in "abcde"}, 4).share().mask()
    rest = run.masked["e"].copy()
    roll = sharing.Roll.call("r", run.keys, 4)
    known: dict[int, bytes] = {}
    for node in ("a", "b"):
        state = run.members[node]._rounds["r"]
        assert state is not None
        known |= state.packages["e"]
    assert len(known) == len(roll.groups) - 1
    removed = np.zeros_like(rest)
    sharing._add_keystreams(removed, [sharing._stream_key(roll, "e", seed) for seed in known.values()])
    rest -= removed
    counts = np.bincount(rest.view(np.uint8), minlength=256)
    expected = counts.sum() / 256
    assert abs(float((((counts - expected) ** 2) / expected).sum()) - 255) < 10 * np.sqrt(2 * 255)


def test_each_site_refuses_what_would_reveal_a_vector() -> None:
    run = Round(vectors(5), 3).share().mask()
    names = sorted(run.members)
    member = run.members["s01"]
    for survivors, dropped, reason in [
        (names, ["s00"], "named twice"),
        (names[:4], [], "not the members"),
        (["s00", "s02", "s03", "s04"], ["s01"], "cannot be among the dropped"),
        (["s00", "s01"], ["s02", "s03", "s04"], "only 2 survivors"),
    ]:
        with pytest.raises(MpcError, match=reason):
            member.unmask("r", survivors, dropped)
    member.unmask("r", names, [])
    with pytest.raises(MpcError, match="'answered'"):
        member.unmask("r", names, [])
    with pytest.raises(MpcError, match="never used again"):
        member.advertise("r", "s01")


@pytest.mark.parametrize(("count", "threshold"), [(2, 2), (3, 2), (6, 3), (101, 60)])
def test_too_few_members_or_no_majority_is_refused(count: int, threshold: int) -> None:
    with pytest.raises(MpcError, match=r"needs 3 to|majority"):
        Round(vectors(count, 1), threshold).share()


def test_more_colluders_than_a_minority_of_nodes_or_too_large_a_bound_are_refused() -> None:
    run = Round(vectors(5), 4)
    with pytest.raises(MpcError, match="withstand 0 to 2 colluders, not 3"):
        run.members["s00"].share("r", run.keys, 4, colluders=3)
    with pytest.raises(MpcError, match="overflow 64 bits"):
        run.members["s00"].share("r", run.keys, 4, bound=2**62)
    run = Round({name: np.array([1, 1001]) for name in "abc"}, 3)
    for name, member in run.members.items():
        run.sealed[name] = member.share("r", run.keys, 3, bound=1000)
    with pytest.raises(MpcError, match="beyond ±1000"):
        run.mask()


def test_most_nodes_gone_or_silent_ends_the_round_cleanly() -> None:
    run = Round(vectors(9), 5).share().mask("s00", "s01", "s02")
    with pytest.raises(MpcError, match="most compute nodes have dropped out"):
        run.unmask()
    run = Round(vectors(5), 3).share().mask()
    answers = run.unmask()
    del answers["s00"]
    with pytest.raises(MpcError, match="s00 did not answer"):
        run.open(answers)


def test_a_substituted_key_a_changed_seed_and_an_overflow_are_refused() -> None:
    run = Round(vectors(3), 3)
    with pytest.raises(MpcError, match="own public key"):
        run.members["s00"].share("r", run.keys | {"s00": Member().advertise("r", "s00")}, 3)
    run = Round(vectors(3), 3).share()
    inbox = run.inbox("s00")
    inbox["s01"] = run.sealed["s02"]["s00"]
    with pytest.raises(MpcError, match="cannot be opened"):
        run.members["s00"].mask("r", run.vectors["s00"], inbox)
    run = Round({name: np.full(2, 2**62) for name in "abc"}, 3).share()
    with pytest.raises(MpcError, match="overflow"):
        run.mask()


# Parties with MPyC ------------------------------------------------------------------------------


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def together(task: str, inputs: list[dict[str, Any]], folder: Path) -> list[Any]:
    """The task run by as many processes as there are inputs, over loopback; each one's printed answer."""
    if importlib.util.find_spec("mpyc") is None:
        pytest.skip("the extra 'mpc' is not installed")
    addresses = [f"127.0.0.1:{port}" for port in free_ports(len(inputs))]
    where = [part for address in addresses for part in ("-P", address)]
    running = []
    for number, own in enumerate(inputs):
        file = folder / f"{number}.json"
        file.write_text(json.dumps(own))
        command = [sys.executable, "-m", "synthema_mpc", task, str(file), *where, "-I", str(number), "--no-log"]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder))
    answers = []
    for process in running:
        said, error = process.communicate(timeout=120)
        assert process.returncode == 0, error
        answers.append(json.loads(said))
    return answers


def test_three_parties_add_up_and_compare_without_a_coordinator(tmp_path: Path) -> None:
    inputs = [{"vector": [i + 1, -5 * (i + 1), 10**12], "limits": [6, -29, 1]} for i in range(3)]
    assert together("sum", inputs, tmp_path) == [[6, -30, 3 * 10**12]] * 3
    assert together("at-least", inputs, tmp_path) == [[True, False, True]] * 3


def survival_of(parties: int, times: int) -> list[dict[str, list[int]]]:
    """Made-up counts, in the end nobody at risk: the last two times have one patient and none."""
    random = np.random.default_rng(3)
    tables = []
    for party in range(parties):
        n1, n2 = (np.sort(random.integers(0, 40, times))[::-1].copy() for _ in range(2))
        n1[-2:], n2[-2:] = (1 if party == 0 else 0, 0), (0, 0)
        d1, d2 = np.minimum(random.integers(0, 3, times), n1), np.minimum(random.integers(0, 2, times), n2)
        rows = (d1, d1 + d2, n1, n1 + n2)
        tables.append({name: row.tolist() for name, row in zip(Survival.__slots__, rows, strict=True)})
    return tables


def chi_square(tables: list[dict[str, list[int]]]) -> float:
    d1, d, n1, n = (np.sum([table[name] for table in tables], axis=0).astype(float) for name in Survival.__slots__)
    share = n1 / np.maximum(n, 1)
    variance = (d * share * (1 - share) * (n - d) / np.maximum(n - 1, 1)).sum()
    return float((d1 - d * share).sum() ** 2 / variance)


def test_the_log_rank_test_of_three_parties_is_that_of_the_pooled_patients(tmp_path: Path) -> None:
    tables = survival_of(3, 12)
    expected = chi_square(tables)
    answers = together("log-rank", [table | {"patients": 300} for table in tables], tmp_path)
    assert answers == [pytest.approx(expected, rel=1e-4)] * 3


@pytest.mark.parametrize(("factor", "reached"), [(0.9, True), (1.1, False)])
def test_only_whether_the_difference_is_significant_may_be_opened(tmp_path: Path, factor: float, reached: bool) -> None:
    tables = survival_of(3, 6)
    asked = {"patients": 300, "critical": factor * chi_square(tables)}
    assert together("log-rank-reaches", [table | asked for table in tables], tmp_path) == [reached] * 3


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"deaths_first": [5, 0]}, "more die"),
        ({"deaths_first": [-1, 0]}, "whole numbers"),
        ({"deaths_both": [1]}, "same length"),
        ({"at_risk_first": [99, 0]}, "more die"),
        ({"at_risk_both": [2.5, 1]}, "whole numbers"),
    ],
)
def test_counts_that_cannot_be_are_refused(change: dict[str, Any], reason: str) -> None:
    counts = {"deaths_first": [1, 0], "deaths_both": [1, 1], "at_risk_first": [3, 2], "at_risk_both": [6, 4]}
    assert Survival(**counts).rows().shape == (4, 2)
    with pytest.raises(MpcError, match=reason):
        Survival(**counts | change).rows()


def test_two_parties_or_an_open_way_to_another_machine_are_refused() -> None:
    check_parties([("localhost", True), ("127.0.0.1", False), ("::1", False)], encrypted=False)
    check_parties([("a.example", True), ("b.example", False), ("c.example", False)], encrypted=True)
    with pytest.raises(MpcError, match="at least 3"):
        check_parties([("localhost", True), ("localhost", False)], encrypted=False)
    with pytest.raises(MpcError, match="in the clear to b"):
        check_parties([("localhost", True), ("b.example", False), ("localhost", False)], encrypted=False)

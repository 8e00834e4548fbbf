"""Statistics from sums: the same as from one table, as other libraries compute them, and honest under noise."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.duration.survfunc import CumIncidenceRight

import synthema_statistics
from synthema.spi.model import Evaluation, Metric, Plan
from synthema_statistics.blocks import Followed, design
from synthema_statistics.chance import chi_square_tail
from synthema_statistics.figures import independence
from synthema_statistics.suppression import hidden_cells
from synthema_statistics.survival import LifeTable, cumulative_incidence, falling, kaplan_meier, log_rank
from tests.plugins.analyses import study, thirds
from tests.plugins.mgus import CODEBOOK, mgus_table

MONTHS = {"variables": ["age", "hgb", "sex"], "tables": ["sex by death"], "time_step": 1, "group": "sex"}


def only(found: Evaluation, metric: str, words: str) -> Metric:
    return next(m for m in found.metrics if m.id == metric and m.definition.startswith(words))


def life_tables(parameters: dict[str, Any], outcome: str, sigma: float = 0.0) -> tuple[Followed, list[LifeTable]]:
    """The life tables of one outcome by group, from all rows of the cohort."""
    made = design(CODEBOOK, parameters)
    block = next(b for b in made.blocks if isinstance(b, Followed) and b.name == outcome)
    cells = (block.add_up(mgus_table(), 1)[:-1]).reshape(block.shape).astype(float)
    return block, [LifeTable(group, block.endpoint.exact, sigma) for group in cells]


def test_a_study_over_sites_is_bit_for_bit_the_study_over_all_rows_also_under_the_secure_sum() -> None:
    pooled, figures = study(synthema_statistics, [mgus_table()], CODEBOOK, MONTHS)
    apart, federated = study(synthema_statistics, thirds(mgus_table()), CODEBOOK, MONTHS, secure=True)
    assert pooled.values["total"] == apart.values["total"]
    assert figures == federated


def test_counts_means_variances_and_quartiles_are_those_of_the_table() -> None:
    table = mgus_table()
    _, found = study(synthema_statistics, thirds(table), CODEBOOK, {"variables": ["sex", "hgb", "age"], "outcomes": []})
    assert only(found, "groupSize", "sex: F").value == table.filter(pl.col("sex") == "F").height
    for name in ("hgb", "age"):
        known = table[name].drop_nulls().cast(pl.Float64).to_numpy()
        assert only(found, "mean", name).value == pytest.approx(known.mean(), abs=1e-5)
        assert only(found, "variance", name).value == pytest.approx(known.var(ddof=1), rel=1e-5)
        for share in (0.25, 0.5, 0.75):
            quartile = only(found, "quantile", f"{name}: {100 * share:g} %")
            assert quartile.lower is not None
            assert quartile.upper is not None
            assert quartile.lower <= np.quantile(known, share) <= quartile.upper


def test_survival_is_the_product_limit_estimate_with_its_error() -> None:
    block, tables = life_tables({"variables": [], "time_step": 1}, "survival")
    table = mgus_table()
    theirs = sm.SurvfuncRight(table["futime"].to_numpy(), (table["death"] == "1").to_numpy().astype(int))
    ours = kaplan_meier(tables[0])
    place = theirs.surv_times.astype(int) - int(block.endpoint.edges[0])
    assert np.allclose(ours.share[place], theirs.surv_prob, atol=1e-12)
    inner = (theirs.surv_prob > 0) & (theirs.surv_prob < 1)
    place = place[inner]
    spread = np.log(np.log(ours.lower[place]) / np.log(ours.share[place])) / 1.959963984540054
    error = (theirs.surv_prob_se / theirs.surv_prob)[inner] / -np.log(theirs.surv_prob[inner])
    assert np.allclose(spread, error, rtol=1e-6)


def test_the_log_rank_test_is_the_usual_one() -> None:
    table = mgus_table()
    _, tables = life_tables({"variables": [], "time_step": 1, "group": "sex"}, "survival")
    ours = log_rank(tables)
    statistic, p = sm.duration.survdiff(
        table["futime"].to_numpy(), (table["death"] == "1").to_numpy().astype(int), table["sex"].to_numpy()
    )
    assert ours is not None
    assert ours.statistic == pytest.approx(statistic, rel=1e-9)
    assert ours.p == pytest.approx(p, rel=1e-6)
    assert ours.degrees == 1


def test_competing_risks_have_the_usual_incidence() -> None:
    asked = {"variables": [], "outcomes": [], "competing": ["progression", "survival"], "time_step": 1}
    block, tables = life_tables(asked, "progression or survival")
    table = mgus_table()
    progressed, died = (table["pstat"] == "1").to_numpy(), (table["death"] == "1").to_numpy()
    time = np.where(progressed, table["ptime"].to_numpy(), table["futime"].to_numpy())
    cause = np.where(progressed, 1, np.where(died, 2, 0))
    # those who neither progressed nor died are followed to the earlier of the two ends
    time = np.where(cause == 0, np.minimum(table["ptime"].to_numpy(), table["futime"].to_numpy()), time)
    with np.errstate(all="ignore"):
        theirs = CumIncidenceRight(time, cause)
    for number in (1, 2):
        ours = cumulative_incidence(tables[0], number)
        place = theirs.times.astype(int) - int(block.endpoint.edges[0])
        assert np.allclose(ours.share[place], theirs.cinc[number - 1], atol=1e-12)
        half = (ours.upper - ours.lower)[place][5:-20] / 2 / 1.959963984540054
        assert np.allclose(half, theirs.cinc_se[number - 1][5:-20], rtol=0.1)


def test_the_two_way_test_is_pearsons() -> None:
    table = np.array([[30.0, 40.0, 20.0], [25.0, 60.0, 10.0]])
    ours = independence(table, 0.0)
    theirs = stats.chi2_contingency(table, correction=False)
    assert ours is not None
    assert ours == (pytest.approx(theirs.statistic), pytest.approx(theirs.pvalue))


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 7, 12])
@pytest.mark.parametrize("value", [0.0, 0.1, 3.84, 25.0, 90.0])
def test_the_chi_square_tail_is_right(value: float, degrees: int) -> None:
    assert chi_square_tail(value, degrees) == pytest.approx(stats.chi2.sf(value, degrees), rel=1e-9)


def test_coarse_times_give_the_actuarial_estimate_near_the_exact_one() -> None:
    _, fine = life_tables({"variables": [], "time_step": 1}, "survival")
    block, coarse = life_tables({"variables": []}, "survival")
    exact, ours = kaplan_meier(fine[0]).share, kaplan_meier(coarse[0]).share
    until = coarse[0].trusted(100)
    ends = np.asarray(block.endpoint.edges)[1:].astype(int) - 1
    assert np.allclose(ours[:until], exact[ends][:until], atol=0.01)


def test_small_cells_are_hidden_and_so_is_what_gives_them_away() -> None:
    assert hidden_cells(np.array([3.0, 50.0, 20.0]), 10).tolist() == [True, False, True]
    assert hidden_cells(np.array([0.0, 50.0, 30.0, 20.0]), 10).tolist() == [True, False, False, True]
    assert hidden_cells(np.array([30.0, 50.0, 0.0]), 10).tolist() == [False, False, False]
    table = np.array([[3.0, 40.0, 40.0], [40.0, 30.0, 40.0], [40.0, 40.0, 40.0]])
    hidden = hidden_cells(table, 10)
    for line, values in zip((*hidden, *hidden.T), (*table, *table.T), strict=True):
        assert line.sum() != 1
        assert not line.any() or values[line].sum() >= 10
    assert hidden_cells(np.array([2.0, 3.0, 50.0, 30.0]), 10).tolist() == [True, True, False, True]


def test_nothing_shown_counts_fewer_than_agreed() -> None:
    few = mgus_table()[:60]
    _, found = study(synthema_statistics, [few[:20], few[20:40], few[40:]], CODEBOOK, {"group": "sex", "fewest": 10})
    assert found.metrics
    for name, shown in found.series.items():
        if name.startswith("counts:"):
            counts = {cell["value"]: cell["patients"] for cell in shown}
            assert all(count is None or count >= 10 for label, count in counts.items() if label != "not recorded")
            assert counts["not recorded"] in (None, 0)


def test_a_curve_is_shown_only_where_ten_left_since_the_last_point() -> None:
    _, found = study(synthema_statistics, [mgus_table()], CODEBOOK, {"variables": [], "time_step": 1})
    points = next(curve for curve in found.series["survival:survival"])["before"]
    times = mgus_table()["futime"].to_numpy()
    for low, high in zip([0, *points[:-1]], points, strict=True):
        assert ((times >= low) & (times < high)).sum() >= 10


def test_intervals_under_noise_hold_what_they_say() -> None:
    table = mgus_table()
    mean = float(table["age"].cast(pl.Float64).mean())  # type: ignore[arg-type]
    men = table.filter(pl.col("sex") == "M").height
    held: list[bool] = []
    for seed in range(60):
        _, found = study(
            synthema_statistics, [table], CODEBOOK, {"variables": ["age", "sex"], "outcomes": ["survival"]},
            rho=0.02, seed=seed,
        )  # fmt: skip
        for metric, truth in ((only(found, "groupSize", "sex: M"), men), (only(found, "mean", "age"), mean)):
            assert metric.lower is not None
            assert metric.upper is not None
            held.append(metric.lower <= truth <= metric.upper)
    assert np.mean(held) >= 0.9


def test_survival_under_noise_stays_within_its_interval_of_the_exact_curve() -> None:
    block, exact = life_tables({"variables": []}, "survival")
    truth, inside = kaplan_meier(exact[0]).share, []
    random = np.random.default_rng(5)
    for _ in range(40):
        noisy = LifeTable(exact[0].leaving + random.normal(0, 10, exact[0].leaving.shape), block.endpoint.exact, 10.0)
        curve = kaplan_meier(noisy)
        assert np.all(np.diff(curve.share) <= 1e-12)
        until = noisy.trusted(10)
        assert until >= 5
        inside.append(((curve.lower <= truth) & (truth <= curve.upper))[:until].mean())
    assert np.mean(inside) >= 0.95


def test_noise_alone_is_not_taken_for_a_difference_in_survival() -> None:
    random = np.random.default_rng(8)
    found = []
    for _ in range(60):
        groups = [random.multinomial(400, np.repeat([0.06, 0.04], 10)).reshape(2, 10).T for _ in range(2)]
        tables = [LifeTable(group + random.normal(0, 5, group.shape), exact=False, sigma=5.0) for group in groups]
        tested = log_rank(tables)
        assert tested is not None
        found.append(tested.p < 0.05)
    assert np.mean(found) <= 0.12


def test_noise_alone_is_not_taken_for_an_association() -> None:
    random = np.random.default_rng(9)
    found = []
    for _ in range(80):
        table = random.multinomial(500, np.outer([0.3, 0.7], [0.2, 0.3, 0.5]).ravel()).reshape(2, 3)
        tested = independence(table + random.normal(0, 8, table.shape), 8.0)
        assert tested is not None
        found.append(tested[1] < 0.05)
    assert np.mean(found) <= 0.12


def test_falling_is_the_nearest_sequence_that_never_rises() -> None:
    assert falling(np.array([1.0, 0.4, 0.6, 0.1])).tolist() == pytest.approx([1.0, 0.5, 0.5, 0.1])


def test_the_state_is_plain_json_and_spends_the_plan_once() -> None:
    state = synthema_statistics.federated_open(Plan(CODEBOOK, 0.5, 0, MONTHS))
    assert state.rho == 0.5
    finished, _ = study(synthema_statistics, [mgus_table()], CODEBOOK, MONTHS)
    assert json.loads(json.dumps(finished.values, allow_nan=False)) == finished.values
    assert finished.finished


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"sensitivity": 1.0}, "less than what one row can change"),
        ({"length": 5}, "another codebook"),
        ({"values": {"asked": {"variables": ["id"]}}}, "identifier"),
        ({"values": {"asked": {"outcomes": ["unheard of"]}}}, "does not have"),
    ],
)
def test_a_site_refuses_a_round_it_would_not_have_made(change: dict[str, Any], sentence: str) -> None:
    state = synthema_statistics.federated_open(Plan(CODEBOOK, 0.5, 0, {}))
    with pytest.raises(ValueError, match=sentence):
        synthema_statistics.federated_contribute(replace(state, **change), mgus_table(), CODEBOOK)


def test_a_site_with_more_patients_than_agreed_refuses() -> None:
    state = synthema_statistics.federated_open(Plan(CODEBOOK, 0.5, 0, {"most_patients": 100}))
    with pytest.raises(ValueError, match="most_patients"):
        synthema_statistics.federated_contribute(state, mgus_table(), CODEBOOK)


def test_no_entry_exceeds_the_bound_that_plans_set() -> None:
    for most in (100, 1384, 2**20):
        made = design(CODEBOOK, {"most_patients": most})
        assert most * made.scale <= 2**40

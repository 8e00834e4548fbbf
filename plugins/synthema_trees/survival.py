"""An outcome's times and events: which there are comes from the cohort's curve, whose they are from the rows' risk.

Times and events are spread evenly along the cohort's own and handed to the synthetic rows in order of
time: at each event, the row it happens to is drawn among those still followed, in proportion to their
risk; at each loss from sight, all are alike (the permutational algorithm: Abrahamowicz, MacKenzie and
Esdaile 1996; Sylvestre and Abrahamowicz 2008). The survival curve is thus kept whatever the models say,
and no patient's own pair of time and event is copied. Exchanges between rows of nearly the same risk then
take out what chance alone would add to the effects of single covariates.
"""

from __future__ import annotations

import numpy as np

from synthema_trees.growth import Codes, Flags, Floats
from synthema_trees.risk import expected_events

BLOCK = 4000  # rows that share one round of handing out: the time taken grows with its square
SWEEPS = 2
NEAR = 8  # places in the order of risk over which an exchange may reach
WINDOW = 15  # neighbouring patients over which the share of events is averaged


class Curve:
    """The cohort's times and events in order, from which as many as wanted are spread evenly."""

    def __init__(self, times: Floats, events: Flags) -> None:
        order = np.argsort(times, kind="stable")
        self._times = times[order]
        happened = np.pad(events[order].astype(np.float64), WINDOW // 2, mode="edge")
        self._share = np.convolve(happened, np.ones(WINDOW), "valid") / WINDOW

    def spread(self, rows: int, random: np.random.Generator) -> tuple[Floats, Flags]:
        """``rows`` times in rising order with their events; between neighbouring patients' times, not on them."""
        places = (np.arange(rows) + random.random()) / max(rows, 1) * (len(self._times) - 1)
        known = np.arange(len(self._times))
        times = np.interp(places, known, self._times)
        # the running sum of the shares, cut to whole events: never more than one away from what is expected
        events = np.floor(np.cumsum(np.interp(places, known, self._share)) + random.random())
        return times, np.diff(events, prepend=0.0) >= 1


def hand_out(log_risk: Floats, effects: Floats, curve: Curve, random: np.random.Generator) -> tuple[Floats, Flags]:
    """A time and an event for each row; rows of higher risk tend to have theirs earlier.

    ``effects`` (rows, covariates) are standardised: chance shall give none of them an effect that the risk has not.
    """
    times, events = np.zeros(len(log_risk)), np.zeros(len(log_risk), dtype=bool)
    order = random.permutation(len(log_risk))
    for start in range(0, len(order), BLOCK):
        rows = order[start : start + BLOCK]
        own = np.clip(log_risk[rows], -10, 10)
        given_times, given_events = curve.spread(len(rows), random)
        holders = _drawn_in_turn(np.exp(own), given_events, random)
        expected = expected_events(given_times, given_events, own[holders])
        holders = _evened_out(holders, own, effects[rows], expected, given_events)
        times[rows[holders]], events[rows[holders]] = given_times, given_events
    return times, events


def _evened_out(holders: Codes, log_risk: Floats, effects: Floats, expected: Floats, events: Flags) -> Codes:
    """Who leaves at each turn, after exchanges between rows of nearly the same risk that lessen what chance has added.

    Chance shows as the sum over rows of covariates times martingale residuals, which a Cox model would take
    for effects; it is nought on average. Rows of the same risk are alike to the model, so an exchange between
    them changes no distribution, only scatter (balanced sampling: Deville and Tillé 2004).
    """
    risk = np.exp(log_risk)
    given = np.empty(len(holders), dtype=np.int64)
    given[holders] = np.arange(len(holders))
    hazard = expected / risk[holders]
    happened = events.astype(np.float64)
    row = np.argsort(log_risk, kind="stable")
    chance = effects.T @ (happened[given] - risk * hazard[given])
    for place in [*range(len(row))] * SWEEPS:
        one, others = row[place], row[max(0, place - NEAR) : place + NEAR + 1]
        mine, theirs = given[one], given[others]
        gain_one = happened[theirs] - happened[mine] - risk[one] * (hazard[theirs] - hazard[mine])
        gain_other = happened[mine] - happened[theirs] - risk[others] * (hazard[mine] - hazard[theirs])
        after = chance + gain_one[:, None] * effects[one] + gain_other[:, None] * effects[others]
        best = int((after**2).sum(axis=1).argmin())
        chance = after[best]
        given[one], given[others[best]] = theirs[best], mine
    return np.argsort(given, kind="stable")


def _drawn_in_turn(risk: Floats, events: Flags, random: np.random.Generator) -> Codes:
    """Who leaves at each turn: by risk at an event, anyone alike at a loss from sight."""
    weight, present = risk.copy(), np.ones(len(risk))
    holders = np.zeros(len(risk), dtype=np.int64)
    for turn, happened in enumerate(events):
        ends = np.cumsum(weight if happened else present)
        chosen = int(min(np.searchsorted(ends, random.random() * ends[-1], side="right"), len(risk) - 1))
        if present[chosen] == 0:
            chosen = int(np.nonzero(present)[0][0])
        holders[turn] = chosen
        weight[chosen] = present[chosen] = 0.0
    return holders

"""The survival head: how each outcome ends, given the rest of the row.

Time is cut into intervals; in each, a patient still followed meets one of the event's levels (loss from sight is one
of them) or goes on. So censored patients count for exactly as long as they were seen, and competing events are
cause-specific hazards (Prentice et al. 1978; discrete time: Gensheimer and Narasimhan 2019). Effects are proportional
plus a drift with time. What is drawn follows the joint distribution of time and event, whatever causes the censoring.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

DROPOUT = 0.1
SETTLING = 20
LEAST = 1e-6


def observed_hazards(interval: Tensor, level: Tensor, known: Tensor, intervals: int, levels: int) -> Tensor:
    """Of those still followed at the start of each interval: the share that met each level in it."""
    met = torch.zeros(intervals, levels)
    met.index_put_((interval, level), known, accumulate=True)
    ended = met.sum(dim=1)
    followed = ended.sum() - ended.cumsum(dim=0) + ended
    return met / followed.clamp(min=1.0)[:, None]


class SurvivalHead(nn.Module):
    """Hazards of each level of the event in each interval."""

    moment: Tensor

    def __init__(self, features: int, intervals: int, levels: int, width: int) -> None:
        super().__init__()
        self.intervals, self.levels = intervals, levels
        self.base = nn.Linear(1, intervals * levels, bias=False)
        self.straight = nn.Linear(features, 2 * levels)
        last = nn.Linear(width, 2 * levels)
        self.bent = nn.Sequential(nn.Linear(features, width), nn.SiLU(), nn.Dropout(DROPOUT), last)
        nn.init.constant_(self.base.weight, -3.0)
        for part in (self.straight, last):
            nn.init.zeros_(part.weight)
            nn.init.zeros_(part.bias)
        self.register_buffer("moment", torch.linspace(-1.0, 1.0, intervals))

    def log_chances(self, features: Tensor) -> Tensor:
        """Logarithms of going on (level 0) and of each event level, shape (rows, intervals, 1 + levels)."""
        rows = len(features)
        base = self.base(features.new_ones(rows, 1)).view(rows, self.intervals, self.levels)
        effect = (self.straight(features) + self.bent(features)).view(rows, 2, self.levels)
        logits = base + effect[:, :1] + effect[:, 1:] * self.moment[None, :, None]
        return torch.log_softmax(torch.cat([torch.zeros_like(logits[..., :1]), logits], dim=2), dim=2)

    def loss(self, features: Tensor, interval: Tensor, level: Tensor, known: Tensor) -> Tensor:
        """Minus the log likelihood of each row's outcome, 0 where it is not known; shape (rows,)."""
        chances = self.log_chances(features)
        place = torch.arange(self.intervals, device=features.device)[None, :]
        stayed = (chances[..., 0] * (place < interval[:, None])).sum(dim=1)
        at_end = chances[torch.arange(len(features)), interval, 1 + level]
        return -(stayed + at_end) * known

    @torch.no_grad()
    def settle(self, features: Tensor, hazards: Tensor) -> None:
        """Move the base so that rows with such features have the observed hazards, shape (intervals, levels).

        What the core draws differs a little from the real rows; without this the survival curve would too.
        """
        for _ in range(SETTLING):
            chances = self.log_chances(features).exp()
            followed = torch.cat([torch.ones_like(chances[:, :1, 0]), chances[:, :-1, 0].cumprod(dim=1)], dim=1)
            weight = followed / followed.sum(dim=0).clamp(min=LEAST)
            expected = (weight[..., None] * chances[..., 1:]).sum(dim=0)
            change = ((hazards + LEAST) / (expected + LEAST)).log().clamp(-2.0, 2.0)
            self.base.weight += change.reshape(-1, 1)

    def draw(self, features: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """An interval and a level for each row; whoever outlasts all intervals ends in the last one."""
        chances = self.log_chances(features).exp()
        interval = torch.full((len(features),), self.intervals - 1)
        level = torch.zeros(len(features), dtype=torch.long)
        waiting = torch.ones(len(features), dtype=torch.bool)
        for step in range(self.intervals):
            now = chances[:, step]
            if step == self.intervals - 1:
                now = torch.cat([torch.zeros_like(now[:, :1]), now[:, 1:]], dim=1)
            met = torch.multinomial(now, 1, generator=generator)[:, 0]
            ends = waiting & (met > 0)
            interval[ends], level[ends] = step, met[ends] - 1
            waiting &= ~ends
        return interval, level

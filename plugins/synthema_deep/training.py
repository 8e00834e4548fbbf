"""Training, plain or private, and drawing rows from what was learned."""

from __future__ import annotations

import copy
import os
import secrets
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from synthema.datasets.codebook import Codebook
from synthema.spi.model import Parameters
from synthema_deep.layout import Layout, Rows
from synthema_deep.networks import Autoencoder, Core, Diffusion
from synthema_deep.privacy import noise_for, row_promise, spent
from synthema_deep.survival import SurvivalHead, observed_hazards

BATCH, RATE = 256, 0.125
HEAD_WIDTH = 32
PLAIN_STEPS, PRIVATE_STEPS = 1000, 400
PLAIN_WIDTH, PRIVATE_WIDTH = 192, 64
PLAIN_SPEED, PRIVATE_SPEED = 2e-3, 5e-3
DECAY, HEAD_DECAY = 1e-2, 0.3
AVERAGED = 0.995
SETTLED_ON = 2000
NOTES = (
    "Categories and bounds come from the codebook; where numbers and times are cut comes from the data.",
    "No differential privacy: the rows rest on an evaluation's attacks, not on a proof.",
    "Identifiers are not made up.",
)
PRIVATE_NOTES = (
    "Categories, bounds and cuts come from the codebook; identifiers are not made up.",
    "Private training by DP-SGD, accounted for Poisson sampling; its noise is pseudo-random and of limited precision.",
)


@dataclass(frozen=True, slots=True)
class Settings:
    """How to train; ``epsilon`` 0 is training without privacy."""

    model: str = "diffusion"
    steps: int | None = None
    width: int | None = None
    epsilon: float = 0.0
    delta: float = 1e-5
    stability: int = 1
    seed: int | None = None

    @classmethod
    def of(cls, parameters: Parameters) -> Settings:
        """The settings that the parameters ask for, defaults elsewhere."""
        return cls(**{name: parameters[name] for name in cls.__slots__ if parameters.get(name) is not None})


class Network(nn.Module):
    """The core, and a survival head for each outcome, which sees the row and the outcomes before its own."""

    def __init__(self, layout: Layout, core: Core) -> None:
        super().__init__()
        self.core = core
        features, heads = core.inputs, []
        for outcome in layout.outcomes:
            heads.append(SurvivalHead(features, outcome.intervals, len(outcome.event.categories), HEAD_WIDTH))
            features += 1 + len(outcome.event.categories)
        self.heads = nn.ModuleList(heads)

    def forward(
        self, scores: Tensor, inside: Tensor, levels: Tensor, interval: Tensor, level: Tensor, known: Tensor
    ) -> Tensor:
        """What training makes small, one number for each row."""
        total = self.core.loss(scores, inside, levels)
        features = torch.cat([scores, self.core.indicators(levels)], dim=1)
        for place, head in enumerate(self._heads()):
            own = interval[:, place], level[:, place], known[:, place]
            total = total + head.loss(features, *own)
            features = _beside(features, head, *own)
        return total

    @torch.no_grad()
    def draw(self, rows: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Scores, levels, intervals and event levels of new rows."""
        scores, levels = self.core.draw(rows, generator)
        features = torch.cat([scores, self.core.indicators(levels)], dim=1)
        intervals, ends = [torch.zeros((rows, 0), dtype=torch.long)], [torch.zeros((rows, 0), dtype=torch.long)]
        for head in self._heads():
            interval, level = head.draw(features, generator)
            features = _beside(features, head, interval, level, torch.ones(rows))
            intervals.append(interval[:, None])
            ends.append(level[:, None])
        return scores, levels, torch.cat(intervals, dim=1), torch.cat(ends, dim=1)

    @torch.no_grad()
    def settle(self, ends: list[Tensor]) -> None:
        """Hold each head to the survival that was seen, on rows of the core's own."""
        scores, levels = self.core.draw(SETTLED_ON, torch.Generator().manual_seed(int(torch.randint(2**31, (1,)))))
        features = torch.cat([scores, self.core.indicators(levels)], dim=1)
        generator = torch.Generator().manual_seed(int(torch.randint(2**31, (1,))))
        for place, head in enumerate(self._heads()):
            interval, level, known = (part[:, place] for part in ends)
            head.settle(features, observed_hazards(interval, level, known, head.intervals, head.levels))
            drawn = head.draw(features, generator)
            features = _beside(features, head, *drawn, torch.ones(SETTLED_ON))

    def _heads(self) -> Iterator[SurvivalHead]:
        for head in self.heads:
            if isinstance(head, SurvivalHead):
                yield head


def _beside(features: Tensor, head: SurvivalHead, interval: Tensor, level: Tensor, known: Tensor) -> Tensor:
    """The features and how one outcome ended; noughts where that is not known."""
    time = (2 * interval / max(head.intervals - 1, 1) - 1)[:, None]
    event = nn.functional.one_hot(level, head.levels)
    return torch.cat([features, time * known[:, None], event * known[:, None]], dim=1)


class Learned:
    """A trained network; :meth:`draw` gives synthetic rows before any rule is looked at."""

    def __init__(
        self, layout: Layout, network: Network, random: np.random.Generator, epsilon: float | None, delta: float
    ) -> None:
        self._layout, self._network, self._random = layout, network, random
        self.epsilon, self.delta = epsilon, delta
        self.notes = NOTES if epsilon is None else PRIVATE_NOTES

    def draw(self, rows: int) -> pl.DataFrame:
        """So many rows."""
        drawn = self._network.draw(rows, _generator(self._random))
        scores, levels, interval, level = (part.numpy() for part in drawn)
        known = np.ones(interval.shape, dtype=bool)
        optional = [place for place, outcome in enumerate(self._layout.outcomes) if outcome.may_be_missing]
        if optional:
            known[:, optional] = levels[:, -len(optional) :] == 1
        made = Rows(scores.astype(np.float64), scores == scores, levels, interval, level, known)  # noqa: PLR0124
        return self._layout.decode(made, self._random)


def learn(table: pl.DataFrame, codebook: Codebook, settings: Settings) -> Learned:
    """Train on the table; raises ``ValueError`` for a table without rows or an impossible promise."""
    if table.height == 0:
        raise ValueError("the table has no rows: there is nothing to learn from")
    # Torch's optimisers look for a folder for compiled code, which a sandbox has not; none is ever written.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(Path.cwd()))
    random = np.random.default_rng(settings.seed if settings.seed is not None else secrets.randbits(128))
    private = settings.epsilon > 0
    with _seeded(random):
        layout = Layout(table, codebook, private=private)
        width = settings.width or (PRIVATE_WIDTH if private else PLAIN_WIDTH)
        kind = Autoencoder if settings.model == "vae" else Diffusion
        allowed = [flags.tolist() for flags in layout.allowed()]
        network = Network(layout, kind(len(layout.numbers), allowed, width))
        rows = _tensors(layout.encode(table))
        if private:
            epsilon = _train_privately(network, rows, settings)
            return Learned(layout, network.eval(), random, epsilon, settings.delta)
        return Learned(layout, _train(network, rows, settings), random, None, 0.0)


class _seeded:  # noqa: N801 - reads like a function
    """Torch's own random state and threads as this run wants them, and as before afterwards."""

    def __init__(self, random: np.random.Generator) -> None:
        self._seed = int(random.integers(2**63))

    def __enter__(self) -> None:
        self._state = torch.get_rng_state()
        torch.manual_seed(self._seed)

    def __exit__(self, *_exception: object) -> None:
        torch.set_rng_state(self._state)


def _generator(random: np.random.Generator) -> torch.Generator:
    return torch.Generator().manual_seed(int(random.integers(2**63)))


def _tensors(rows: Rows) -> list[Tensor]:
    floats = (torch.tensor(part, dtype=torch.float32) for part in (rows.scores, rows.inside))
    codes = (torch.tensor(part) for part in (rows.levels, rows.interval, rows.level))
    return [*floats, *codes, torch.tensor(rows.known, dtype=torch.float32)]


def _train(network: Network, rows: list[Tensor], settings: Settings) -> Network:
    """Plain training (AdamW, cosine decay); what is kept is the running mean of the weights."""
    steps = settings.steps or PLAIN_STEPS
    optimiser = torch.optim.AdamW(
        [
            {"params": list(network.core.parameters()), "weight_decay": DECAY},
            {"params": list(network.heads.parameters()), "weight_decay": HEAD_DECAY},
        ],
        lr=PLAIN_SPEED,
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    kept = min(AVERAGED, 1 - 1 / max(steps / 10, 2))
    found = copy.deepcopy(network)
    number = len(rows[0])
    for _ in range(steps):
        picked = torch.randperm(number)[:BATCH]
        optimiser.zero_grad()
        network(*(part[picked] for part in rows)).mean().backward()
        nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            for mine, theirs in zip(found.parameters(), network.parameters(), strict=True):
                mine.lerp_(theirs, 1 - kept)
    found.eval()
    found.settle(rows[3:])
    return found


def _train_privately(network: Network, rows: list[Tensor], settings: Settings) -> float:
    """DP-SGD (Abadi et al. 2016) by Opacus; returns the epsilon spent, at most the one asked for."""
    steps = settings.steps or PRIVATE_STEPS
    epsilon, delta = row_promise(settings.epsilon, settings.delta, settings.stability)
    sigma = noise_for(epsilon, delta, RATE, steps)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Opacus' hooks make torch warn about inputs without gradients
        from opacus import GradSampleModule  # noqa: PLC0415 - an extra
        from opacus.optimizers import DPOptimizer  # noqa: PLC0415

        network.train()
        watched: Any = GradSampleModule(network, loss_reduction="sum")
        optimiser = DPOptimizer(
            torch.optim.Adam(watched.parameters(), lr=PRIVATE_SPEED),
            noise_multiplier=sigma,
            max_grad_norm=1.0,
            expected_batch_size=None,
            loss_reduction="sum",
        )
        number = len(rows[0])
        for _ in range(steps):
            picked = torch.nonzero(torch.rand(number) < RATE)[:, 0]
            optimiser.zero_grad()
            watched(*(part[picked] for part in rows)).sum().backward()
            optimiser.step()
        watched.remove_hooks()
    return min(settings.epsilon, settings.stability * spent(sigma, delta, RATE, steps))

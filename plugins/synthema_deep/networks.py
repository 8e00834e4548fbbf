"""The two cores that make the rest of a row: a variational autoencoder, and a diffusion model.

Both see normal scores (nought where there is none) and levels as indicators. ``loss`` gives one number for each row, so
that the same code trains with and without clipping row by row.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

LATENT = 16
NOISE_STEPS = 50
TIME_WAVES = 16
DROPOUT = 0.05
LEAST_SPREAD = -3.0


class Core(nn.Module, ABC):
    """What both models share: the shape of a row. ``allowed`` says which levels may be drawn at all."""

    forbidden: Tensor

    def __init__(self, numbers: int, allowed: Sequence[Sequence[bool]]) -> None:
        super().__init__()
        self.numbers, self.sizes = numbers, [len(flags) for flags in allowed]
        self.inputs = numbers + sum(self.sizes)
        flat = [flag for flags in allowed for flag in flags]
        self.register_buffer("forbidden", torch.where(torch.tensor(flat, dtype=torch.bool), 0.0, -1e9))

    def indicators(self, levels: Tensor) -> Tensor:
        """Levels as indicators, shape (rows, sum of sizes)."""
        parts = [functional.one_hot(levels[:, i], size) for i, size in enumerate(self.sizes)]
        return torch.cat(parts, dim=1).float() if parts else levels.new_zeros((len(levels), 0)).float()

    def level_loss(self, logits: Tensor, levels: Tensor) -> Tensor:
        """Cross entropy summed over the categorical features."""
        found = logits.new_zeros(len(logits))
        for i, part in enumerate(self.split(logits)):
            found = found + functional.cross_entropy(part, levels[:, i], reduction="none")
        return found

    def split(self, logits: Tensor) -> list[Tensor]:
        """Logits of each feature, forbidden levels out of reach."""
        return list(torch.split(logits + self.forbidden, self.sizes, dim=1)) if self.sizes else []

    def draw_levels(self, logits: Tensor, generator: torch.Generator) -> Tensor:
        """A level of each feature."""
        drawn = [torch.multinomial(p.softmax(dim=1), 1, generator=generator) for p in self.split(logits)]
        return torch.cat(drawn, dim=1) if drawn else torch.zeros((len(logits), 0), dtype=torch.long)

    @abstractmethod
    def loss(self, scores: Tensor, inside: Tensor, levels: Tensor) -> Tensor:
        """What training makes small, one number for each row."""

    @abstractmethod
    def draw(self, rows: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Scores and levels of new rows."""


def _layers(inputs: int, width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, width), nn.SiLU(), nn.Dropout(DROPOUT),
        nn.Linear(width, width), nn.SiLU(), nn.Dropout(DROPOUT),
        nn.Linear(width, outputs),
    )  # fmt: skip


class Autoencoder(Core):
    """A variational autoencoder (Kingma and Welling 2014) with heads for mixed types (Xu et al. 2019)."""

    def __init__(self, numbers: int, allowed: Sequence[Sequence[bool]], width: int) -> None:
        super().__init__(numbers, allowed)
        self.encoder = _layers(self.inputs, width, 2 * LATENT)
        self.decoder = _layers(LATENT, width, 2 * numbers + sum(self.sizes))

    def loss(self, scores: Tensor, inside: Tensor, levels: Tensor) -> Tensor:
        """Minus the evidence lower bound of each row."""
        middle, spread = self.encoder(torch.cat([scores, self.indicators(levels)], dim=1)).chunk(2, dim=1)
        spread = spread.clamp(-8.0, 8.0)
        latent = middle + torch.randn_like(middle) * (spread / 2).exp()
        mean, width, logits = self._decoded(latent)
        apart = ((scores - mean) ** 2 * (-width).exp() + width) / 2
        distance = (middle**2 + spread.exp() - 1 - spread).sum(dim=1) / 2
        total: Tensor = (apart * inside).sum(dim=1) + self.level_loss(logits, levels) + distance
        return total

    def draw(self, rows: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Rows from the standard normal prior."""
        mean, width, logits = self._decoded(torch.randn(rows, LATENT, generator=generator))
        scores = mean + torch.randn(mean.shape, generator=generator) * (width / 2).exp()
        return scores, self.draw_levels(logits, generator)

    def _decoded(self, latent: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        found = self.decoder(latent)
        mean, width, logits = torch.split(found, [self.numbers, self.numbers, sum(self.sizes)], dim=1)
        return mean, width.clamp(LEAST_SPREAD, 3.0), logits


class Diffusion(Core):
    """Gaussian diffusion (Ho, Jain and Abbeel 2020) on scores and indicators, the clean row predicted at each step.

    Levels are predicted as chances and trained by cross entropy (after Dieleman et al. 2022).
    """

    kept: Tensor
    waves: Tensor

    def __init__(self, numbers: int, allowed: Sequence[Sequence[bool]], width: int) -> None:
        super().__init__(numbers, allowed)
        self.network = _layers(self.inputs + 2 * TIME_WAVES, width, numbers + sum(self.sizes))
        steps = torch.arange(NOISE_STEPS + 1) / NOISE_STEPS
        kept = torch.cos((steps + 0.008) / 1.008 * math.pi / 2) ** 2  # cosine schedule of Nichol and Dhariwal 2021
        self.register_buffer("kept", (kept / kept[0]).clamp(1e-4, 0.9999))
        self.register_buffer("waves", torch.exp(torch.linspace(0.0, 4.0, TIME_WAVES)))

    def loss(self, scores: Tensor, inside: Tensor, levels: Tensor) -> Tensor:
        """Squared error of scores and cross entropy of levels at a random step, early steps weighted up."""
        clean = torch.cat([scores, 2 * self.indicators(levels) - 1], dim=1)
        step = torch.randint(1, NOISE_STEPS + 1, (len(scores),))
        kept = self.kept[step][:, None]
        noisy = kept.sqrt() * clean + (1 - kept).sqrt() * torch.randn_like(clean)
        mean, logits = self._predicted(noisy, step)
        weight = (kept / (1 - kept)).clamp(max=5.0) + 0.1  # Hang et al. 2023
        apart: Tensor = ((scores - mean) ** 2 * inside * weight).sum(dim=1)
        return apart + self.level_loss(logits, levels)

    def draw(self, rows: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Rows from noise, step by step."""
        noisy = torch.randn(rows, self.inputs, generator=generator)
        mean = noisy[:, : self.numbers]
        logits = noisy[:, self.numbers :]
        for step in range(NOISE_STEPS, 0, -1):
            mean, logits = self._predicted(noisy, torch.full((rows,), step))
            chances = [part.softmax(dim=1) for part in self.split(logits)]
            clean = torch.cat([mean, *(2 * part - 1 for part in chances)], dim=1)
            now, before = self.kept[step], self.kept[step - 1]
            share = now / before
            middle = (before.sqrt() * (1 - share) * clean + share.sqrt() * (1 - before) * noisy) / (1 - now)
            spread = ((1 - before) / (1 - now) * (1 - share)).sqrt()
            noisy = middle + spread * torch.randn(noisy.shape, generator=generator)
        return noisy[:, : self.numbers], self.draw_levels(logits, generator)

    def _predicted(self, noisy: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
        angle = (step / NOISE_STEPS)[:, None] * self.waves[None, :]
        found = self.network(torch.cat([noisy, angle.sin(), angle.cos()], dim=1))
        mean, logits = torch.split(found, [self.numbers, sum(self.sizes)], dim=1)
        return mean, logits

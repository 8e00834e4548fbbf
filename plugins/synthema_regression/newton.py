"""Newton steps from summed gradients and Hessians, and what they are worth at the end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthema_regression.covariates import Floats
from synthema_regression.models import Model

LARGEST_STEP = 2.0
CLOSE_ENOUGH = 1e-6


@dataclass(frozen=True, slots=True)
class Summed:
    """An opened sum back in the model's units: patients, gradient, Hessian, and the noise in each."""

    patients: float
    gradient: Floats
    hessian: Floats
    patients_sigma: float
    gradient_sigma: float
    hessian_sigma: float


def unpacked(model: Model, total: Floats, sigma: float, scale: int) -> Summed:
    """Read an opened sum. A baseline's own entry that noise hides is raised to twice its noise: its step is careful."""
    unit = model.largest / scale
    figures = total * unit
    gradient = figures[1 : 1 + model.dimension]
    hessian = np.zeros((model.dimension, model.dimension))
    left, right = np.array(model.pairs).T
    hessian[left, right] = hessian[right, left] = figures[1 + model.dimension :] / model.weight
    noise = sigma * unit
    baseline = np.arange(model.nuisance)
    hessian[baseline, baseline] = np.maximum(hessian[baseline, baseline], max(2 * noise / model.weight, 1e-9))
    return Summed(float(figures[0]), gradient, hessian, noise, noise, noise / model.weight)


def step(summed: Summed) -> Floats:
    """The Newton step, with eigenvalues that noise could have made raised to twice the noise's size; at most 2 long."""
    values, vectors = np.linalg.eigh(summed.hessian)
    floor = max(2 * summed.hessian_sigma * np.sqrt(len(values)), 1e-12 * max(float(values[-1]), 1.0))
    moved = vectors @ ((vectors.T @ summed.gradient) / np.maximum(values, floor))
    longest = float(np.abs(moved).max(initial=0.0))
    return np.asarray(moved * min(1.0, LARGEST_STEP / max(longest, 1e-300)))


def settled(model: Model, moved: Floats) -> bool:
    """Whether the step was so short that the next would change nothing."""
    return float(np.abs(moved[model.nuisance :]).max(initial=0.0)) < CLOSE_ENOUGH


def too_long(model: Model, moved: Floats) -> bool:
    """Whether the last step moved some patient's linear predictor so far that one more step would matter."""
    return float(np.abs(moved[model.nuisance :]).sum()) > 1.0


def estimable(model: Model, summed: Summed) -> bool:
    """Whether the data say something about every coefficient, beyond what noise alone would.

    Looks at the information on the coefficients once the baseline is estimated too (Schur complement).
    """
    k = model.nuisance
    if summed.patients <= max(model.dimension - k, 4 * summed.patients_sigma):
        return False
    corner = summed.hessian[:k, k:]
    information = summed.hessian[k:, k:] - corner.T @ (corner / np.diag(summed.hessian)[:k, None])
    values = np.linalg.eigvalsh(information)
    floor = max(2 * summed.hessian_sigma * np.sqrt(len(values)), 1e-9 * max(float(values[-1]), 1e-9))
    return bool(values[0] > floor)


def covariance(summed: Summed, moved: Floats) -> Floats:
    """Covariance of the estimate: the model's own, plus what noise and the length of the last step add to it.

    With step δ = H⁻¹g, noise in g adds H⁻¹ σ² H⁻¹, and symmetric noise E in H adds H⁻¹ Cov(Eδ) H⁻¹ where
    Cov(Eδ) = σ_H² (|δ|² I + δδᵀ − diag(δ²)). A further step would correct each entry by about ½ |δ|₁ δ, as no
    patient's linear predictor moved by more than |δ|₁; that is added too.
    """
    inverse = np.linalg.inv(summed.hessian)
    noise = summed.gradient_sigma**2 * np.eye(len(moved))
    mixed = (moved @ moved) * np.eye(len(moved)) + np.outer(moved, moved) - np.diag(moved**2)
    further = np.diag((0.5 * np.abs(moved).sum() * moved) ** 2)
    return np.asarray(inverse + inverse @ (noise + summed.hessian_sigma**2 * mixed) @ inverse + further)

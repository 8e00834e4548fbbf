"""What a site adds up in one round, by the study's method.

- ``patients``: each patient's gradient, cut to the norm ``clip``; the coordinator takes the step. The sum over sites
  is that of one table with all patients, and one patient changes it by at most ``clip``.
- ``fedavg``: the site takes ``local_steps`` steps by itself and sends how far it came (McMahan et al. 2017).
- ``fedprox``: the same, held back towards the common weights (Li et al. 2020).
- ``scaffold``: the same, each step corrected by how the site's gradient differs from all sites' (Karimireddy et al.
  2020, option I). The site's own part is its gradient at the previous common weights, computed anew each round, so
  that nothing has to be kept at the site between rounds.

A site's update is cut to the norm ``clip`` as a whole; all of it can change with one patient.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthema_learning.nets import Net
from synthema_learning.torches import torch

Floats = NDArray[np.float64]
CHUNK = 128


def patients_gradients(net: Net, weights: Floats, inputs: list[Any], clip: float) -> Floats:
    """Each patient's gradient cut to the L2 norm ``clip`` and divided by it, shape ``(rows, weights)``."""
    starts = range(0, len(inputs[0]), CHUNK)
    chunks = (_own_gradients(net, weights, [value[start : start + CHUNK] for value in inputs]) for start in starts)
    gradients = np.concatenate([np.zeros((0, len(weights))), *chunks])
    norms = np.linalg.norm(gradients, axis=1, keepdims=True)
    return np.asarray(gradients / np.maximum(norms, clip))


def _own_gradients(net: Net, weights: Floats, inputs: list[Any]) -> Floats:
    """Each row's gradient: every row gets a copy of the weights, so the gradient of the sum falls apart by row."""
    lib = torch()
    copies = lib.from_numpy(np.tile(weights, (len(inputs[0]), 1))).requires_grad_()
    loss = net.losses(copies, *(lib.from_numpy(value) for value in inputs)).sum()
    return np.asarray(lib.autograd.grad(loss, copies)[0].numpy())


def mean_gradient(net: Net, weights: Floats, inputs: list[Any]) -> Floats:
    """The gradient of the mean loss of all rows."""
    lib = torch()
    at = lib.from_numpy(weights.copy()).requires_grad_()
    loss = net.losses(at, *(lib.from_numpy(value) for value in inputs)).mean()
    return np.asarray(lib.autograd.grad(loss, at)[0].numpy())


def local_update(
    net: Net, weights: Floats, inputs: list[Any], *, steps: int, rate: float, nearness: float, correction: Floats
) -> Floats:
    """How far a site comes by itself; ``nearness`` is FedProx's μ, ``correction`` SCAFFOLD's c − cᵢ (0 without)."""
    here = weights.copy()
    for _ in range(steps):
        gradient = mean_gradient(net, here, inputs) + nearness * (here - weights) + correction
        here = here - rate * gradient
    return here - weights


def cut(vector: Floats, clip: float) -> Floats:
    """The vector cut to the L2 norm ``clip`` and divided by it; zeros where it is not finite."""
    if not np.isfinite(vector).all():
        return np.zeros_like(vector)
    return np.asarray(vector / max(float(np.linalg.norm(vector)), clip))

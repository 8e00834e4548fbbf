"""The networks, as functions of a flat vector of weights: survival in discrete time, small images, tables.

Each has ``shapes`` (its weights in order), ``inputs`` (what a table becomes), ``losses`` (one for each patient). All
is computed in 64 bits: what the order of the rows changes is then far below the digit that the secure sum keeps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synthema.datasets.codebook import Variable
from synthema.spi.columns import numbers, texts
from synthema_learning.inputs import Coded, Features, Pixels
from synthema_learning.torches import torch

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Shapes = tuple[tuple[int, ...], ...]

DRAWS = 64


class Net(Protocol):
    """A network that learns from patients one by one."""

    @property
    def shapes(self) -> Shapes: ...

    def inputs(self, table: pl.DataFrame, number: int) -> tuple[list[Any], Flags]:
        """Arrays with one row for each patient in round ``number``, and which patients can be used."""
        ...

    def losses(self, weights: Any, *inputs: Any) -> Any:
        """The loss of each patient, shape ``(rows,)``; ``weights`` is flat, or has a row for each patient."""
        ...

    def first(self, seed: int) -> Floats:
        """The weights that learning begins with."""
        ...


def size_of(shapes: Shapes) -> int:
    """How many weights there are."""
    return sum(math.prod(shape) for shape in shapes)


def parts(weights: Any, shapes: Shapes) -> list[Any]:
    """The flat vector cut into tensors; a matrix, whose rows are patients, into one tensor for each patient."""
    found, start = [], 0
    for shape in shapes:
        size = math.prod(shape)
        found.append(weights[..., start : start + size].reshape(*weights.shape[:-1], *shape))
        start += size
    return found


def dense(x: Any, matrix: Any, bias: Any) -> Any:
    """A layer, with the same weights for all rows or each row's own."""
    if matrix.dim() == 2:
        return x @ matrix.T + bias
    return torch().bmm(matrix, x.unsqueeze(2)).squeeze(2) + bias


def convolved(x: Any, kernel: Any, bias: Any) -> Any:
    """A convolution that keeps the size, a rectifier, and pooling by two; weights as for :func:`dense`."""
    layer = torch().nn.functional
    if kernel.dim() == 4:
        x = layer.conv2d(x, kernel, bias, padding=1)
    else:
        rows, channels, height, width = x.shape
        own = kernel.reshape(-1, *kernel.shape[2:])
        x = layer.conv2d(x.reshape(1, rows * channels, height, width), own, bias.reshape(-1), padding=1, groups=rows)
        x = x.reshape(rows, -1, height, width)
    return layer.avg_pool2d(layer.relu(x), 2)


def first_weights(shapes: Shapes, seed: int) -> Floats:
    """Where learning begins: small numbers that keep the size of what passes through, biases 0 (Glorot 2010)."""
    random = np.random.default_rng(seed)
    found = []
    for shape in shapes:
        if len(shape) == 1:
            found.append(np.zeros(shape))
            continue
        space = math.prod(shape[2:])
        found.append(random.normal(0, math.sqrt(2 / ((shape[0] + shape[1]) * space)), shape).ravel())
    return np.concatenate(found)


@dataclass(frozen=True, slots=True)
class Survival:
    """The chance of the event in each bin of time, given that it has not happened (Gensheimer and Narasimhan 2019).

    One hidden layer beside a direct path that begins at 0, so that with few patients the network is close to a
    linear model.
    """

    features: Features
    time: Variable
    event: Variable
    value: str
    edges: tuple[float, ...]
    hidden: int

    @property
    def bins(self) -> int:
        return len(self.edges) - 1

    @property
    def shapes(self) -> Shapes:
        width = len(self.features.names)
        return (self.hidden, width), (self.hidden,), (self.bins, self.hidden), (self.bins,), (width,)

    def first(self, seed: int) -> Floats:
        """As for every network, but an event is as likely in each bin as if one happened over all of them."""
        weights = first_weights(self.shapes, seed)
        end = size_of(self.shapes) - len(self.features.names)
        weights[end - self.bins : end] = -math.log(self.bins)
        return weights

    def read(self, table: pl.DataFrame) -> tuple[NDArray[np.int64], Flags, Floats, Flags]:
        """Bin of time, whether the event happened, share of the last bin that was followed, and who has all this."""
        times, said = numbers(table, self.time), texts(table, self.event)
        known = np.isfinite(times) & np.array([text in self.event.categories for text in said], dtype=bool)
        edges = np.asarray(self.edges)
        times = np.where(known, times, edges[0])
        place = np.clip(np.searchsorted(edges, times, side="left") - 1, 0, self.bins - 1)
        share = (times - edges[place]) / np.diff(edges)[place]
        return place.astype(np.int64), np.array([text == self.value for text in said], dtype=bool), share, known

    def inputs(self, table: pl.DataFrame, number: int) -> tuple[list[Any], Flags]:
        place, happened, share, known = self.read(table)
        bins = np.arange(self.bins)
        last = bins[None, :] == place[:, None]
        passed = bins[None, :] < place[:, None]
        risk = passed | (last & (happened | (share >= 0.5))[:, None])
        return [self.features.matrix(table), risk.astype(np.float64), (last & happened[:, None]).astype(float)], known

    def losses(self, weights: Any, *inputs: Any) -> Any:
        x, risk, events = inputs
        logits = self.logits(weights, x)
        return (risk * torch().nn.functional.softplus(logits) - events * logits).sum(dim=1)

    def logits(self, weights: Any, x: Any) -> Any:
        """Log odds of the event in each bin, shape ``(rows, bins)``."""
        first, bias, second, start, direct = parts(weights, self.shapes)
        return dense(torch().tanh(dense(x, first, bias)), second, start) + (x * direct).sum(dim=1, keepdim=True)

    def risk(self, weights: Floats, table: pl.DataFrame) -> Floats:
        """The mean over bins of time of the share that has had the event, between 0 and 1."""
        lib = torch()
        logits = self.logits(lib.from_numpy(weights), lib.from_numpy(self.features.matrix(table)))
        left = lib.cumsum(lib.nn.functional.logsigmoid(-logits), dim=1).exp()
        return np.asarray(1 - left.mean(dim=1).numpy())


@dataclass(frozen=True, slots=True)
class Image:
    """The kind of a small image: two convolutions with pooling, then one layer."""

    pixels: Pixels
    outcome: Variable
    hidden: int

    @property
    def shapes(self) -> Shapes:
        height, width, channels = self.pixels.shape
        one, two = self.hidden, 2 * self.hidden
        flat = two * (height // 4) * (width // 4)
        kinds = len(self.outcome.categories)
        return (one, channels, 3, 3), (one,), (two, one, 3, 3), (two,), (kinds, flat), (kinds,)

    def first(self, seed: int) -> Floats:
        return first_weights(self.shapes, seed)

    def kinds(self, table: pl.DataFrame) -> tuple[NDArray[np.int64], Flags]:
        """The kind of each image, and whether it is known."""
        index: dict[str | None, int] = {text: number for number, text in enumerate(self.outcome.categories)}
        found = np.array([index.get(text, -1) for text in texts(table, self.outcome)], dtype=np.int64)
        return np.maximum(found, 0), found >= 0

    def inputs(self, table: pl.DataFrame, number: int) -> tuple[list[Any], Flags]:
        kinds, known = self.kinds(table)
        return [self.pixels.matrix(table), kinds], known

    def logits(self, weights: Any, pixels: Any) -> Any:
        """Log odds of each kind, shape ``(rows, kinds)``."""
        height, width, channels = self.pixels.shape
        one, bias_one, two, bias_two, last, bias_last = parts(weights, self.shapes)
        x = pixels.reshape(-1, channels, height, width)
        x = convolved(convolved(x, one, bias_one), two, bias_two)
        return dense(x.reshape(x.shape[0], -1), last, bias_last)

    def losses(self, weights: Any, *inputs: Any) -> Any:
        pixels, kinds = inputs
        return torch().nn.functional.cross_entropy(self.logits(weights, pixels), kinds, reduction="none")

    def said(self, weights: Floats, table: pl.DataFrame) -> NDArray[np.int64]:
        """The kind that the network names for each image."""
        lib = torch()
        logits = self.logits(lib.from_numpy(weights), lib.from_numpy(self.pixels.matrix(table)))
        return np.asarray(logits.argmax(dim=1).numpy())


@dataclass(frozen=True, slots=True)
class Autoencoder:
    """A variational autoencoder of a table (Kingma and Welling 2014): every variable is a choice among its cells.

    The random draw that a patient's code gets follows from the patient's own cells and the round, not from the other
    rows, so that one patient more or less moves no one else.
    """

    coded: Coded
    hidden: int
    codes: int

    @property
    def shapes(self) -> Shapes:
        width, hidden = sum(self.coded.sizes), self.hidden
        encode = ((hidden, width), (hidden,), (2 * self.codes, hidden), (2 * self.codes,))
        return (*encode, (hidden, self.codes), (hidden,), (width, hidden), (width,))

    def first(self, seed: int) -> Floats:
        return first_weights(self.shapes, seed)

    def inputs(self, table: pl.DataFrame, number: int) -> tuple[list[Any], Flags]:
        cells = self.coded.cells(table)
        starts = np.concatenate([[0], np.cumsum(self.coded.sizes)[:-1]])
        hot = np.zeros((len(cells), sum(self.coded.sizes)))
        np.put_along_axis(hot, cells + starts, 1.0, axis=1)
        draws = np.random.default_rng((number, 7919)).normal(size=(DRAWS, self.codes))
        mine = (cells * np.random.default_rng(104_729).integers(1, 2**31, cells.shape[1])).sum(axis=1)
        return [hot, draws[mine // 65_537 % DRAWS]], np.ones(len(cells), dtype=bool)

    def losses(self, weights: Any, *inputs: Any) -> Any:
        lib = torch()
        hot, draw = inputs
        first, bias, second, start, *_ = parts(weights, self.shapes)
        coded = dense(lib.tanh(dense(hot, first, bias)), second, start)
        middle, spread = coded[:, : self.codes], lib.clamp(coded[:, self.codes :], -8.0, 4.0)
        logits = self.decoded(weights, middle + lib.exp(spread / 2) * draw)
        shares = lib.cat([lib.log_softmax(part, dim=1) for part in logits.split(self.coded.sizes, dim=1)], dim=1)
        divergence = 0.5 * (middle**2 + lib.exp(spread) - spread - 1).sum(dim=1)
        return divergence - (hot * shares).sum(dim=1)

    def decoded(self, weights: Any, codes: Any) -> Any:
        """Log odds of every cell of every variable."""
        *_, first, bias, second, start = parts(weights, self.shapes)
        return dense(torch().tanh(dense(codes, first, bias)), second, start)

    def draw(self, weights: Floats, rows: int, random: np.random.Generator) -> NDArray[np.int64]:
        """Cells of new rows, shape ``(rows, variables)``."""
        lib = torch()
        logits = self.decoded(lib.from_numpy(weights), lib.from_numpy(random.normal(size=(rows, self.codes))))
        columns = []
        for part in logits.split(self.coded.sizes, dim=1):
            ends = np.cumsum(lib.softmax(part, dim=1).numpy(), axis=1)
            chosen = (random.random((rows, 1)) > ends[:, :-1]).sum(axis=1)
            columns.append(chosen)
        return np.stack(columns, axis=1).astype(np.int64)

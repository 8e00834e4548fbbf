"""One synthesiser of SDV 2, fitted to a table; the codebook becomes its metadata.

SDV's synthesisers take pandas frames and keep their model in Python objects. Neither leaves this process: what comes
out is a polars table. A saved SDV synthesiser is a pickle from which training rows can be read; none is ever written.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from sdv.metadata import Metadata
from sdv.single_table import CTGANSynthesizer, GaussianCopulaSynthesizer, TVAESynthesizer

from synthema.datasets.codebook import Codebook, Variable
from synthema.spi.columns import column, numbers, texts
from synthema.spi.model import Parameters
from synthema.spi.sampling import Draw, written

NAME = "patients"
EPOCHS = 300


def fitted(table: pl.DataFrame, codebook: Codebook, parameters: Parameters) -> Draw:
    """A function that draws rows from the synthesiser that ``synthesiser`` names, fitted to the table."""
    kept = [v for v in codebook.variables if v.role != "identifier" and v.type != "text"]
    if not kept or table.height == 0:
        raise ValueError("there is nothing to learn from: the table has no rows, or the codebook no variable")
    frame = pd.DataFrame({v.name: _column(table, v) for v in kept})
    _seed(parameters.get("seed"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SDV warns of its own defaults
        model = _made(_metadata(kept), parameters)
        model.fit({NAME: frame})

    def draw(rows: int) -> pl.DataFrame:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = model.sample(rows)
        drawn = made[NAME] if isinstance(made, dict) else made
        return pl.DataFrame([_series(v, drawn[v.name]) for v in kept])

    return draw


def _made(metadata: Metadata, parameters: Parameters) -> Any:
    epochs = int(parameters.get("epochs", EPOCHS))
    match parameters.get("synthesiser", "gaussian-copula"):
        case "ctgan":
            return CTGANSynthesizer(metadata, epochs=epochs, enable_gpu=False)
        case "tvae":
            return TVAESynthesizer(metadata, epochs=epochs, enable_gpu=False)
        case _:
            return GaussianCopulaSynthesizer(metadata)


def _metadata(variables: list[Variable]) -> Metadata:
    columns = {v.name: {"sdtype": "categorical" if v.type == "category" else "numerical"} for v in variables}
    return Metadata.load_from_dict({"tables": {NAME: {"columns": columns}}, "relationships": []})


def _column(table: pl.DataFrame, variable: Variable) -> Any:
    if variable.type != "category":
        values = numbers(table, variable)
        return np.where(np.isfinite(values), values, np.nan)
    listed = set(variable.categories)
    column(table, variable)
    return np.array([text if text in listed else None for text in texts(table, variable)], dtype=object)


def _series(variable: Variable, values: Any) -> pl.Series:
    """What SDV drew, in the codebook's type and within its bounds."""
    if variable.type == "category":
        listed = set(variable.categories)
        found = [str(value) if isinstance(value, str) and value in listed else None for value in values]
        return pl.Series(variable.name, found, dtype=pl.String)
    drawn = np.asarray(pd.to_numeric(values, errors="coerce"), dtype=np.float64)
    series = pl.Series(variable.name, written(drawn, variable), dtype=pl.Float64).fill_nan(None)
    return series.cast(pl.Int64) if variable.type == "integer" else series


def _seed(seed: int | None) -> None:
    """Fresh randomness, or a repeatable run: SDV draws from the global states of NumPy and torch."""
    import torch  # noqa: PLC0415

    np.random.seed(seed)
    if seed is None:
        torch.seed()
    else:
        torch.manual_seed(seed)

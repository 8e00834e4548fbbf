"""Operations on datasets, offers and budgets."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError
from sqlalchemy import Connection

from synthema.assembly.health_catalogue import HealthCatalogue
from synthema.assembly.operations.registry import Input, Nothing, operation
from synthema.assembly.problems import input_error
from synthema.assembly.setup import INCOMING
from synthema.datasets import Codebook, DatasetMetadata, DatasetVersion, dictionary, read_codebook, read_source
from synthema.errors import SynthemaError

if TYPE_CHECKING:
    from synthema.assembly.connector import Connector


class AddDataset(Input):
    """A table with its codebook. ``codebook`` is the text of a codebook, or the name of a bundled dictionary."""

    name: str
    title: str
    file: str = Field(description="name of the file, for messages")
    table: str = Field(description="the CSV text")
    codebook: str
    metadata: dict[str, Any]


@operation("dataset/add")
def add_dataset(connector: Connector, given: AddDataset) -> dict[str, Any]:
    """Take in a CSV table as a new, sealed version of a dataset."""
    codebook = codebook_of(given.codebook)
    metadata = _metadata(given.metadata)
    with _incoming(connector, given.file, given.table) as path:
        keys = [str(key) for key in read_source(path, codebook)[codebook.patient_key].to_list()]

        def enrol(connection: Connection, version: DatasetVersion) -> None:
            connector.consents.enrol_within(connection, version.name, version.id, keys)

        version = connector.datasets.add(path, codebook, given.title, metadata, name=given.name, with_it=enrol)
    return dataset_json(version)


@operation("dataset/list")
def list_datasets(connector: Connector, given: Nothing) -> list[dict[str, Any]]:
    """The datasets of this site, newest version first."""
    return [dataset_json(version) for version in connector.datasets.versions()]


class PublishOffer(Input):
    """An offer of a dataset: the agreement policy in the DPO's form, and the privacy budget of an agreement."""

    dataset: str
    policy: str
    epsilon: float = Field(gt=0, description="what one agreement may spend in all")
    delta: float = Field(gt=0, lt=1)
    total_epsilon: float = Field(gt=0, description="what all recipients together may spend")


@operation("offer/publish")
def publish_offer(connector: Connector, given: PublishOffer) -> dict[str, Any]:
    """Offer a dataset in the data space under an agreement policy and a privacy budget."""
    offer = connector.shelf.publish(
        given.dataset, given.policy, epsilon=given.epsilon, delta=given.delta, total_epsilon=given.total_epsilon
    )
    version = connector.datasets.version(given.dataset)
    return {"offer": offer, "missing": [each.field for each in HealthCatalogue.of(connector).lacking(version)]}


def codebook_of(text: str) -> Codebook:
    """A codebook from its text, or the bundled dictionary of this name."""
    return read_codebook(text, "codebook") if "\n" in text else dictionary(text)


def dataset_json(version: DatasetVersion) -> dict[str, Any]:
    """A dataset version as JSON, without any row."""
    return {
        "id": version.id,
        "name": version.name,
        "version": version.version,
        "title": version.title,
        "digest": version.digest,
        "rows": version.rows,
        "codebookDigest": version.codebook_digest,
        "quality": version.quality.as_dict(),
    }


def _metadata(values: dict[str, Any]) -> DatasetMetadata:
    try:
        return DatasetMetadata.model_validate(values)
    except ValidationError as error:
        raise input_error(error, "metadata", DatasetMetadata) from error


@contextmanager
def _incoming(connector: Connector, name: str, text: str) -> Iterator[Path]:
    """A table as a file, as long as it is read; a fault is told of the file as its owner knows it."""
    home = connector.settings.home / INCOMING
    home.mkdir(mode=0o700, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home) as folder:
        path = Path(folder) / (Path(name).name or "table.csv")
        path.write_text(text, encoding="utf-8")
        try:
            yield path
        except SynthemaError as error:
            error.where = error.where and error.where.replace(str(path), name)
            raise

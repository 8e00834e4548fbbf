"""The datasets of one connector: added once, sealed at rest, opened only against an authorisation."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Integer,
    Select,
    String,
    Table,
    UniqueConstraint,
    exists,
    func,
    insert,
    select,
    update,
)

from synthema.canonical import digest
from synthema.clock import Clock
from synthema.datasets.codebook import Codebook
from synthema.datasets.model import CatalogueFacts, DatasetMetadata, DatasetVersion, Guard, ReadAuthorisation
from synthema.datasets.quality import Quality, assess
from synthema.datasets.seal import seal, table_digest, unseal, write_durably
from synthema.datasets.source import read_source_lines
from synthema.errors import ConflictError, DeniedError, InputError, IntegrityError, NotFoundError, SynthemaError
from synthema.identity import SecretSource
from synthema.ids import new_id
from synthema.policy.model import Fact
from synthema.provenance import Activity, Agent, Entity, Iri, ProvenanceLog
from synthema.provenance.model import SYNTHEMA
from synthema.storage import CanonicalJson, Database, UtcDateTime, metadata

datasets = Table(
    "datasets",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False, index=True),
    Column("version", Integer, nullable=False),
    Column("title", String, nullable=False),
    Column("digest", String, nullable=False, index=True),
    Column("rows", Integer, nullable=False),
    Column("codebook", CanonicalJson, nullable=False),
    Column("metadata", CanonicalJson, nullable=False),
    Column("quality", CanonicalJson, nullable=False),
    Column("added_at", UtcDateTime, nullable=False),
    Column("erased_at", UtcDateTime),
    Column("described_at", UtcDateTime),
    UniqueConstraint("name", "version"),
)

_NAME = re.compile(r"[a-z][a-z0-9-]{0,38}")


class DatasetStore:
    """Adds, lists and opens datasets. ``folder`` holds one sealed file for each version."""

    def __init__(
        self, database: Database, log: ProvenanceLog, clock: Clock, secrets: SecretSource, folder: Path
    ) -> None:
        self._database = database
        self._log = log
        self._clock = clock
        self._secret = secrets.secret("dataset-at-rest")
        self._folder = folder
        self._guard: Guard | None = None

    def guard_with(self, guard: Guard) -> None:
        """Register who decides on opening, once and for all. Until then, nothing opens."""
        if self._guard is not None:
            refusal = ConflictError("somebody decides on opening data already", fix="start a run through the governor")
            self._record_refusal(guard, None, refusal)
            raise refusal
        self._guard = guard

    # adding -----------------------------------------------------------------------------

    def add(
        self,
        path: Path,
        codebook: Codebook,
        title: str,
        metadata: DatasetMetadata,
        *,
        name: str | None = None,
        by: Agent | None = None,
        with_it: Callable[[Connection, DatasetVersion], object] | None = None,
    ) -> DatasetVersion:
        """Take a CSV file in as a new version of a dataset, whole or not at all.

        ``with_it`` is kept in the same transaction, or neither is.

        ``name`` (the codebook's id by default) says of which. Raises :class:`InputError` naming every
        fault of the file, or what keeps it behind the quality gate. The same
        contents under the same description once more are the version there is.
        """
        series = _require_name(name or codebook.id)
        if not title.strip():
            raise InputError("the dataset has no title", fix="give a title for people")
        table, lines = read_source_lines(path, codebook)
        quality = assess(table, codebook)
        quality.require(str(path), lines)
        contents = table_digest(table, codebook.digest)
        latest = self._latest(series)
        same = latest is not None and latest.digest == contents and latest.erased_at is None
        if latest is not None and same and (latest.title, latest.metadata) == (title, metadata):
            return latest
        identifier = new_id("dataset")
        # The file comes first: a version without its file would be a promise nobody can keep.
        write_durably(self._file(identifier), seal(table, self._secret, contents))

        def work(connection: Connection) -> DatasetVersion:
            number = connection.execute(select(func.max(datasets.c.version)).where(datasets.c.name == series)).scalar()
            version = DatasetVersion(
                id=identifier,
                name=series,
                version=(number or 0) + 1,
                title=title,
                digest=contents,
                rows=table.height,
                codebook=codebook,
                metadata=metadata,
                quality=quality,
                added_at=self._clock.now(),
            )
            connection.execute(insert(datasets).values(**_row(version)))
            label = f"Dataset added: {title}, version {version.version}, {table.height} patients"
            self._record(connection, "DatasetAddition", label, generated=version, by=by)
            if with_it is not None:
                with_it(connection, version)
            return version

        try:
            return self._database.write(work)
        except BaseException:
            self._file(identifier).unlink(missing_ok=True)
            raise

    def describe(self, identifier: str, facts: CatalogueFacts, *, by: Agent | None = None) -> DatasetVersion:
        """State or correct what the catalogue says of a version; what decisions rest on stays as it was added.

        Returns the version as it is described now. The log keeps the digests of both descriptions.
        """
        version = self.version(identifier)
        described = version.metadata.described(facts)
        if described == version.metadata:
            return version

        def work(connection: Connection) -> DatasetVersion:
            now = self._clock.now()
            before = _find(connection, version.id).metadata
            after = before.described(facts).model_dump(mode="json")
            connection.execute(
                update(datasets).where(datasets.c.id == version.id).values(metadata=after, described_at=now)
            )
            label = f"Dataset described: {version.title}, version {version.version}"
            digests = {
                "descriptionBefore": digest(before.model_dump(mode="json")),
                "descriptionAfter": digest(after),
                "described": ", ".join(sorted(facts.model_fields_set)),
            }
            self._record(connection, "DatasetDescription", label, used=version, by=by, attributes=digests)
            return _find(connection, version.id)

        return self._database.write(work)

    def erase(self, version_id: str, reason: str, *, by: Agent | None = None) -> DatasetVersion:
        """Delete the rows of a version for good; what is known about it stays in the log."""
        version = self.version(version_id)
        if not reason.strip():
            raise InputError("an erasure needs a reason", fix="say why the data are erased")

        def work(connection: Connection) -> DatasetVersion:
            now = self._clock.now()
            changed = connection.execute(
                update(datasets)
                .where(datasets.c.id == version.id, datasets.c.erased_at.is_(None))
                .values(erased_at=now)
            )
            if changed.rowcount != 1:
                raise ConflictError("this version was erased before", fix="nothing is left to erase")
            label = f"Dataset erased: {version.title}, version {version.version}"
            self._record(connection, "DatasetErasure", label, used=version, by=by, attributes={"reason": reason})
            return _find(connection, version.id)

        erased = self._database.write(work)
        self._file(version.id).unlink(missing_ok=True)
        return erased

    def recover(self) -> int:
        """After a restart: delete files of versions that were never kept, or were erased; returns their number."""
        kept = {self._file(version.id).name for version in self.versions() if version.erased_at is None}
        left = [path for path in self._folder.glob("*") if path.name not in kept]
        for path in left:
            path.unlink()
        return len(left)

    # reading what is known about datasets -------------------------------------------------

    def version(self, identifier: str) -> DatasetVersion:
        """A version by its id, or the latest version of a name; raises :class:`NotFoundError`."""
        with self._database.read() as connection:
            return _find(connection, identifier)

    def newest(self, names: Collection[str]) -> dict[str, DatasetVersion]:
        """The newest version of each of these datasets, by name, in one query."""
        query = select(datasets).where(datasets.c.name.in_(names), _is_newest())
        with self._database.read() as connection:
            return {row["name"]: _version(dict(row)) for row in connection.execute(query).mappings()}

    def newest_marks(self, names: Collection[str]) -> dict[str, str]:
        """By name, what changes whenever the newest version of a dataset does, or its description."""
        columns = (datasets.c.name, datasets.c.id, datasets.c.described_at, datasets.c.erased_at)
        query = select(*columns).where(datasets.c.name.in_(names), _is_newest())
        with self._database.read() as connection:
            return {row.name: f"{row.id} {row.described_at} {row.erased_at}" for row in connection.execute(query)}

    def versions(self, name: str | None = None) -> list[DatasetVersion]:
        """All versions, or those of one dataset, newest first."""
        query = select(datasets).order_by(datasets.c.added_at.desc(), datasets.c.version.desc())
        if name is not None:
            query = query.where(datasets.c.name == name)
        with self._database.read() as connection:
            return [_version(dict(row)) for row in connection.execute(query).mappings()]

    def listed_publicly(self) -> frozenset[str]:
        """The names of the datasets whose record everybody may read: as the latest version says it, in one query."""
        with self._database.read() as connection:
            return frozenset(connection.execute(public_names()).scalars())

    def facts(self, version: DatasetVersion) -> dict[str, Fact]:
        """``syn:dataCategory``, ``syn:disease``, ``syn:legalBasis`` and ``syn:ethicsApproval``, shown by the version.

        Where no approval is on record there is no fact about it, and what is missing denies.
        """
        evidence = self.iri(version)
        approved = version.metadata.ethics_approval is not None
        return {
            **({SYNTHEMA + "ethicsApproval": Fact(value=True, evidence=evidence)} if approved else {}),
            SYNTHEMA + "dataCategory": Fact(version.metadata.category_iris, evidence),
            SYNTHEMA + "disease": Fact(version.codebook.disease, evidence),
            SYNTHEMA + "legalBasis": Fact(version.legal_basis, evidence),
        }

    def iri(self, version: DatasetVersion) -> str:
        """The IRI of a version."""
        return self._log.iri("dataset", version.id)

    # opening ----------------------------------------------------------------------------

    def open_table(self, authorisation: ReadAuthorisation) -> pl.DataFrame:
        """The rows of the version an authorisation names, if the registered guard lets it.

        Every attempt is logged before a single row is deciphered; a refusal is logged and raised.
        Raises :class:`DeniedError` for any authorisation that is not found good,
        :class:`IntegrityError` when the sealed file is not the one that was added.
        """
        asked = getattr(authorisation, "dataset", None)
        try:
            version = self._known(asked)
            self._database.write(lambda connection: self._admit(connection, authorisation, version))
            return self._unseal(version)
        except SynthemaError as refusal:
            self._record_refusal(authorisation, asked, refusal)
            raise

    def _known(self, asked: object) -> DatasetVersion:
        if not isinstance(asked, str):
            raise DeniedError("data opens against a grant only", fix="start a run through the governor")
        version = self.version(asked)
        if version.erased_at is not None:
            raise DeniedError("the rows of this version were erased", fix="use a version that is kept")
        return version

    def _admit(self, connection: Connection, authorisation: ReadAuthorisation, version: DatasetVersion) -> None:
        if self._guard is None:
            raise DeniedError("nobody decides on opening data yet", fix="start the connector with its governor")
        try:
            self._guard.admit(connection, authorisation, version.digest)
        except SynthemaError:
            raise
        except Exception as error:  # a guard that breaks has not said yes
            raise DeniedError("the authorisation could not be checked", fix="look into the connector's log") from error
        label = f"Dataset opened: {version.title}, version {version.version}"
        shown = {"authorisation": str(getattr(authorisation, "id", "unknown"))[:80]}
        self._record(connection, "DatasetOpening", label, used=version, attributes=shown)

    def _unseal(self, version: DatasetVersion) -> pl.DataFrame:
        try:
            data = self._file(version.id).read_bytes()
        except OSError as error:
            raise IntegrityError(
                "the sealed file of this dataset is missing", fix="restore it from a backup"
            ) from error
        table = unseal(data, self._secret, version.digest)
        if table_digest(table, version.codebook_digest) != version.digest:
            raise IntegrityError("the table is not the one that was added", fix="restore it from a backup")
        return table

    def _record_refusal(self, authorisation: object, asked: object, refusal: SynthemaError) -> None:
        attributes = {
            "reason": refusal.message,
            "asked": str(asked)[:80],
            "authorisation": str(getattr(authorisation, "id", "none"))[:80],
        }
        self._log.record(self._activity("RefusedAccess", "Opening a dataset was refused", attributes=attributes))

    # helpers ----------------------------------------------------------------------------

    def _file(self, identifier: str) -> Path:
        return self._folder / f"{identifier}.sealed"

    def _latest(self, name: str) -> DatasetVersion | None:
        versions = self.versions(name)
        return versions[0] if versions else None

    def _record(
        self,
        connection: Connection,
        kind: str,
        label: str,
        *,
        used: DatasetVersion | None = None,
        generated: DatasetVersion | None = None,
        by: Agent | None = None,
        attributes: dict[str, Any] | None = None,
    ) -> None:
        activity = self._activity(kind, label, used=used, generated=generated, by=by, attributes=attributes)
        self._log.append(connection, activity)

    def _activity(
        self,
        kind: str,
        label: str,
        *,
        used: DatasetVersion | None = None,
        generated: DatasetVersion | None = None,
        by: Agent | None = None,
        attributes: dict[str, Any] | None = None,
    ) -> Activity:
        now = self._clock.now()
        return Activity(
            iri=self._log.iri("activity", new_id("activity")),
            type=kind,
            label=label,
            started=now,
            ended=now,
            agents=() if by is None else (by,),
            used=() if used is None else (self._entity(used),),
            generated=() if generated is None else (self._entity(generated),),
            attributes=attributes or {},
        )

    def _entity(self, version: DatasetVersion) -> Entity:
        return Entity(
            self.iri(version),
            types=("Dataset",),
            label=version.title,
            digest=version.digest,
            attributes={
                "name": version.name,
                "version": version.version,
                "rows": version.rows,
                "codebookDigest": version.codebook_digest,
                "disease": Iri(version.codebook.disease),
            },
        )


def public_names() -> Select[str]:
    """The names of the datasets whose record everybody may read, as a query that others can be built on."""
    listed = func.json_extract(datasets.c.metadata, "$.listed")
    return select(datasets.c.name).where(_is_newest(), listed == "public")


def _is_newest() -> ColumnElement[bool]:
    later = datasets.alias()
    return ~exists().where(later.c.name == datasets.c.name, later.c.version > datasets.c.version)


def _require_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise InputError(
            f"'{name[:60]}' cannot be a dataset's name",
            fix="use at most 39 small letters, digits and hyphens, beginning with a letter",
        )
    return name


def _row(version: DatasetVersion) -> dict[str, Any]:
    return {
        "id": version.id,
        "name": version.name,
        "version": version.version,
        "title": version.title,
        "digest": version.digest,
        "rows": version.rows,
        "codebook": version.codebook.model_dump(mode="json"),
        "metadata": version.metadata.model_dump(mode="json"),
        "quality": version.quality.as_dict(),
        "added_at": version.added_at,
    }


def _find(connection: Connection, identifier: str) -> DatasetVersion:
    query = (
        select(datasets)
        .where((datasets.c.id == identifier) | (datasets.c.name == identifier))
        .order_by(datasets.c.version.desc())
        .limit(1)
    )
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise NotFoundError("there is no such dataset", fix="list them with: synthema dataset list")
    return _version(dict(row))


def _version(row: dict[str, Any]) -> DatasetVersion:
    parsed = {
        "codebook": Codebook.model_validate(row["codebook"]),
        "metadata": DatasetMetadata.model_validate(row["metadata"]),
        "quality": Quality.from_dict(row["quality"]),
    }
    return DatasetVersion(**(row | parsed))

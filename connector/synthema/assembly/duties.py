"""The duties a site has without anybody asking: descriptions checked every year, assessments reviewed in time."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from sqlalchemy import Connection

from synthema.datasets import DatasetStore, DatasetVersion
from synthema.dpia import DpiaStore
from synthema.errors import DeniedError
from synthema.obligations import CHECK_DESCRIPTION, REVIEW_DPIA, ObligationLedger, Task
from synthema.storage import Database

YEAR = timedelta(days=365)
"""EHDS Art. 60(3): the description of a dataset is checked at least once a year."""


class StandingDuties:
    """Keeps the site's own recurring tasks in the ledger; doing it again changes nothing."""

    def __init__(
        self, site: str, database: Database, obligations: ObligationLedger, datasets: DatasetStore, dpias: DpiaStore
    ) -> None:
        self._site = site
        self._database = database
        self._obligations = obligations
        self._datasets = datasets
        self._dpias = dpias

    def watch(self) -> None:
        """What housekeeping does about duties: note those of the site, find what is late, remind of what comes near."""
        self.impose()
        self._obligations.sweep()
        self._obligations.remind()

    def impose(self) -> list[Task]:
        """Note what is owed for each dataset that is held now; returns the tasks that are new."""
        latest = {version.name: version for version in reversed(self._datasets.versions())}
        wanted = [
            (version, review)
            for version in latest.values()
            if version.erased_at is None
            for review in (self._review_due(version.name),)
        ]
        if not wanted:
            return []

        def work(connection: Connection) -> list[Task]:
            return [task for version, review in wanted for task in self._impose(connection, version, review)]

        return self._database.write(work)

    def _impose(self, connection: Connection, version: DatasetVersion, review: datetime | None) -> list[Task]:
        checked = self._obligations.last_done(connection, CHECK_DESCRIPTION, f"description of {version.name}")
        found = [
            self._obligations.impose(
                connection,
                CHECK_DESCRIPTION,
                party=self._site,
                subject=f"description of {version.name}",
                due=max(version.added_at, checked or version.added_at) + YEAR,
                articles=("EHDS 60(3)",),
                dataset=version.name,
            )
        ]
        if review is not None:
            found.append(
                self._obligations.impose(
                    connection,
                    REVIEW_DPIA,
                    party=self._site,
                    subject=f"assessment of {version.name}",
                    due=review,
                    articles=("GDPR 35(11)",),
                    dataset=version.name,
                )
            )
        return [task for task in found if task is not None]

    def _review_due(self, dataset: str) -> datetime | None:
        """The end of the day on which the first of the assessments in force is to be reviewed; None without one."""
        try:
            day = min(version.dpia.review_due for version in self._dpias.covering(dataset))
        except DeniedError:
            return None
        return datetime.combine(day, time.max, UTC).replace(microsecond=0)

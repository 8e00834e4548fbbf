"""Where a registry puts the rows of a dataset in good standing: Parquet files, PostgreSQL tables, FHIR bundles."""

from synthema.certification.targets.base import KINDS, Kind, Rows, Target
from synthema.certification.targets.fhir import FhirFolder
from synthema.certification.targets.parquet import ParquetFolder
from synthema.certification.targets.postgres import PostgresSchema

__all__ = ["KINDS", "FhirFolder", "Kind", "ParquetFolder", "PostgresSchema", "Rows", "Target"]

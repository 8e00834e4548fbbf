"""The data quality and utility label of a dataset, in the six groups of EHDS Art. 78(3).

What was measured is a figure; what only a person can say is text from the metadata, or openly missing.
"""

from __future__ import annotations

from typing import Any

from synthema.clock import to_text
from synthema.datasets.model import DatasetVersion

NOT_STATED = None
"""A label never fills in what nobody has stated."""


def quality_label(version: DatasetVersion, *, earlier_versions: int = 0) -> dict[str, Any]:
    """The label of a dataset version as JSON; mandatory where public money paid (Art. 78(2))."""
    metadata, quality, codebook = version.metadata, version.quality, version.codebook
    coded = sum(variable.code is not None for variable in codebook.variables)
    broken = sum(quality.rule_violations.values())
    return {
        "dataset": version.id,
        "digest": version.digest,
        "measuredAt": to_text(version.added_at),
        "mandatory": metadata.publicly_funded,
        "documentation": {  # (a)
            "description": metadata.description,
            "dictionary": f"{codebook.id} {codebook.version}",
            "dictionaryDigest": version.codebook_digest,
            "variables": len(codebook.variables),
            "shareOfVariablesWithStandardCode": round(coded / len(codebook.variables), 4),
            "provenance": metadata.provenance,
        },
        "technicalQuality": {  # (b)
            "completeness": round(quality.overall_completeness, 4),
            "completenessByVariable": {name: round(share, 4) for name, share in quality.completeness.items()},
            "uniqueness": 1.0,  # intake refuses a patient's key that comes twice
            "validity": 1.0,  # intake refuses values outside type, range or categories
            "consistency": round(1 - broken / max(quality.rows * len(quality.rule_violations), 1), 4),
            "ruleViolations": quality.rule_violations,
            "accuracy": NOT_STATED,
            "timeliness": metadata.update_frequency,
        },
        "qualityManagement": {  # (c)
            "checksOnIntake": [
                "types",
                "ranges",
                "units",
                "mixed units",
                "categories",
                "codes for missing values",
                "duplicate patients",
                "clinical rules",
                "derived columns",
            ],
            "findings": [finding.sentence for finding in quality.findings],
            "biasExamination": metadata.bias_examination,
        },
        "coverage": {  # (d)
            "population": metadata.population,
            "spatial": metadata.spatial,
            "period": list(metadata.period) if metadata.period else NOT_STATED,
            "disease": codebook.disease,
            "records": version.rows // 10 * 10,
        },
        "accessAndProvision": {  # (e)
            "legalBasis": version.legal_basis,
            "purposes": list(metadata.purposes),
            "contact": metadata.contact,
            "provision": "inside the connector; results leave after release checks",
        },
        "modifications": {  # (f)
            "version": version.version,
            "earlierVersions": earlier_versions,
            "lastModified": to_text(version.added_at),
        },
    }

"""What the guide says to add to an assessment can be added."""

from __future__ import annotations

import yaml

from synthema.dpia import FIGURES, read_dpia
from synthema.resources import bundled
from tests.docs.markdown import ROOT, blocks

GUIDE = ROOT / "connector" / "docs" / "guides" / "clinical-review.md"


def test_the_gate_of_the_guide_fits_the_shipped_assessment_and_the_figure() -> None:
    (block,) = [block for block in blocks(GUIDE) if block.language == "yaml"]
    added = yaml.safe_load("\n".join(block.lines))
    shipped = yaml.safe_load((bundled("legal") / "dpia" / "synthetic-data.yaml").read_text(encoding="utf-8"))
    for part, items in added.items():
        shipped[part] += items
    dpia = read_dpia(yaml.safe_dump(shipped).encode(), "guide")
    gate, metric = dpia.gate("clinicians-cannot-tell"), dpia.metric("reviewDiscrimination")
    figure = FIGURES["reviewDiscrimination"]
    assert (metric.unit, metric.population, metric.direction) == (figure.unit, figure.population, figure.direction)
    assert gate.evidence in ("syn:ClinicalReview", figure.evidence)

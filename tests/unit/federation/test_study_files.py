"""Study files: what a researcher writes, and what is said of it before anybody is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from synthema.datasets.codebook import dictionary
from synthema.errors import InputError
from synthema.federation.form import SiteChoice, check_study, schema_text

STUDY_FILE = """title: Progression from MGUS
codebook: mgus
purpose: syn:RareDiseaseResearch
action: synthesise
sites:
  - {did: "did:web:a.example", dataset: mgus}
  - {did: "did:web:b.example", dataset: mgus}
  - {did: "did:web:c.example", dataset: mgus}
fields: [age, sex]
anonymiser: {plugin: minimise}
algorithm: {plugin: marginals}
privacy: {epsilon: 3.0, delta: 1.0e-6}
rounds: 2
minimum_sites: 3
rows: 100
"""


@pytest.mark.parametrize(("change", "line", "said"), [
    (("minimum_sites: 3", "minimum_sites: 4"), 14, "4 of 3 sites cannot survive"),
    (("minimum_sites: 3", "minimum_sites: 3\ntolerated_colluders: 2"), 15, "at least two surviving sites"),
    (("rows: 100", "rows: many"), 15, "rows"),
    (("fields:", "feilds:"), 9, "did you mean 'fields'"),
    (("rows: 100", "rows: 100\ncatalogue: {words: [mgus]}"), 5, "not both"),
    (("rows: 100", "rows: 100\noutputs: [trees]"), 16, "outputs"),
])  # fmt: skip
def test_a_study_file_is_mended_by_line(tmp_path: Path, change: tuple[str, str], line: int, said: str) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(STUDY_FILE.replace(*change))
    with pytest.raises(InputError) as caught:
        check_study(file, dictionary("mgus"))
    assert (caught.value.where or "").endswith(f"study.yaml:{line}"), caught.value
    assert said in f"{caught.value.message} {caught.value.fix}"


def test_a_study_file_may_leave_the_sites_to_the_catalogue(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    sites = STUDY_FILE[STUDY_FILE.index("sites:\n") : STUDY_FILE.index("fields:")]
    file.write_text(STUDY_FILE.replace(sites, "catalogue: {words: [mgus]}\n"))
    study = check_study(file, dictionary("mgus"))
    found = tuple(SiteChoice(did=f"did:web:{letter}.example", dataset="mgus") for letter in "abc")
    assert study.with_sites(found).sites == found
    with pytest.raises(InputError, match="finds 2 sites"):
        study.with_sites(found[:2])


def test_the_published_schema_of_study_files_is_current() -> None:
    published = (Path(__file__).parents[3] / "connector/docs/reference/study.schema.json").read_text(encoding="utf-8")
    assert published == schema_text(), "run: synthema study schema > connector/docs/reference/study.schema.json"

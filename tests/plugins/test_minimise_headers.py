"""DICOM headers without their persons; needs the extra ``dicom`` and is skipped without it.

How to run them beside this environment stands at the top of ``test_minimise_freetext.py``.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from synthema_minimise.deidentify import pseudonym, shift
from synthema_minimise.headers import deidentify_folder, deidentify_header, main

pydicom = pytest.importorskip("pydicom", reason="needs pip install 'synthema[dicom]'")
pytest.importorskip("dicognito", reason="needs pip install 'synthema[dicom]'")

KEY = bytes(range(32))


def scan(**changes: Any) -> Any:
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    found = pydicom.dataset.FileDataset("scan", {}, file_meta=meta, preamble=b"\0" * 128)
    found.SOPClassUID, found.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    found.PatientID, found.PatientName, found.PatientBirthDate = "P-17", "Muster^Marta", "19600102"
    found.StudyDate, found.SeriesDate, found.StudyTime = "20200301", "20200305", "101500"
    found.InstitutionName, found.StudyDescription = "Clinic Muster", "MRI head, Mrs Muster"
    found.ImageComments, found.Modality = "asked for by Dr Muster", "MR"
    found.add_new((0x0011, 0x0010), "LO", "a private block")
    found.add_new((0x0011, 0x1001), "LO", "Muster")
    for name, value in changes.items():
        setattr(found, name, value)
    return found


def test_nothing_in_a_header_names_the_person() -> None:
    dataset = scan()
    assert deidentify_header(dataset, KEY) == dataset.PatientID == pseudonym(KEY, "P-17")
    text = str(dataset) + str(dataset.file_meta)
    assert "Muster" not in text
    assert "P-17" not in text
    assert dataset.Modality == "MR"
    assert dataset.PatientIdentityRemoved == "NO"  # it does not say that its pixels hold no text
    clean = scan(BurnedInAnnotation="NO")
    deidentify_header(clean, KEY)
    assert clean.PatientIdentityRemoved == "YES"


def test_dates_move_together_and_as_far_as_in_tables() -> None:
    dataset = scan()
    deidentify_header(dataset, KEY, days=30)
    moved = [
        date.fromisoformat(f"{text[:4]}-{text[4:6]}-{text[6:]}") for text in (dataset.StudyDate, dataset.SeriesDate)
    ]
    assert moved[0] - date(2020, 3, 1) == timedelta(days=shift(KEY, "P-17", 30))
    assert moved[1] - moved[0] == timedelta(days=4)


def test_two_permits_cannot_be_joined_and_one_patient_stays_one() -> None:
    first, second, other = scan(), scan(), scan()
    deidentify_header(first, KEY)
    deidentify_header(second, KEY)
    deidentify_header(other, bytes(32))
    assert first.PatientID == second.PatientID != other.PatientID
    assert first.SOPInstanceUID != other.SOPInstanceUID


def test_a_folder_is_written_anew_and_what_cannot_be_handled_is_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    scan().save_as(archive / "muster.dcm", enforce_file_format=True)
    scan(BurnedInAnnotation="YES").save_as(archive / "burnt.dcm", enforce_file_format=True)
    scan(PatientID="").save_as(archive / "nobody.dcm", enforce_file_format=True)
    (archive / "notes.txt").write_text("no image")
    key = tmp_path / "permit.key"
    key.write_bytes(KEY)
    assert main([str(archive), str(tmp_path / "out"), "--key-file", str(key)]) == 1
    said = capsys.readouterr().out
    assert "1 files written; pixels were not looked at" in said
    assert all(reason in said for reason in ("BurnedInAnnotation", "PatientID", "no DICOM file"))
    written = list((tmp_path / "out").rglob("*.dcm"))
    assert [path.parent.name for path in written] == [pseudonym(KEY, "P-17")]
    assert b"Muster" not in written[0].read_bytes()
    assert main([str(archive), str(tmp_path / "out"), "--key-file", str(key)]) == 2
    with pytest.raises(ValueError, match="32 bytes"):
        deidentify_folder(archive, tmp_path / "more", b"short")

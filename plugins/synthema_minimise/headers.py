"""DICOM headers: names, identifiers, dates and free text go before a file leaves the archive (extra ``dicom``).

Built on dicognito, which knows which attributes identify. What it leaves to its caller is added here: pseudonyms and
moved dates are those of the permit (so an image meets its row in a table with the same secret), private attributes
and free text go, and a file that says its pixels hold text is refused.

**What it does not do.** Pixels are never looked at: names burnt into a picture stay, unless the file says so. A head
can be rebuilt from an MRI. Sizes, ages and rare devices stay, and may point to a person. So images stay personal data.

    python -m synthema_minimise.headers ARCHIVE INTO --key-file PERMIT.key
"""

from __future__ import annotations

import argparse
import hmac
import sys
from collections import Counter
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from synthema_minimise.deidentify import pseudonym, shift

__all__ = ["Headers", "deidentify_folder", "deidentify_header"]

KEY_BYTES = 32
FREE_TEXT = frozenset({"LT", "ST", "UC", "UT"})
"""Value representations of long text; somebody writes names there sooner or later."""
FREE_ENDINGS = ("Comments", "Comment", "Description", "Remarks", "History")
MISSING = "reading DICOM needs two more packages: pip install 'synthema[dicom]'"


@dataclass(slots=True)
class Headers:
    """What became of a folder: files written, and why others were not, by reason."""

    written: int = 0
    refused: Counter[str] = field(default_factory=Counter)


def deidentify_header(dataset: Any, key: bytes, *, days: int = 182) -> str:
    """Take a ``pydicom`` dataset's identity away, in place; the patient's pseudonym under the permit's secret.

    All dates of a patient move by the same number of days, 1 to ``days`` to either side, as in tables. Raises
    ``ValueError`` where the file names no patient, or says that text is burnt into its pixels.
    """
    patient = str(dataset.get("PatientID", "")).strip()
    if not patient:
        raise ValueError("it does not say whose it is (PatientID)")
    if str(dataset.get("BurnedInAnnotation", "NO")).strip().upper() != "NO":
        raise ValueError("its pixels hold text (BurnedInAnnotation)")
    dataset.remove_private_tags()
    dataset.walk(_drop_free_text)
    _anonymizer(patient, key, days).anonymize(dataset)
    name = pseudonym(key, patient)
    dataset.PatientID, dataset.PatientName = name, name
    # Only a file that says its pixels hold no text may say that nobody's identity is left in it.
    dataset.PatientIdentityRemoved = "YES" if dataset.get("BurnedInAnnotation") == "NO" else "NO"
    return name


def _anonymizer(patient: str, key: bytes, days: int) -> Any:
    try:
        anonymizer = import_module("dicognito.anonymizer")
        dates = import_module("dicognito.datetimeanonymizer")
    except ImportError as error:
        raise ValueError(MISSING) from error
    # One for each patient: what dicognito derives from its seed cannot be compared between patients.
    found = anonymizer.Anonymizer(seed=hmac.digest(key, b"dicom\0" + patient.encode(), "sha256").hex())
    found.add_element_handler(dates.DateTimeAnonymizer(24 * shift(key, patient, days)))
    return found


def _drop_free_text(dataset: Any, element: Any) -> None:
    if element.VR in FREE_TEXT or element.keyword.endswith(FREE_ENDINGS):
        del dataset[element.tag]


def deidentify_folder(source: Path, into: Path, key: bytes, *, days: int = 182) -> Headers:
    """De-identify every DICOM file below ``source`` into ``into``, one folder for each pseudonym.

    Files keep no name of theirs; a file that cannot be handled is left out and counted under its reason. Raises
    ``ValueError`` where the secret is not 32 bytes or ``into`` is not empty.
    """
    if len(key) != KEY_BYTES:
        raise ValueError("the secret of a permit is 32 bytes")
    if into.exists() and any(into.iterdir()):
        raise ValueError("the folder to write to is not empty: choose a new one")
    try:
        pydicom = import_module("pydicom")
    except ImportError as error:
        raise ValueError(MISSING) from error
    found = Headers()
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        try:
            dataset = pydicom.dcmread(path)
            folder = into / deidentify_header(dataset, key, days=days)
        except pydicom.errors.InvalidDicomError:
            found.refused["it is no DICOM file"] += 1
        except ValueError as reason:
            found.refused[str(reason)] += 1
        else:
            folder.mkdir(parents=True, exist_ok=True)
            found.written += 1
            dataset.save_as(folder / f"{found.written:06d}.dcm")
    return found


def main(arguments: list[str] | None = None) -> int:
    """The command line; 1 where a file was left out."""
    parser = argparse.ArgumentParser(prog="python -m synthema_minimise.headers", description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("into", type=Path)
    parser.add_argument("--key-file", type=Path, required=True, help="the permit's secret, 32 bytes")
    given = parser.parse_args(arguments)
    try:
        found = deidentify_folder(given.source, given.into, given.key_file.read_bytes())
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    lines = [f"{count} left out: {reason}" for reason, count in sorted(found.refused.items())]
    sys.stdout.write("\n".join([f"{found.written} files written; pixels were not looked at", *lines]) + "\n")
    return 1 if found.refused else 0


if __name__ == "__main__":
    raise SystemExit(main())

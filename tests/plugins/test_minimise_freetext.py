"""Free text; what needs presidio is skipped where the extra ``freetext`` is not installed.

Both extras in an environment of their own, without touching this one:
python3.11 -m venv ../extras
../extras/bin/pip install 'presidio-analyzer>=2.2.366,<2.3' 'dicognito>=0.19,<0.20' pydicom
PYTHONPATH=../extras/lib/python3.11/site-packages pytest tests/plugins -k "headers or freetext"
"""

from __future__ import annotations

import importlib.util

import pytest

from synthema_minimise import freetext
from synthema_minimise.freetext import MISSES, redact

PRESENT = importlib.util.find_spec("presidio_analyzer") is not None
LETTER = (
    "Marta Muster, born 02.01.1960, phone +49 30 901820, mail marta@muster.de, number 7741922, came with her son Jan. "
    "Hb 9.1 g/dL, WBC 12.4. Seen by Dr Ott on 2020-03-01."
)


@pytest.mark.skipif(not PRESENT, reason="needs pip install 'synthema[freetext]'")
def test_what_has_a_form_or_is_known_goes_and_measurements_stay() -> None:
    found = redact(LETTER, known=["Muster", "Marta", "Ott", "J"])
    for gone in ("Muster", "Marta", "1960", "901820", "marta@", "7741922", "Ott", "2020"):
        assert gone not in found.text
    assert "Hb 9.1 g/dL, WBC 12.4" in found.text
    assert found.found["KNOWN"] == 3  # the name in the address went with the address
    assert found.found["EMAIL"] == 1
    assert found.misses == MISSES


@pytest.mark.skipif(not PRESENT, reason="needs pip install 'synthema[freetext]'")
def test_a_name_that_nobody_told_is_missed_as_the_text_says() -> None:
    found = redact(LETTER)
    assert "Jan" in found.text
    assert "Muster" in found.text
    assert "names" in found.misses


@pytest.mark.skipif(PRESENT, reason="presidio is here")
def test_without_the_extra_it_says_what_to_install() -> None:
    with pytest.raises(ValueError, match=r"synthema\[freetext\]"):
        redact(LETTER)


def test_marks_that_overlap_become_one() -> None:
    spans = [(0, 4, "NUMBER"), (2, 9, "DATE"), (9, 12, "PHONE")]
    assert freetext._apart(spans) == [(0, 9, "DATE"), (9, 12, "PHONE")]

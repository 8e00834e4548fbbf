"""Every relative link of every page leads somewhere."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.docs.markdown import ROOT, anchors, links, pages


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in links(page):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, anchor = unquote(target).partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{page.relative_to(ROOT)} links to {target}, which is not there"
        assert found.is_relative_to(ROOT), f"{page.relative_to(ROOT)} links out of the repository: {target}"
        if anchor and found.suffix == ".md":
            assert anchor in anchors(found), f"{page.relative_to(ROOT)} links to {target}: no such heading"


def test_the_three_roles_are_one_click_away() -> None:
    guides = {"dpo.md", "site.md", "registry.md"}
    assert guides <= {Path(target).name for target in links(ROOT / "README.md")}


def test_the_index_of_decision_records_lists_every_record() -> None:
    folder = ROOT / "connector" / "docs" / "adr"
    records = {path.name for path in folder.glob("[0-9]*.md")}
    assert records == {target for target in links(folder / "README.md") if target[:1].isdigit()}
    for name in records:
        text = (folder / name).read_text(encoding="utf-8")
        assert text.startswith(f"# {name[:4]} "), name
        assert all(f"**{part}.**" in text for part in ("Context", "Decision", "Consequences")), name
        assert "Good:" in text, name
        assert "Bad:" in text, name


def test_pictures_say_what_they_show_and_load_nothing() -> None:
    for page in pages():
        for line in page.read_text(encoding="utf-8").splitlines():
            assert "![](" not in line, f"{page.relative_to(ROOT)}: a picture without a text"
    picture = (ROOT / "connector" / "docs" / "run.svg").read_text(encoding="utf-8")
    assert "<title" in picture
    assert "<desc" in picture
    assert "href" not in picture
    assert picture.count("http") == picture.count("http://www.w3.org/2000/svg")

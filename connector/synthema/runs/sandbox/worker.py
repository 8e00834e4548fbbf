"""The life of a worker: take over the channel, confine, only then load plugins, serve calls until the channel ends.

Until :func:`confine` has returned nothing but the standard library and this
folder is imported. What a plugin prints goes to the error stream; a failure
leaves as its type and a place in the code, never with values from the data: its
words are passed on only before any data were given, or where they stand in the
plugin's code as they are.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import site
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from synthema.runs.sandbox import frames
from synthema.runs.sandbox.attacks import Targets, run_attacks
from synthema.runs.sandbox.confine import Confinement, confine
from synthema.runs.sandbox.namespaces import enter_namespaces

CODE, INPUT, OUTPUT = Path("code"), Path("in"), Path("out")
WITHOUT_DATA = frozenset({"codebook", "parameters", "plan"})  # arguments that no record of a person is in


class Worker:
    """One worker: the channel's two ends and the plugins that were loaded."""

    def __init__(self, reader: int, writer: int) -> None:
        self._reader = reader
        self._writer = writer
        self._hosts: dict[str, Any] = {}
        self._file_bytes = 0
        self._saw_data = False

    def run(self) -> None:
        """Confine, load, serve."""
        start = frames.receive(self._reader)
        if start is None:
            return
        try:
            self._answer(self._begin(start))
        except BaseException as error:  # noqa: BLE001 - whatever it is, the connector must hear of it
            _tell_operator(error)
            self._answer({"error": _described(error, words=str(error))})
            return
        while (message := frames.receive(self._reader)) is not None:
            try:
                self._answer(self._call(message))
            except BaseException as error:  # noqa: BLE001 - a plugin may raise anything
                _tell_operator(error)
                self._answer({"error": _described(error, words="" if self._saw_data else str(error))})

    def _begin(self, start: dict[str, Any]) -> dict[str, Any]:
        libraries = library_folders()
        confinement = {**start["confinement"], "readable": _readable(libraries)}
        namespaces = start["namespaces"]
        if namespaces:
            enter_namespaces()
            confinement["parent"] = 1  # the first process of the namespace
        confinement["read_all"] = not all(open_to_everyone(Path(path)) for path in confinement["readable"])
        report = confine(Confinement.from_json(confinement))
        if namespaces:
            report["mechanisms"].append("namespaces")
        if start["attack"] is not None:
            report["attacks"] = run_attacks(Targets.from_json(start["attack"]))
        if start["plugins"]:
            sys.path.extend(libraries)
            self._load(start)
        return report

    def _load(self, start: dict[str, Any]) -> None:
        self._file_bytes = start["confinement"]["file_bytes"]
        modules = {plugin["module"]: CODE / plugin["module"] for plugin in start["plugins"]}
        sys.meta_path.insert(0, CopiedPackages(modules, frozenset(start["forbidden"])))
        spi = _spi()
        for plugin in start["plugins"]:
            folder = modules[plugin["module"]]
            if spi.package_digest(folder) != plugin["digest"]:
                raise spi.PluginError(
                    f"the files of plugin '{plugin['name']}' are not the approved ones",
                    fix="restore the approved files, or approve the present ones",
                )
            manifest = spi.load_manifest(folder / "plugin.toml")
            self._hosts[plugin["name"]] = spi.Host(importlib.import_module(plugin["module"]), manifest)

    def _call(self, message: dict[str, Any]) -> dict[str, Any]:
        spi = _spi()
        hook = message["hook"]
        self._saw_data |= not set(message["arguments"]) <= WITHOUT_DATA
        incoming = spi.Folder(INPUT, max_file_bytes=self._file_bytes)
        outgoing = spi.Folder(OUTPUT, prefix=message["call"], max_file_bytes=self._file_bytes)
        arguments = spi.decode_arguments(hook, message["arguments"], incoming)
        value = self._hosts[message["plugin"]].call(hook, arguments)
        return {"value": spi.encode(value, spi.signature(hook).returns, outgoing, f"the answer to {hook}")}

    def _answer(self, value: dict[str, Any]) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            frames.send(self._writer, value)
        except ValueError:
            frames.send(self._writer, {"error": {"type": "InputError", "message": "the answer is too long"}})


class CopiedPackages(MetaPathFinder):
    """Finds the approved packages in the session's own copy of their files, and refuses other plugins.

    Paths stay relative to the working folder, which may lie inside folders that
    are closed to the worker. Compiled files are never used.
    """

    def __init__(self, folders: dict[str, Path], forbidden: frozenset[str]) -> None:
        self._folders = folders
        self._forbidden = forbidden

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        top, *rest = fullname.split(".")
        if top in self._forbidden:
            raise ModuleNotFoundError(f"{top} is a plugin that this session does not hold", name=fullname)
        if top not in self._folders:
            return None
        place = self._folders[top].joinpath(*rest)
        if (place / "__init__.py").is_file():
            return _spec(fullname, place / "__init__.py", SourceFileLoader, package=place)
        if (source := place.with_name(f"{place.name}.py")).is_file():
            return _spec(fullname, source, SourceFileLoader)
        for suffix in EXTENSION_SUFFIXES:
            if (binary := place.with_name(place.name + suffix)).is_file():
                return _spec(fullname, binary, ExtensionFileLoader)
        raise ModuleNotFoundError(f"the approved files hold no module {fullname}", name=fullname)


def _spec(name: str, file: Path, loader: Callable[[str, str], Any], package: Path | None = None) -> ModuleSpec:
    spec = ModuleSpec(name, loader(name, str(file)), origin=str(file), is_package=package is not None)
    spec.has_location = True
    if package is not None:
        spec.submodule_search_locations = [str(package)]
    return spec


class _Spi:
    """What the worker takes from the plugin interface; imported only after confinement."""

    def __init__(self) -> None:
        from synthema.errors import PluginError  # noqa: PLC0415
        from synthema.spi import exchange, hosting, loader, manifest  # noqa: PLC0415

        self.PluginError = PluginError
        self.Folder, self.signature = exchange.Folder, exchange.signature
        self.encode, self.decode_arguments = exchange.encode, exchange.decode_arguments
        self.Host = hosting.Host
        self.package_digest = loader.package_digest
        self.load_manifest = manifest.load_manifest


_LOADED: list[_Spi] = []


def _spi() -> _Spi:
    if not _LOADED:
        _LOADED.append(_Spi())
    return _LOADED[0]


def library_folders() -> list[str]:
    """Folders of installed packages of this interpreter, found without running ``site`` or any ``.pth`` file."""
    environment = Path(sys.executable).parent.parent
    marker = environment / "pyvenv.cfg"
    if not marker.is_file():
        folders = site.getsitepackages([sys.base_prefix])
    else:
        # Spelt out, as ``site`` of some distributions knows an environment only after it has run.
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        folders = [str(environment / library / version / "site-packages") for library in ("lib", "lib64")]
        words = marker.read_text(encoding="utf-8").replace(" ", "").lower()
        if "include-system-site-packages=true" in words:
            folders += site.getsitepackages([sys.base_prefix])
    return [folder for folder in folders if Path(folder).is_dir()]


def _readable(libraries: Sequence[str]) -> tuple[str, ...]:
    ours = Path(__file__).resolve().parents[2]
    prefixes = {sys.base_prefix, sys.base_exec_prefix}
    standard = [str(Path(prefix) / name) for prefix in sorted(prefixes) for name in ("lib", "lib64")]
    return (*standard, *libraries, str(ours), str(CODE), str(INPUT))


def open_to_everyone(path: Path) -> bool:
    """Whether an identity with no rights of its own gets to this path (relative ones start from an open folder)."""
    if not path.is_absolute() or not path.exists():
        return True
    return all(folder.stat().st_mode & 0o001 for folder in (*path.resolve().parents, path) if folder.is_dir())


def _described(error: BaseException, words: str = "") -> dict[str, str]:
    """A failure without values from the data: its type, its place, and our own sentence where it is ours."""
    if type(error).__module__ == "synthema.errors":
        return {"type": type(error).__name__, "message": error.message[:500], "fix": error.fix[:500]}  # type: ignore[attr-defined]
    name = type(error).__name__[:80]
    words = words or _written_words(error)
    return {"type": name, "message": f"{name}{_place(error)}{': ' if words else ''}{words[:300]}"}


def _written_words(error: BaseException) -> str:
    """The words of a failure if they stand in the plugin's code as they are: then no value from the data is in them."""
    words, trace = str(error), error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_filename.startswith(f"{CODE}{os.sep}") and words in code.co_consts:
            return words
        trace = trace.tb_next
    return ""


def _place(error: BaseException) -> str:
    """The deepest line of plugin code on the way to the failure."""
    frames_ = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames_ if frame.filename.startswith(f"{CODE}{os.sep}")]
    return f" at {ours[-1].filename.removeprefix(f'{CODE}{os.sep}')} line {ours[-1].lineno}" if ours else ""


def _tell_operator(error: BaseException) -> None:
    """The whole story for the site's own operator; it stays in the session's memory and is never sent on."""
    traceback.print_exception(error, file=sys.stderr)


def main() -> None:
    """Serve on the standard streams; what plugins print goes to the error stream instead."""
    reader, writer = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    sys.dont_write_bytecode = True
    Worker(reader, writer).run()
    # Threads of a plugin, or its exit handlers, must not keep the worker alive.
    os._exit(0)

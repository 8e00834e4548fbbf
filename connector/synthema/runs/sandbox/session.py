"""A sandbox session: approved plugins, held for many calls, seeing nothing but what each call hands them."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from synthema.config import Limits
from synthema.errors import InputError, IsolationError, PluginError
from synthema.runs.sandbox.probe import IsolationReport, isolation
from synthema.runs.sandbox.process import PREFIX, Bounds, WorkerProcess
from synthema.spi.exchange import Folder, decode, encode_arguments, signature
from synthema.spi.loader import installed, package_digest, package_files
from synthema.spi.model import Plan
from synthema.spi.registry import ApprovedPlugin


@dataclasses.dataclass(frozen=True, slots=True)
class Sandbox:
    """Opens sessions. Fails closed: no session without the isolation that is asked for."""

    limits: Limits = dataclasses.field(default_factory=Limits)
    minimum_level: int = 2

    def isolation(self) -> IsolationReport:
        """What was probed to hold on this machine; the first call takes a moment."""
        return isolation()

    def open_session(
        self,
        plugins: Sequence[ApprovedPlugin],
        workdir: Path,
        limits: Limits | None = None,
        minimum_level: int | None = None,
    ) -> Session:
        """Start the plugins in a confined worker below ``workdir`` (one for each interpreter they name).

        Raises :class:`IsolationError` when the probed level is lower than asked for,
        :class:`PluginError` when a plugin's files are not the approved ones, or its
        hooks not the declared ones, or when it cannot be loaded.
        """
        wanted = self.minimum_level if minimum_level is None else minimum_level
        report = self.isolation()
        if report.level < wanted:
            raise IsolationError(
                f"plugins need isolation level {wanted}, this machine gives {report.level}",
                fix="use Linux 6.12 or later with Landlock and seccomp; see what was not held back: synthema doctor",
            )
        return Session(plugins, workdir, limits or self.limits, report)


class Session:
    """A running sandbox. One caller at a time; others wait. Use it as a context manager or call :meth:`close`."""

    def __init__(
        self, plugins: Sequence[ApprovedPlugin], workdir: Path, limits: Limits, report: IsolationReport
    ) -> None:
        self.isolation = report
        self._plugins = {plugin.name: plugin for plugin in plugins}
        if not plugins or len(self._plugins) != len(plugins):
            raise InputError("a session needs plugins, each named once", fix="name the plugins of the run")
        self._limits = limits
        self._lock = threading.Lock()
        self._calls = 0
        self._ended: str | None = None
        self._workers: dict[str, WorkerProcess] = {}
        try:
            for python, group in _by_interpreter(plugins).items():
                self._workers[python] = self._start(python, group, workdir)
        except BaseException:
            self.close()
            raise

    def call(self, plugin: str, hook: str, **arguments: Any) -> Any:
        """Call a hook of one plugin and return its value, checked to be of the hook's type.

        Parameters are checked against the manifest, with defaults filled in. Raises
        :class:`InputError` for wrong arguments, :class:`PluginError` when the plugin
        fails, answers nothing, or ends; after an end the session is of no more use.
        """
        approved = self._plugins.get(plugin)
        if approved is None:
            raise PluginError(
                f"this session does not hold the plugin '{plugin[:60]}'", fix="name it when the session is opened"
            )
        if hook not in approved.manifest.capabilities:
            raise PluginError(
                f"plugin '{plugin}' does not declare {hook[:60]}",
                fix=f"use one of its capabilities: {', '.join(approved.manifest.capabilities)}",
            )
        with self._lock:
            if self._ended:
                raise PluginError(f"the session has ended: {self._ended}", fix="open a new session")
            return self._exchange(approved, hook, _with_checked_parameters(approved, arguments))

    @property
    def captured_output(self) -> str:
        """What the plugins printed, bounded. It may hold values from the data: for the site's operator only."""
        return "".join(worker.captured_output for worker in self._workers.values())

    def kill(self) -> None:
        """End the workers at once, from whichever thread; a call that is under way raises :class:`PluginError`."""
        self._ended = self._ended or "it was ended"
        for worker in self._workers.values():
            worker.kill()

    def close(self) -> None:
        """End the workers and delete everything that was exchanged."""
        self._ended = self._ended or "it was closed"
        for worker in self._workers.values():
            worker.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _start(self, python: str, plugins: Sequence[ApprovedPlugin], workdir: Path) -> WorkerProcess:
        bounds = Bounds(self._limits.memory_bytes, self._limits.seconds, self._limits.output_bytes)
        worker = WorkerProcess(workdir, bounds, python)
        try:
            for plugin in plugins:
                _copy_approved(plugin, worker.code)
            answer = worker.request(
                {
                    "confinement": worker.confinement(),
                    "namespaces": self.isolation.namespaces,
                    "attack": None,
                    "plugins": [{"name": p.name, "module": p.module, "digest": p.digest} for p in plugins],
                    "forbidden": sorted(_other_modules(plugins)),
                }
            )
            self._check_start(plugins, answer)
        except BaseException:
            worker.close()
            raise
        return worker

    def _check_start(self, plugins: Sequence[ApprovedPlugin], answer: Mapping[str, Any]) -> None:
        if "error" in answer:
            raise _failure(f"plugin {' or '.join(p.name for p in plugins)} cannot be loaded", answer["error"])
        if not set(answer.get("mechanisms", ())) >= set(self.isolation.mechanisms):
            raise IsolationError(
                "the worker is confined less than this machine was probed to allow",
                fix="run: synthema doctor; a plugin's own interpreter may be the cause",
            )

    def _exchange(self, plugin: ApprovedPlugin, hook: str, arguments: Mapping[str, Any]) -> Any:
        worker = self._workers[_interpreter(plugin)]
        self._calls += 1
        outgoing = Folder(worker.input, prefix=self._calls, max_file_bytes=self._limits.output_bytes, shared=True)
        incoming = Folder(worker.output, max_file_bytes=self._limits.output_bytes)
        try:
            document = encode_arguments(hook, arguments, outgoing)
            try:
                answer = worker.request(
                    {"call": self._calls, "plugin": plugin.name, "hook": hook, "arguments": document}
                )
            except PluginError as error:
                self._ended = error.message
                raise PluginError(f"plugin '{plugin.name}', {hook}: {error.message}", fix=error.fix) from None
            if "error" in answer:
                raise _failure(f"plugin '{plugin.name}' failed in {hook}", answer["error"])
            return _decoded(plugin.name, hook, answer.get("value"), incoming)
        finally:
            outgoing.remove()
            _empty(worker.output)


def clear_leftovers(workdir: Path) -> int:
    """Delete what sessions of a connector that was killed left below ``workdir``; return how many there were.

    Call it at start-up, before any session is opened: such a folder may hold rows.
    """
    left = [path for path in workdir.glob(f"{PREFIX}*") if path.is_dir() and not path.is_symlink()]
    for path in left:
        shutil.rmtree(path)
    return len(left)


def _decoded(plugin: str, hook: str, document: Any, folder: Folder) -> Any:
    try:
        return decode(document, signature(hook).returns, folder, f"the answer to {hook}")
    except InputError as error:
        raise PluginError(f"plugin '{plugin}' broke its contract: {error.message}", fix=error.fix) from error


def _failure(what: str, error: Any) -> PluginError:
    """What a worker said about its failure, cut to a sentence; its words are the plugin's and not trusted."""
    value = error if isinstance(error, dict) else {}
    kind, message = str(value.get("type", "error"))[:80], str(value.get("message", ""))[:500]
    if kind == "MemoryError":
        return PluginError(f"{what}: it ran out of memory", fix="use a smaller table, or raise limits.memory_bytes")
    unexplained = "change what it names, or ask the plugin's author" if ": " in message else "ask the plugin's author"
    return PluginError(f"{what}: {message}", fix=str(value.get("fix", unexplained))[:500])


def _with_checked_parameters(plugin: ApprovedPlugin, arguments: dict[str, Any]) -> dict[str, Any]:
    checked = dict(arguments)
    if isinstance(checked.get("parameters"), dict):
        checked["parameters"] = plugin.manifest.validate_parameters(checked["parameters"])
    plan = checked.get("plan")
    if isinstance(plan, Plan):
        checked["plan"] = dataclasses.replace(plan, parameters=plugin.manifest.validate_parameters(plan.parameters))
    return checked


def _interpreter(plugin: ApprovedPlugin) -> str:
    """The interpreter of a plugin: ours, or the one of its own that its approved manifest names."""
    wanted = plugin.manifest.environment
    if wanted is None:
        return sys.executable
    found = shutil.which(wanted)
    if found is None:
        raise PluginError(
            f"plugin '{plugin.name}' wants the interpreter {wanted}, which is not there",
            fix="make the environment that its README describes",
        )
    return found


def _by_interpreter(plugins: Sequence[ApprovedPlugin]) -> dict[str, list[ApprovedPlugin]]:
    groups: dict[str, list[ApprovedPlugin]] = {}
    for plugin in plugins:
        groups.setdefault(_interpreter(plugin), []).append(plugin)
    return groups


def _other_modules(plugins: Sequence[ApprovedPlugin]) -> set[str]:
    return {plugin.module for plugin in installed().values()} - {plugin.module for plugin in plugins}


def _copy_approved(plugin: ApprovedPlugin, code: Path) -> None:
    """Give the session its own copy of the files, so that nothing can change between check and use."""
    target = code / plugin.module
    for name in package_files(plugin.folder):
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(plugin.folder / name, copy)
        copy.chmod(0o444)
    for folder in [target, *(path for path in target.rglob("*") if path.is_dir())]:
        folder.chmod(0o755)
    if package_digest(target) != plugin.digest:
        raise PluginError(
            f"the files of plugin '{plugin.name}' changed since they were approved",
            fix="restore the approved files, or let two people review and approve the present ones",
        )


def _empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                Path(entry.path).unlink(missing_ok=True)

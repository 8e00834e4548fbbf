"""Sessions: values go in and come out, misbehaviour of every sort ends in a plain error, nothing leaks."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from synthema.config import Limits
from synthema.errors import InputError, IsolationError, PluginError
from synthema.runs.sandbox import Sandbox, clear_leftovers
from synthema.spi.model import Evaluation
from tests.unit.runs_sandbox.conftest import HEAD, Open, analyse
from tests.unit.spi.plugin_files import ANALYSIS, approved, manifest_text, write_plugin
from tests.waiting import until

PARAMETER = """
[[parameters]]
name = "times"
type = "integer"
minimum = 1
maximum = 9
default = 3
description = "how often"
"""

PATIENCE = 20.0


def test_a_session_serves_many_calls_and_keeps_the_plugins_state(open_plugin: Open) -> None:
    session = open_plugin(
        "global calls\ncalls += 1\nreturn answer(calls * 1000 + table.height)", head="calls = 0\n" + HEAD
    )
    assert [analyse(session).metrics[0].value for _ in range(3)] == [1010.0, 2010.0, 3010.0]


def test_scientific_libraries_and_their_threads_work_inside(open_plugin: Open) -> None:
    session = open_plugin(
        "from scipy import stats\n"
        "big = np.random.default_rng(0).normal(size=(300, 300))\n"
        "grouped = pl.DataFrame({'g': [1, 2] * 5000, 'v': range(10000)}).group_by('g').agg(pl.col('v').sum())\n"
        "return answer((big @ big).shape[0] + grouped.height + stats.norm.cdf(0))"
    )
    assert analyse(session).metrics[0].value == 302.5


def test_parameters_are_checked_and_completed_before_the_call(tmp_path: Path) -> None:
    code = ANALYSIS.replace("float(table.height)", "float(parameters['times'])")
    package = write_plugin(tmp_path / "p", "subject", code, manifest_text("subject") + PARAMETER)
    with Sandbox().open_session([approved(package)], tmp_path) as session:
        assert analyse(session).metrics[0].value == 3.0
        with pytest.raises(InputError, match="above its maximum"):
            analyse(session, times=10)


def test_an_answer_of_nothing_is_a_failure(open_plugin: Open) -> None:
    with pytest.raises(PluginError, match="answered nothing"):
        analyse(open_plugin("return None"))


def test_an_answer_of_another_type_is_a_failure(open_plugin: Open) -> None:
    with pytest.raises(PluginError, match="must be Evaluation, not dict"):
        analyse(open_plugin("return {'metrics': []}"))


def test_a_figure_that_is_no_number_is_a_failure(open_plugin: Open) -> None:
    with pytest.raises(PluginError, match="is nan"):
        analyse(open_plugin("return answer(float('nan'))"))


def test_a_sentence_that_stands_in_the_code_is_passed_on(open_plugin: Open) -> None:
    with pytest.raises(PluginError, match=r"ValueError at .*: too few rows: ask for more") as caught:
        analyse(open_plugin("raise ValueError('too few rows: ask for more')"))
    assert caught.value.fix.startswith("change what it names")


@pytest.mark.article("GDPR 25")
def test_an_exception_leaves_as_its_type_and_place_without_values(open_plugin: Open) -> None:
    session = open_plugin("raise ValueError(f'patient {table.height + 4701} has a rare mutation')")
    with pytest.raises(PluginError) as caught:
        analyse(session)
    assert "ValueError at subject/__init__.py line" in caught.value.message
    assert "4711" not in caught.value.diagnostics()
    until(lambda: "4711" in session.captured_output, seconds=PATIENCE)
    with pytest.raises(PluginError):
        analyse(session)  # the session lives on


def test_prints_are_captured_and_bounded(open_plugin: Open) -> None:
    session = open_plugin("print('hello'); os.write(1, b'raw'); print('x' * 10**6)\nreturn answer()")
    analyse(session)
    until(lambda: session.captured_output.startswith("raw") or "hello" in session.captured_output, seconds=PATIENCE)
    assert len(session.captured_output) <= 64 * 1024


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("import socket; socket.socket()", "PermissionError"),
        ("import urllib.request; urllib.request.urlopen('http://127.0.0.1:9')", "URLError"),
        ("open('/tmp/escaped', 'w')", "PermissionError"),
        ("open('/etc/passwd')", "PermissionError"),
        ("import subprocess; subprocess.run(['/bin/true'])", "PermissionError"),
        ("os.fork()", "PermissionError"),
        ("os.kill(os.getppid() or 1, 9) if os.getpid() != 1 else os.kill(-1, 9)", "Error"),
        ("import multiprocessing; multiprocessing.Process(target=print).start()", "PermissionError"),
        ("open('in/' + os.listdir('in')[0], 'a')", "PermissionError"),
        ("open('code/subject/__init__.py', 'a')", "PermissionError"),
    ],
)
def test_reaching_out_fails(open_plugin: Open, body: str, found: str) -> None:
    with pytest.raises(PluginError, match=found):
        analyse(open_plugin(body + "\nreturn answer()"))


def test_the_environment_is_empty_of_secrets(open_plugin: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNTHEMA_TOKEN", "secret")
    assert analyse(open_plugin("return answer('SYNTHEMA_TOKEN' in os.environ)")).metrics[0].value == 0


def test_a_memory_hog_is_bounded(open_plugin: Open) -> None:
    session = open_plugin("return answer(len(np.ones(10**9)))", limits=Limits(memory_bytes=2 * 1024**3, seconds=60))
    with pytest.raises(PluginError, match="memory"):
        analyse(session)


def test_an_endless_loop_is_stopped(open_plugin: Open) -> None:
    session = open_plugin("while True: pass", limits=Limits(seconds=6))
    with pytest.raises(PluginError, match="longer than the 6 seconds"):
        analyse(session)
    with pytest.raises(PluginError, match="session has ended"):
        analyse(session)


def test_a_large_file_is_refused(open_plugin: Open) -> None:
    session = open_plugin("open('out/big', 'wb').write(bytes(2 * 10**6))", limits=Limits(output_bytes=10**6))
    with pytest.raises(PluginError, match="OSError"):
        analyse(session)


def test_many_files_together_are_bounded(open_plugin: Open) -> None:
    body = "n = 0\nwhile True:\n    open(f'out/{n}', 'wb').write(bytes(9 * 10**5)); n += 1"
    session = open_plugin(body, limits=Limits(output_bytes=10**6, seconds=30))
    with pytest.raises(PluginError, match="wrote more than"):
        analyse(session)


def test_a_bomb_of_threads_is_bounded(open_plugin: Open) -> None:
    body = (
        "import threading\nstop = threading.Event()\n"
        "for _ in range(100000): threading.Thread(target=stop.wait, daemon=True).start()"
    )
    with pytest.raises(PluginError, match=r"RuntimeError|memory"):
        analyse(open_plugin(body, limits=Limits(seconds=60)))


@pytest.mark.parametrize("body", ["os._exit(3)", "os.kill(os.getpid(), 9)", "os.abort()"])
def test_a_plugin_that_ends_itself_is_told_plainly(open_plugin: Open, body: str) -> None:
    with pytest.raises(PluginError, match="ended"):
        analyse(open_plugin(body))


def test_a_worker_that_is_killed_from_outside_is_told_plainly(open_plugin: Open) -> None:
    session = open_plugin("import time; time.sleep(60)")
    (worker,) = session._workers.values()
    threading.Timer(0.3, os.kill, (worker._process.pid, signal.SIGKILL)).start()
    with pytest.raises(PluginError, match="SIGKILL"):
        analyse(session)


def test_a_forged_answer_is_not_believed(open_plugin: Open) -> None:
    body = (
        "import struct\nfor fd in range(3, 20):\n"
        "    try: os.write(fd, struct.pack('>I', 9) + b'\"forged!\"')\n    except OSError: pass\nreturn answer()"
    )
    with pytest.raises(PluginError):
        analyse(open_plugin(body))


def test_a_file_swapped_for_a_link_is_not_followed(open_plugin: Open) -> None:
    body = "os.symlink('/etc/passwd', 'out/1-0.arrow')\nreturn answer()"
    with pytest.raises(PluginError, match="PermissionError"):
        analyse(open_plugin(body))


def test_other_installed_plugins_cannot_be_imported(open_plugin: Open) -> None:
    with pytest.raises(PluginError, match="ModuleNotFoundError"):
        analyse(open_plugin("import synthema_minimise\nreturn answer()"))


def test_files_changed_after_approval_are_refused(tmp_path: Path) -> None:
    package = write_plugin(tmp_path / "p", "subject")
    plugin = approved(package)
    (package / "__init__.py").write_text(ANALYSIS + "\n# changed\n", encoding="utf-8")
    with pytest.raises(PluginError, match="changed since they were approved"):
        Sandbox().open_session([plugin], tmp_path)


def test_files_changed_while_a_session_runs_change_nothing_in_it(tmp_path: Path) -> None:
    package = write_plugin(
        tmp_path / "p", "subject", ANALYSIS.replace("import polars", "from . import __name__\nimport polars")
    )
    with Sandbox().open_session([approved(package)], tmp_path) as session:
        (package / "__init__.py").write_text("raise SystemExit", encoding="utf-8")
        assert isinstance(analyse(session), Evaluation)


def test_compiled_files_that_no_digest_covers_are_never_run(tmp_path: Path) -> None:
    package = write_plugin(tmp_path / "p", "subject")
    plugin = approved(package)
    cache = package / "__pycache__"
    cache.mkdir()
    (cache / "__init__.cpython-311.pyc").write_bytes(b"not what was approved")
    with Sandbox().open_session([plugin], tmp_path) as session:
        assert analyse(session).metrics[0].value == 10.0


@pytest.mark.parametrize(
    ("code", "what"),
    [
        (ANALYSIS.replace("def analyse", "def analyze"), "does not fit"),
        (ANALYSIS.replace("codebook, parameters", "codebook, options"), "does not fit"),
        (ANALYSIS.replace("@hookimpl", ""), "missing: analyse"),
        (
            ANALYSIS + "\n@hookimpl\ndef generate(table, codebook, parameters, rows):\n    return None\n",
            "undeclared: generate",
        ),
        ("raise RuntimeError('at import')", "RuntimeError at subject/__init__.py line 1: at import"),
    ],
)
def test_a_plugin_that_is_not_what_it_declares_is_not_opened(tmp_path: Path, code: str, what: str) -> None:
    package = write_plugin(tmp_path / "p", "subject", code)
    with pytest.raises(PluginError, match=what):
        Sandbox().open_session([approved(package)], tmp_path)


def test_an_undeclared_hook_is_not_called(open_plugin: Open) -> None:
    session = open_plugin("return answer()")
    with pytest.raises(PluginError, match="does not declare"):
        session.call("subject", "generate")
    with pytest.raises(PluginError, match="does not hold"):
        session.call("stranger", "analyse")


def test_wrong_arguments_never_reach_the_plugin(open_plugin: Open) -> None:
    with pytest.raises(InputError, match="takes table, codebook, parameters"):
        open_plugin("return answer()").call("subject", "analyse", table=None)


def test_no_session_below_the_minimum_level(tmp_path: Path) -> None:
    package = write_plugin(tmp_path / "p", "subject")
    with pytest.raises(IsolationError, match="need isolation level 4"):
        Sandbox(minimum_level=4).open_session([approved(package)], tmp_path)


def test_an_interpreter_of_its_own_is_used_and_a_missing_one_is_named(tmp_path: Path) -> None:
    import sys

    own = approved(
        write_plugin(tmp_path / "a", "own", manifest=manifest_text("own", more=f'environment = "{sys.executable}"'))
    )
    codeless = approved(
        write_plugin(tmp_path / "b", "lost", manifest=manifest_text("lost", more='environment = "/no/python"'))
    )
    with Sandbox().open_session([own], tmp_path) as session:
        assert list(session._workers) == [sys.executable]
    with pytest.raises(PluginError, match="/no/python"):
        Sandbox().open_session([codeless], tmp_path)


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    package = write_plugin(tmp_path / "p", "subject")
    session = Sandbox().open_session([approved(package)], work)
    (worker,) = session._workers.values()
    analyse(session)
    assert not list(worker.input.iterdir())
    assert not list(worker.output.iterdir())
    session.close()
    assert not list(work.iterdir())
    assert not worker.alive


def test_what_a_killed_connector_left_behind_is_cleared(tmp_path: Path) -> None:
    (tmp_path / "session-abc" / "exchange" / "in").mkdir(parents=True)
    (tmp_path / "kept").mkdir()
    assert clear_leftovers(tmp_path) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_the_worker_outlives_the_thread_that_opened_the_session(tmp_path: Path) -> None:
    package = write_plugin(tmp_path / "p", "subject")
    opened = []
    thread = threading.Thread(target=lambda: opened.append(Sandbox().open_session([approved(package)], tmp_path)))
    thread.start()
    thread.join()
    with opened[0] as session:
        assert isinstance(analyse(session), Evaluation)

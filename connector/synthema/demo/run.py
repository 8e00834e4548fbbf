"""The demo: three hospitals, a hub and a registry make a certified synthetic dataset under policy."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from synthema.demo import scenes
from synthema.demo.house import House
from synthema.demo.patients import hospital_data
from synthema.demo.processes import Actor, Running, prepare, running
from synthema.demo.tale import Tale
from synthema.demo.tampering import tampering
from synthema.errors import SynthemaError
from synthema.report import Actor as ReportActor
from synthema.report import render

ACTORS = [
    Actor("hospital-a", "Hospital A", "site"),
    Actor("hospital-b", "Hospital B", "site"),
    Actor("hospital-c", "Hospital C", "site"),
    Actor("hub", "Coordinating hub", "hub"),
    Actor("registry", "Disease registry", "registry"),
]
SHARES = (50, 30, 20)
PATIENTS = 1384
ROLES = {"site": "holds patients' data", "hub": "coordinates, holds no patient data", "registry": "takes data in"}


def run_demo(output: Path, *, keep: bool = False, small: bool = False) -> int:
    """Tell the whole story, write ``report.html`` into ``output``; 0 when every claim was shown.

    ``keep`` leaves the connectors up until Enter is pressed; ``small`` makes fewer synthetic rows.
    """
    screen = Console(stderr=True, highlight=False)
    output.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="connectors-", dir=output))
    tale = Tale(screen)
    started = time.monotonic()
    status = 1
    try:
        status = _tell(tale, folder, output, keep=keep, rows=400 if small else PATIENTS)
    except SynthemaError as error:
        screen.print(f"[bold red]The demo stopped:[/] {error.code}")
        screen.print(error.diagnostics(), markup=False)
        screen.print(f"The connectors' logs are in {folder}", markup=False)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    screen.print(f"{time.monotonic() - started:.0f} s", style="dim")
    failed = len(tale.failed) + (1 if status else 0)
    sys.stdout.write(f"demo: {len(tale.outcomes)} shown, {failed} failed\n")
    return 1 if failed else 0


def _tell(tale: Tale, folder: Path, output: Path, *, keep: bool, rows: int) -> int:
    data = hospital_data(SHARES)
    settings = prepare(ACTORS, folder)
    _ask_for_witnesses(settings["registry"].home / "connector.toml")
    with running(ACTORS, settings) as connectors:
        stage = scenes.Stage(
            tale,
            [House(connectors[actor.key]) for actor in ACTORS if actor.role == "site"],
            House(connectors["hub"]),
            House(connectors["registry"]),
        )
        scenes.patients_and_consent(stage, data)
        scenes.policies_in_force(stage)
        scenes.forbidden_purpose(stage, rows)
        scenes.too_large_epsilon(stage, rows)
        scenes.stopped_in_quarantine(stage, rows)
        study = scenes.released(stage, rows)
        if study["state"] == "released":
            package = scenes.certified(stage, study)
            scenes.provenance(stage, study)
            (output / "package.zip").write_bytes(package)
            tampering(tale, stage.registry, stage.hospitals[0], package, folder)
        _write_report(tale, output, connectors)
        if keep:
            _wait(tale, connectors)
    return 0 if study["state"] == "released" else 1


def _ask_for_witnesses(settings: Path) -> None:
    """The registry believes only logs whose heads three of the five connectors have seen."""
    with settings.open("a", encoding="utf-8") as stream:
        stream.write("\n[accepts]\nwitnesses = 3\n")


def _write_report(tale: Tale, output: Path, connectors: dict[str, Running]) -> None:
    actors = tuple(ReportActor(c.actor.name, ROLES[c.actor.role], c.did) for c in connectors.values())
    story = tale.story(
        "A certified synthetic dataset from three hospitals",
        "Every step under policy, every step in the log: what the demo showed, and how.",
        actors,
    )
    page = render(story)
    (output / "report.html").write_text(page, encoding="utf-8")
    tale.screen.print(f"Report: {output / 'report.html'}", markup=False)


def _wait(tale: Tale, connectors: dict[str, Running]) -> None:
    for connector in connectors.values():
        tale.screen.print(
            f"{connector.actor.name}: {connector.settings.public_url} · management {connector.settings.management_url} "
            f"· home {connector.settings.home}",
            markup=False,
        )
    tale.screen.print("The connectors stay up. Press Enter to stop them.")
    sys.stdin.readline()

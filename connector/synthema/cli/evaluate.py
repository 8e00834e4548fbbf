"""``synthema evaluate``: a synthetic table against real patients, as a report for people and evidence for machines."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synthema.cli.files import codebook_text, write_new
from synthema.cli.output import Format, FormatOption, answer, note, say, show_table, working
from synthema.errors import ConflictError, InputError

if TYPE_CHECKING:
    import polars as pl

    from synthema.datasets import Codebook
    from synthema.spi import Evaluation
    from synthema.spi.loader import InstalledPlugin

SHOWN = (
    "marginalSimilarity", "pairSimilarity", "survivalDistance", "concordanceGap", "shadowMembershipAUC",
    "membershipAUC", "membershipTPR", "linkabilityRisk", "inferenceRisk", "identityDisclosureRisk", "ruleViolations",
    "knowledgeReproduced",
)  # fmt: skip
MAGIC = b"PAR1"


def evaluate(
    synthetic: Annotated[Path, typer.Argument(help="Synthetic rows, CSV or Parquet.", metavar="SYNTHETIC")],
    *,
    train: Annotated[Path, typer.Option("--train", help="Real rows the generator learned from, CSV or Parquet.")],
    holdout: Annotated[Path, typer.Option("--holdout", help="Real rows the generator never saw, CSV or Parquet.")],
    codebook: Annotated[
        str,
        typer.Option("--codebook", help="Name of a bundled dictionary, or path of a codebook.", metavar="NAME|FILE"),
    ],
    report: Annotated[Path, typer.Option("--report", help="Where to write the report.", metavar="FILE.html")],
    evidence: Annotated[Path, typer.Option("--evidence", help="Where to write the evidence.", metavar="FILE.json")],
    plugin: Annotated[str, typer.Option("--plugin", help="The evaluator.")] = "evaluation",
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=4_294_967_000, help="All random choices follow from it.")
    ] = 0,
    generator: Annotated[
        str | None,
        typer.Option("--generator", help="Run this generator many times too, for the strongest membership attack."),
    ] = None,
    parameters: Annotated[
        str, typer.Option("--parameters", help="Parameters of the generator as JSON.", metavar="JSON")
    ] = "{}",
    shadows: Annotated[int, typer.Option("--shadows", min=8, max=512, help="How many times to run it.")] = 32,
    output: FormatOption = Format.TEXT,
) -> None:
    """Measure a synthetic table against real patients: likeness, survival, use, attacks, rules.

    Example: synthema evaluate synthetic.csv --train train.csv --holdout holdout.csv --codebook mgus
    --report report.html --evidence evidence.json

    Needs no connector and sends nothing anywhere. The tables are read here, in this process, by programs
    installed here: run it where the real rows may be. The report and the evidence hold figures and
    curves about real patients without noise: show them as the site's assessment allows.
    """
    from synthema.canonical import canonical_json
    from synthema.report import render_evaluation_report

    for path in (report, evidence):
        if path.exists():
            raise ConflictError("this file exists already", where=str(path), fix="choose another name")
    book = _codebook(codebook)
    tables = {
        name: _table(path, book)
        for name, path in (("training", train), ("held out", holdout), ("synthetic", synthetic))
    }
    document = _measured(tables, book, plugin, seed, (generator, parameters, shadows))
    document["tables"] = {
        name: {"rows": tables[name].height, "digest": _digest(path)}
        for name, path in (("training", train), ("held out", holdout), ("synthetic", synthetic))
    }
    with working("Drawing the report …"):
        page = render_evaluation_report(document)
    write_new(evidence, canonical_json(document))
    write_new(report, page.encode())
    answer({"report": str(report), "evidence": str(evidence), "metrics": document["metrics"]}, output, _show)


def _show(value: dict[str, Any]) -> None:
    figures = {metric["id"]: metric for metric in value["metrics"]}
    rows = [
        (name, *(_short(figures[name][key]) for key in ("value", "lower", "upper", "control")), figures[name]["n"])
        for name in SHOWN
        if name in figures
    ]
    show_table(("Figure", "Value", "95 % from", "to", "Control", "n"), rows, empty="Nothing was measured.")
    say(f"{len(figures)} figures in all. Report: {value['report']}", f"Evidence: {value['evidence']}")


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _measured(
    tables: dict[str, pl.DataFrame],
    book: Codebook,
    plugin: str,
    seed: int,
    shadowed: tuple[str | None, str, int],
) -> dict[str, Any]:
    """The evidence without its tables: figures and series, and what measured them."""
    from synthema.clock import SystemClock, to_text
    from synthema.runs.measured import evaluation_json
    from synthema.spi.loader import find

    evaluator = find(plugin)
    name, _, shadows = shadowed
    if name is not None and "shadow_attack" not in evaluator.manifest.capabilities:
        raise InputError("this evaluator cannot attack with shadows", fix="leave --generator out, or use 'evaluation'")
    given = evaluator.manifest.validate_parameters({"seed": seed} | ({} if name is None else {"shadows": shadows}))
    arguments = {
        "train": tables["training"], "holdout": tables["held out"], "synthetic": tables["synthetic"],
        "codebook": book, "parameters": given,
    }  # fmt: skip
    with _progress(evaluator.module) as module:
        evaluation: Evaluation = _asked(evaluator, module, "evaluate", arguments)
    found = evaluation_json(evaluation)
    document: dict[str, Any] = {
        "format": "synthema-evaluation/1",
        "made": to_text(SystemClock().now()),
        "plugin": _named(evaluator) | {"parameters": given},
        "codebook": {"id": book.id, "version": book.version, "title": book.title, "digest": book.digest},
        "generator": None,
    }
    if name is not None:
        maker, more = _audited(tables, book, evaluator, given, (name, shadowed[1]))
        extra = evaluation_json(more)
        found["metrics"] += extra["metrics"]
        found["notes"] += extra["notes"]
        found["series"]["attacks"] |= extra["series"]["attacks"]
        document["generator"] = maker
    return document | found


def _audited(
    tables: dict[str, pl.DataFrame],
    book: Codebook,
    evaluator: InstalledPlugin,
    asked: dict[str, Any],
    how: tuple[str, str],
) -> tuple[dict[str, Any], Evaluation]:
    """What the generator gives away, found by running it on halves of the real rows."""
    import polars as pl

    from synthema.canonical import parse_json_strictly
    from synthema.spi.loader import find

    name, text = how
    maker = find(name)
    given = maker.manifest.validate_parameters(parse_json_strictly(text.encode()))
    seeded = any(parameter.name == "seed" for parameter in maker.manifest.parameters)
    loaded, judge = _loaded(maker), _loaded(evaluator)
    real = pl.concat([tables["training"], tables["held out"]], how="vertical_relaxed")
    rest = {"table": real, "codebook": book, "parameters": asked}
    halves = _asked(evaluator, judge, "shadow_rows", rest)
    made = []
    with working(f"Running {name} …") as tell:
        for number, rows in enumerate(halves, start=1):
            chosen = given | ({"seed": asked["seed"] + number} if seeded else {})
            arguments = {"table": rows, "codebook": book, "parameters": chosen, "rows": rows.height}
            made.append(_asked(maker, loaded, "generate", arguments).table)
            tell(f"Running {name}: {number} of {len(halves)} times …")
    found: Evaluation = _asked(evaluator, judge, "shadow_attack", rest | {"made": made})
    return _named(maker) | {"parameters": given, "shadows": len(halves)}, found


def _named(plugin: InstalledPlugin) -> dict[str, Any]:
    return {"name": plugin.name, "version": plugin.manifest.version, "digest": plugin.digest}


def _loaded(plugin: InstalledPlugin) -> Any:
    from importlib import import_module

    return import_module(plugin.module)


def _asked(plugin: InstalledPlugin, module: Any, hook: str, arguments: dict[str, Any]) -> Any:
    """The answer of one hook; what a plugin refuses becomes an error of ours."""
    from synthema.spi.hosting import Host

    try:
        return Host(module, plugin.manifest).call(hook, arguments)
    except ValueError as error:
        raise InputError(f"plugin '{plugin.name}' refused: {error}", fix="give other tables or parameters") from error


@contextmanager
def _progress(module: str) -> Iterator[Any]:
    """The loaded plugin, while its log is shown as progress: on a terminal in place, else line by line."""
    from importlib import import_module

    loaded = import_module(module)
    log = logging.getLogger(module)
    with working("Measuring …") as tell:
        listener = _Listener(tell)
        before = log.level
        log.addHandler(listener)
        log.setLevel(logging.INFO)
        try:
            yield loaded
        finally:
            log.removeHandler(listener)
            log.setLevel(before)


class _Listener(logging.Handler):
    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        """Show one step."""
        from synthema.cli.output import progress

        self._tell(f"Measuring: {record.getMessage()} …")
        if not progress.is_terminal:
            note(f"Measuring: {record.getMessage()}")


def _codebook(given: str) -> Codebook:
    from synthema.datasets import dictionary, read_codebook

    text = codebook_text(given)
    return dictionary(given) if text == given else read_codebook(text, given)


def _table(path: Path, book: Codebook) -> pl.DataFrame:
    """The typed table of a file; columns may be missing: what all three tables have is compared."""
    import polars as pl

    from synthema.datasets import read_source

    try:
        with path.open("rb") as file:
            is_parquet = file.read(len(MAGIC)) == MAGIC
        if is_parquet:
            return pl.read_parquet(path)
        header = path.read_text(encoding="utf-8-sig").split("\n", 1)[0]
    except (OSError, UnicodeDecodeError, pl.exceptions.PolarsError) as error:
        raise InputError(
            "the table cannot be read", where=str(path), fix="give a CSV or Parquet file you may read"
        ) from error
    named = {name.strip().strip('"') for name in header.split(",")}
    kept = book.keep(tuple(name for name in book.names() if name in named))
    return read_source(path, kept) if book.patient_key in named else _without_key(path, kept)


def _without_key(path: Path, book: Codebook) -> pl.DataFrame:
    """A synthetic table has no patient key: its rows are numbered for reading only."""
    import csv
    import io
    import tempfile

    from synthema.datasets import Variable, read_source

    rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")))
    key = Variable(name=book.patient_key, label="Row", type="text", role="identifier")
    whole = book.model_copy(update={"variables": (key, *book.variables)})
    with tempfile.TemporaryDirectory() as folder:
        keyed = Path(folder) / path.name
        with keyed.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow([book.patient_key, *rows[0]])
            writer.writerows([f"row-{i}", *row] for i, row in enumerate(rows[1:], start=1) if row)
        return read_source(keyed, whole).drop(book.patient_key)


def _digest(path: Path) -> str:
    from synthema.canonical import digest_file

    return digest_file(path)


def add_to(app: typer.Typer) -> None:
    """Add the command to the front."""
    app.command("evaluate", rich_help_panel="Data and work")(evaluate)

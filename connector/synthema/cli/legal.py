"""``synthema legal``: which article is kept by which rule, where, and which test shows it. Needs no connector."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from synthema.cli.output import Format, FormatOption, answer, say, show_table

app = typer.Typer(help="Law: the articles we act on, their rules and what shows them.")


class MatrixFormat(StrEnum):
    """How the matrix is printed."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


def _remember(context: typer.Context, value: MatrixFormat) -> MatrixFormat:
    """Errors are told as JSON where the answer would have been."""
    if value is MatrixFormat.JSON:
        context.meta["synthema.format"] = Format.JSON
    return value


@app.command("matrix")
def matrix(
    output: Annotated[
        MatrixFormat,
        typer.Option(
            "--format", callback=_remember, help="Text for people, json for machines, markdown for your papers."
        ),
    ] = MatrixFormat.TEXT,
) -> None:
    """List every article we act on, with its rules, where they bite, and the tests that show it.

    Example: synthema legal matrix --format markdown
    """
    from synthema.policy.articles import matrix_markdown, read_articles

    articles = read_articles()
    if output is MatrixFormat.MARKDOWN:
        typer.echo(matrix_markdown(articles), nl=False)
        return

    def text(rows: list[dict[str, Any]]) -> None:
        shown = ((r["article"], r["demand"], len(r["rules"]), len(r["tests"]), _people(r)) for r in rows)
        show_table(("Article", "Demand", "Rules", "Tests", "People"), shown, empty="There is none.")
        say('Explain one with: synthema legal article "EHDS 71"')

    answer([article.as_dict() for article in articles], Format(output.value), text)


def _people(row: dict[str, Any]) -> str:
    return "" if not row["leftTo"] else "in part" if row["enforced"] else "all of it"


@app.command("article")
def article(
    name: Annotated[str, typer.Argument(help='Act and article, e.g. "EHDS 71" or "GDPR 7(3)".', metavar="ARTICLE")],
    output: FormatOption = Format.TEXT,
) -> None:
    """Explain an article: what it demands, its rules in sentences, where they bite, which test shows it.

    Example: synthema legal article "EHDS 71"
    """
    from synthema.policy.articles import explain_article, find_articles, rule_book
    from synthema.vocabulary import load_vocabulary

    entries = find_articles(name)
    vocabulary = load_vocabulary()
    rules = rule_book(vocabulary)
    found = [entry.as_dict() | {"sentences": list(explain_article(entry, rules, vocabulary))} for entry in entries]

    def text(shown: list[dict[str, Any]]) -> None:
        for number, entry in enumerate(shown):
            say(*([""] if number else []), *entry["sentences"])

    answer(found, output, text)

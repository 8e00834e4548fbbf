"""``legal/articles.yaml`` as values: what an article demands, its rules, where they bite, and what shows it."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from synthema.errors import InputError, NotFoundError
from synthema.policy.analysis import read_cases
from synthema.policy.explain import explain_rule
from synthema.policy.law import example_member_state_law, union_law
from synthema.policy.model import Policy, Rule
from synthema.policy.phrases import ACTS
from synthema.resources import bundled
from synthema.vocabulary import Vocabulary

_KEYS = frozenset({"article", "demand", "rules", "enforced", "tests", "left_to"})


@dataclass(frozen=True, slots=True)
class Article:
    """One entry: an article we act on, or one we leave to people and say so."""

    article: str
    demand: str
    rules: tuple[str, ...]
    enforced: tuple[str, ...]
    tests: tuple[str, ...]
    left_to: str

    @property
    def act(self) -> str:
        """The short name of the act, e.g. ``EHDS``."""
        return next(act for act in ACTS if self.article.startswith(f"{act} "))

    @property
    def number(self) -> str:
        """The article, paragraph and point, e.g. ``71(4)``."""
        return self.article.removeprefix(f"{self.act} ")

    def as_dict(self) -> dict[str, Any]:
        """The entry for the console and other programs."""
        return {
            "article": self.article,
            "eli": ACTS[self.act],
            "demand": self.demand,
            "rules": list(self.rules),
            "enforced": list(self.enforced),
            "tests": list(self.tests),
            "leftTo": self.left_to,
        }


def read_articles(path: Path | None = None) -> tuple[Article, ...]:
    """The entries of a file (the bundled one when none is given); raises :class:`InputError` naming what is wrong."""
    path = path or bundled("legal") / "articles.yaml"
    read = yaml.safe_load(path.read_text(encoding="utf-8"))
    entries = read.get("articles") if isinstance(read, dict) else None
    if not isinstance(entries, list):
        raise InputError("there is no list of articles", where=path.name, fix="begin the file with 'articles:'")
    found = tuple(_article(entry, path.name) for entry in entries)
    names = [article.article for article in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"{twice[0]} has two entries", where=path.name, fix="join them")
    return found


def _article(entry: Any, file: str) -> Article:
    if not isinstance(entry, dict) or not {"article", "demand", "rules"} <= set(entry) <= _KEYS:
        raise InputError(
            f"an entry is not understood: {str(entry)[:80]}",
            where=file,
            fix=f"give article, demand and rules, and of these what applies: {', '.join(sorted(_KEYS))}",
        )
    name = entry["article"]
    if not any(name.startswith(f"{act} ") for act in ACTS):
        raise InputError(f"'{name}' names no act that is known", where=file, fix=f"begin with: {', '.join(ACTS)}")
    return Article(
        article=name,
        demand=entry["demand"],
        rules=tuple(entry["rules"]),
        enforced=tuple(entry.get("enforced", ())),
        tests=tuple(entry.get("tests", ())),
        left_to=entry.get("left_to", ""),
    )


def find_articles(text: str, articles: Iterable[Article] | None = None) -> tuple[Article, ...]:
    """The entries an article's name means: itself, its paragraphs and points, or else what it is a part of.

    ``EHDS 71`` finds 71 and 71(4); ``EHDS 71(3)`` finds 71. Raises :class:`NotFoundError` naming what there is.
    """
    known = tuple(articles if articles is not None else read_articles())
    wanted = " ".join(text.replace("Art.", " ").replace("Article", " ").split())
    found = tuple(a for a in known if _part_of(a.article, wanted)) or tuple(
        a for a in known if _part_of(wanted, a.article)
    )
    if not found:
        act = next((act for act in ACTS if wanted.startswith(act)), None)
        near = ", ".join(a.article for a in known if act is None or a.act == act)
        raise NotFoundError(f"'{text[:60]}' is not in the legal matrix", fix=f"it holds: {near}")
    return found


def _part_of(article: str, whole: str) -> bool:
    """Whether an article is the other one, or a paragraph or point of it."""
    return article == whole or article.startswith(f"{whole}(")


RuleBook = Mapping[str, tuple[Policy, Rule]]
"""Rule name as the matrix writes it → policy and rule."""


def rule_book(vocabulary: Vocabulary) -> RuleBook:
    """Every rule an entry may name: those of the law packs, and of each template as its own cases fill it."""
    found: dict[str, tuple[Policy, Rule]] = {}
    for policy in (union_law(vocabulary), example_member_state_law(vocabulary)):
        found |= {rule.id: (policy, rule) for rule in policy.rules}
    for path in sorted((bundled("policies") / "cases").glob("*.yaml")):
        file = read_cases(path.read_text(encoding="utf-8"), vocabulary, file=path.name)
        for policy in file.beside:
            if policy.id == file.policy:
                found |= {f"template:{path.stem}#{rule.id.partition('#')[2]}": (policy, rule) for rule in policy.rules}
    return found


def enforcement_point(point: str) -> object:
    """The function or class that ``module::name`` means; raises :class:`NotFoundError` where there is none."""
    module, separator, name = point.partition("::")
    try:
        found: object = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise NotFoundError(f"nothing is enforced at '{point}'", fix="correct legal/articles.yaml") from error
    if not separator or not callable(found):
        raise NotFoundError(f"'{point}' is nothing that can be called", fix="write it as module::name")
    return found


def explain_article(article: Article, rules: RuleBook, vocabulary: Vocabulary) -> tuple[str, ...]:
    """An entry for a lawyer: demand, rules in sentences, where they bite, what shows it, and what is left to people.

    Raises :class:`NotFoundError` for a rule that does not exist.
    """
    lines = [f"{article.article} ({ACTS[article.act]})", f"It demands: {article.demand}"]
    for name in article.rules:
        if name not in rules:
            raise NotFoundError(f"there is no rule '{name}'", fix="correct legal/articles.yaml")
        lines += ["", f"Rule {name.rpartition('/')[2]}:", *explain_rule(*rules[name], vocabulary)]
    if article.enforced:
        lines += ["", "Held to in:", *(f"  {point}" for point in article.enforced)]
    if article.tests:
        lines += ["", "Shown by:", *(f"  {test}" for test in article.tests)]
    if article.left_to:
        lines += ["", f"Left to people: {article.left_to}"]
    return tuple(lines)


def matrix_markdown(articles: Iterable[Article]) -> str:
    """The matrix as a Markdown table, for papers."""
    rows = ["| article | demand | rules | enforced in | shown by | left to people |", "|---|---|---|---|---|---|"]
    for article in articles:
        lists = (article.rules, article.enforced, article.tests)
        cells = (
            article.article,
            article.demand,
            *("<br>".join(f"`{item.rpartition('/law/')[2]}`" for item in items) for items in lists),
            article.left_to,
        )
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"

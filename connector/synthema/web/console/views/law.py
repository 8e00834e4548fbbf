"""The legal matrix: what each article demands, which rule stands for it, where it bites and which test shows it."""

from __future__ import annotations

from typing import Any, Final

from synthema.errors import InputError
from synthema.web.console.desk import Desk
from synthema.web.console.pages import Page, Route, Visit

_SEARCHED: Final = ("article", "demand", "leftTo", "rules", "enforced")


def list_articles(desk: Desk, visit: Visit) -> Page:
    """All articles, or those that hold every word of a text."""
    text = " ".join(visit.query.get("text", "").split())
    articles = desk.ask("legal/matrix")
    found = [article for article in articles if _holds(article, text)]
    value = {"text": text, "articles": found}
    return Page("law.html", "Law: article by article", value, {"count": len(articles)})


def show_article(desk: Desk, visit: Visit) -> Page:
    """One article with its paragraphs, explained from the rules that stand for it."""
    name = visit.query.get("article", "").strip()
    if not name:
        raise InputError("no article is named", fix="choose one from the matrix")
    found = desk.ask("legal/article", article=name)
    return Page("article.html", name, found)


def _holds(article: dict[str, Any], text: str) -> bool:
    """Whether every word of the text stands in an article's entry; "Art." and "Article" are nobody's words."""
    held = " ".join(str(article[field]) for field in _SEARCHED).casefold()
    words = [word for word in text.casefold().split() if word not in ("art.", "article")]
    return all(word in held for word in words)


ROUTES = (Route("/law", list_articles), Route("/law/article", show_article))

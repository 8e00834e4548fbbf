"""Operations on the legal matrix: which rule stands for an article, where it bites, and which test shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from synthema.assembly.operations.registry import Input, Nothing, operation
from synthema.policy.articles import explain_article, find_articles, read_articles, rule_book

if TYPE_CHECKING:
    from synthema.assembly.connector import Connector


@operation("legal/matrix")
def legal_matrix(connector: Connector, given: Nothing) -> list[dict[str, Any]]:
    """Every article we act on: its demand, rules, enforcement points and tests, and what is left to people."""
    return [article.as_dict() for article in read_articles()]


class OneArticle(Input):
    """An article by act and number, e.g. "EHDS 71(4)"."""

    article: str = Field(min_length=3)


@operation("legal/article")
def legal_article(connector: Connector, given: OneArticle) -> list[dict[str, Any]]:
    """Explain an article with its paragraphs: what it demands and how this connector holds to it, in sentences."""
    vocabulary, rules = connector.vocabulary, rule_book(connector.vocabulary)
    return [
        article.as_dict() | {"sentences": list(explain_article(article, rules, vocabulary))}
        for article in find_articles(given.article)
    ]

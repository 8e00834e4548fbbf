"""Keeps what the demo shows: each claim with its outcome, on the screen as it happens and in the report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console

from synthema.report import Actor, Chapter, Item, Outcome, Story


@dataclass
class Tale:
    """The story so far. ``claim`` records an outcome; one that does not hold makes the demo fail."""

    screen: Console
    chapters: list[Chapter] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)

    def chapter(self, title: str, *text: str) -> list[Item]:
        """Begin a chapter; what is appended to the returned list is shown in it."""
        self.screen.rule(f"[bold]{len(self.chapters) + 1}. {title}", align="left")
        for paragraph in text:
            self.screen.print(paragraph, style="dim", markup=False)
        items: list[Item] = []
        self.chapters.append(Chapter(title, text, ()))
        self._open = items
        return items

    def close_chapter(self) -> None:
        """Put the items of the last chapter in place."""
        last = self.chapters[-1]
        self.chapters[-1] = Chapter(last.title, last.text, tuple(self._open))

    def claim(self, sentence: str, shown: bool) -> None:  # noqa: FBT001 - reads as a statement and its truth
        """Record that a claim of the story holds, or does not."""
        outcome = Outcome(sentence, bool(shown))
        self.outcomes.append(outcome)
        self._open.append(outcome)
        self.screen.print("  [green]✓[/]" if shown else "  [bold red]✗[/]", end=" ")
        self.screen.print(sentence, markup=False)

    def say(self, sentence: str) -> None:
        """A sentence on the screen only."""
        self.screen.print(f"    {sentence}", markup=False)

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Show that something takes a while."""
        with self.screen.status(what):
            yield

    @property
    def failed(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if not outcome.shown]

    def story(self, title: str, subtitle: str, actors: tuple[Actor, ...]) -> Story:
        """The whole story as a report takes it."""
        return Story(title=title, subtitle=subtitle, actors=actors, chapters=tuple(self.chapters))

"""What reading a form needs everywhere: blocks of known keys, names of terms and things, plain values."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TypeVar

from synthema.errors import InputError, PolicyLoadError
from synthema.policy import phrases
from synthema.policy.form import Spot
from synthema.policy.model import ANY_DATASET, LawReference, Value
from synthema.policy.problems import Problems
from synthema.policy.values import parse_value
from synthema.policy.wellformed import is_iri
from synthema.vocabulary import PREFIXES, Datatype, Hierarchy, Vocabulary, expand

T = TypeVar("T")
U = TypeVar("U")

NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
_FEW = 20
"""So many terms are named where none is near; of more, the vocabulary is the place to look."""
ARTICLE = re.compile(r"[0-9]+[a-z]?(-[0-9]+)?(\([0-9a-z]+\))*")
"""An article as a form may cite it after the name of an act, e.g. ``9(2)(j)``."""


@dataclass(frozen=True, slots=True)
class Block:
    """The lines of a block, by their keys."""

    spot: Spot
    what: str
    keys: Mapping[str, Spot]
    values: Mapping[str, Spot]

    def __contains__(self, name: object) -> bool:
        return name in self.values

    def __getitem__(self, name: str) -> Spot:
        return self.values[name]


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads parts of a form and keeps what is wrong with them, so that reading goes on."""

    vocabulary: Vocabulary
    base: str
    problems: Problems

    # ── blocks ───────────────────────────────────────────────────────────────────────────────────────────────────

    def block(self, spot: Spot, known: Iterable[str], what: str) -> Block:
        """The lines of a block; unknown keys and keys that stand twice are kept as problems."""
        names = tuple(known)
        keys: dict[str, Spot] = {}
        values: dict[str, Spot] = {}
        seen: set[str] = set()
        for key, value in spot.pairs(f"the {what}"):
            name = self.problems.attempt(partial(key.name, seen), None)
            if name is None:
                continue
            if name not in names:
                self.problems.add(self._unknown_key(key, name, names, what))
            keys[name], values[name] = key, value
        return Block(spot, what, keys, values)

    def _unknown_key(self, key: Spot, name: str, names: tuple[str, ...], what: str) -> PolicyLoadError:
        plain = name.casefold()
        meant = phrases.OTHER_WORDS.get(plain)
        near = [meant] if meant in names else difflib.get_close_matches(plain, names, n=1, cutoff=0.5)
        if "when" in names and what != "duty" and self._like_a_condition(name):
            return key.error(f"a {what} has no '{name}'", "conditions stand below 'when:', indented further")
        fix = f"did you mean '{near[0]}'?" if near else f"use: {', '.join(names)}"
        return key.error(f"a {what} has no '{name}'", fix)

    def _like_a_condition(self, name: str) -> bool:
        plain = name.casefold()
        return plain in phrases.JOINTS or any(
            plain.endswith(f" {phrase}") and self.vocabulary.operand_terms.find(plain.removesuffix(phrase).strip())
            for phrase in phrases.ALL_PHRASES
        )

    def require(self, block: Block, names: Iterable[str]) -> None:
        """Keep as a problem each line that must be there and is not."""
        for name in names:
            if name not in block:
                self.problems.add(block.spot.error(f"the {block.what} lacks '{name}'", f"add a line '{name}: …'"))

    def take(self, block: Block, name: str, read: Callable[[Spot], T], absent: U) -> T | U:
        """What a line says; ``absent`` where there is no such line, or what it says is refused."""
        return self.problems.attempt(lambda: read(block[name]), absent) if name in block else absent

    def each(self, spots: Iterable[Spot], read: Callable[[Spot], T | None]) -> tuple[T, ...]:
        """What each entry says, those left out that are refused."""
        found = (self.problems.attempt(partial(read, spot), None) for spot in spots)
        return tuple(item for item in found if item is not None)

    def text(self, block: Block, name: str, absent: str = "") -> str:
        """The text of a line."""
        return self.take(block, name, lambda spot: spot.text(name), absent)

    # ── names ────────────────────────────────────────────────────────────────────────────────────────────────────

    def resolve(self, spot: Spot, text: str, scheme: Hierarchy) -> str:
        """The term a text names. A name with a prefix is an identifier and has to be exact."""
        prefix, colon, _ = text.partition(":")
        exact = not (colon and prefix.casefold() in PREFIXES) or expand(text) in scheme
        if exact:
            try:
                return scheme.resolve(text)
            except InputError as error:
                if "several terms" in error.message:
                    spot.fail(error.message, error.fix)
        near, names = scheme.nearest(text), [scheme.name(term.iri) for term in scheme]
        fix = f"use one of: {', '.join(names)}" if len(names) <= _FEW else "use a term of the pinned vocabulary"
        raise spot.error(f"'{text[:80]}' is not a known {scheme.kind}", f"did you mean '{near}'?" if near else fix)

    def iri(self, spot: Spot, text: str, kind: str) -> str:
        """The identifier a text names; short names become ``<base>/id/<kind>/<name>``, but not those of parties."""
        full = expand(text)
        if is_iri(full):
            return full
        if kind == "party" or not NAME.match(full):
            example = "did:web:site.example" if kind == "party" else f"{self.base}/id/{kind}/…"
            spot.fail(f"'{full[:60]}' does not name a {kind}", f"write its full identifier, e.g. {example}")
        return f"{self.base}/id/{kind}/{full}"

    def dataset(self, spot: Spot, text: str) -> str:
        """A dataset, a collection of datasets, or any dataset of this site."""
        plain = text.casefold()
        if plain in (phrases.ANY_DATASET_WORDS, "syn:anydataset"):
            return ANY_DATASET
        if plain.startswith(phrases.IN_COLLECTION):
            return self.iri(spot, text[len(phrases.IN_COLLECTION) :].strip(), "collection")
        if plain.startswith("any "):
            spot.fail(
                f"'{text[:60]}' does not name datasets",
                f"write '{phrases.ANY_DATASET_WORDS}', or '{phrases.IN_COLLECTION}…' with the name of a collection",
            )
        return self.iri(spot, text, "dataset")

    def party(self, spot: Spot, text: str) -> str:
        """A party, or a collection of parties."""
        if text.casefold().startswith(phrases.OF_COLLECTION):
            return self.iri(spot, text[len(phrases.OF_COLLECTION) :].strip(), "collection")
        return self.iri(spot, text, "party")

    def one_of(self, spot: Spot, known: Mapping[str, T], what: str) -> T:
        """The value of one of a few words."""
        text = spot.text(what)
        if text.casefold() not in known:
            near = difflib.get_close_matches(text.casefold(), known, n=1, cutoff=0.4)
            fix = f"did you mean '{near[0]}'?" if near else f"use one of: {', '.join(known)}"
            spot.fail(f"'{text}' is not a known {what}", fix)
        return known[text.casefold()]

    # ── values ───────────────────────────────────────────────────────────────────────────────────────────────────

    def value(self, spot: Spot, datatype: Datatype, what: str) -> Value:
        """A value of a simple datatype."""
        try:
            return parse_value(spot.text(what), datatype)
        except InputError as error:
            spot.fail(f"{what}: {error.message}", error.fix)

    def moment(self, spot: Spot) -> datetime | None:
        """A time; a day is its first moment."""
        value = self.value(spot, Datatype.DATE, "the date")
        return value if isinstance(value, datetime) else None

    def law(self, spot: Spot) -> tuple[LawReference, ...]:
        """The articles a policy or rule rests on."""
        return self.each(spot.items("law"), self._reference)

    def _reference(self, spot: Spot) -> LawReference | None:
        if spot.is_mapping:
            before = len(self.problems)
            block = self.block(spot, ("act", "article", "eli"), "law reference")
            self.require(block, ("act", "article", "eli"))
            act, article, eli = (self.text(block, key) for key in ("act", "article", "eli"))
            if eli and not is_iri(eli):
                block["eli"].fail(f"'{eli}' is not an identifier (IRI)", "write it like https://…")
            return LawReference(act, article, eli) if len(self.problems) == before else None
        text = spot.text("a law reference")
        for act, eli in phrases.ACTS.items():
            article = text.removeprefix(f"{act} ").strip()
            if text.startswith(f"{act} ") and ARTICLE.fullmatch(article):
                return LawReference(act, article, eli)
        raise spot.error(
            f"'{text}' is not a law reference that is understood",
            f"write one like 'GDPR 9(2)(j)' ({', '.join(phrases.ACTS)}), or a block with act, article and eli",
        )


def checked(spot: Spot, check: Callable[[], None]) -> None:
    """Run a check of meaning and put the place on what it refuses."""
    try:
        check()
    except PolicyLoadError as error:
        spot.fail(error.message, error.fix)

"""Reads YAML as positioned nodes, so that every complaint names the file and the line.

Only the plain part of YAML is taken: no tags, anchors, aliases or merge keys, no key
twice. Scalars stay text; what they mean is for the operand to say, not for YAML
(which would read ``1e-5`` as text and ``no`` as a truth value).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

import yaml

from synthema.errors import PolicyLoadError

MAX_BYTES = 256 * 1024
_DEEPEST = 400
# libyaml reads ten times as fast; a build of PyYAML without it has the slow reader only.
_QUICK: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Spot:
    """A node of a form and where it stands."""

    node: yaml.Node
    file: str

    @property
    def where(self) -> str:
        return f"{self.file}:{self.node.start_mark.line + 1}"

    def error(self, message: str, fix: str) -> PolicyLoadError:
        """The refusal of the whole file because of this spot."""
        return PolicyLoadError(message, fix=fix, where=self.where)

    def fail(self, message: str, fix: str) -> NoReturn:
        """Refuse the whole file because of this spot."""
        raise self.error(message, fix)

    def text(self, what: str) -> str:
        """The text of a scalar; refuses lists, mappings and empty values."""
        if not isinstance(self.node, yaml.ScalarNode):
            self.fail(f"{what} is not a single value", f"write one value for {what}")
        if not self.node.value.strip() or self.node.tag == "tag:yaml.org,2002:null":
            self.fail(f"{what} is empty", f"write {what}, or leave the line out")
        return " ".join(str(self.node.value).split())

    def items(self, what: str) -> tuple[Spot, ...]:
        """The entries of a list; a single value counts as a list of one."""
        if isinstance(self.node, yaml.SequenceNode):
            if not self.node.value:
                self.fail(f"{what} is an empty list", "name at least one, or leave the line out")
            return tuple(Spot(item, self.file) for item in self.node.value)
        return (self,)

    def listed(self, what: str) -> tuple[Spot, ...]:
        """The entries of a list; refuses anything else."""
        if not isinstance(self.node, yaml.SequenceNode):
            self.fail(f"{what} is not a list", "begin each entry with '- '")
        return self.items(what)

    def is_text(self, text: str) -> bool:
        """Whether this is exactly that text, in whatever case."""
        return isinstance(self.node, yaml.ScalarNode) and " ".join(self.node.value.split()).casefold() == text

    @property
    def is_list(self) -> bool:
        return isinstance(self.node, yaml.SequenceNode)

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.node, yaml.MappingNode)

    def pairs(self, what: str) -> tuple[tuple[Spot, Spot], ...]:
        """The keys and values of a mapping as they stand; a key may be no text, or stand twice."""
        if not isinstance(self.node, yaml.MappingNode):
            self.fail(f"{what} is not a block of 'key: value' lines", "indent the lines below it")
        return tuple((Spot(key, self.file), Spot(value, self.file)) for key, value in self.node.value)

    def name(self, seen: set[str]) -> str:
        """The text of a key, which is added to those seen; refuses one that was seen before."""
        name = self.text("a key")
        if name.casefold() in seen:
            self.fail(f"'{name}' stands twice", "write it once; for two conditions of one kind use 'all of'")
        seen.add(name.casefold())
        return name

    def entries(self, what: str) -> Iterator[tuple[Spot, str, Spot]]:
        """The entries of a mapping: key spot, key text, value spot; refuses a key that stands twice."""
        seen: set[str] = set()
        for key, value in self.pairs(what):
            yield key, key.name(seen), value


def read_form(text: str, file: str) -> Spot:
    """The root of a form; raises :class:`PolicyLoadError` on bad YAML or parts of YAML that are not taken."""
    if len(text.encode()) > MAX_BYTES:
        raise PolicyLoadError("the file is too large", where=file, fix=f"keep it below {MAX_BYTES // 1024} KiB")
    try:
        root = _composed(text, file)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise PolicyLoadError(
            f"not valid YAML: {error.problem}", where=f"{file}:{line}", fix="check indentation, colons and quotes"
        ) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise PolicyLoadError(f"not valid YAML: {error}", where=file, fix="send plain text in UTF-8") from error
    if root is None:
        raise PolicyLoadError("the file is empty", where=file, fix="start from a template in policies/templates")
    return Spot(root, file)


def _composed(text: str, file: str) -> yaml.Node | None:
    try:
        return _compose_with(_QUICK, text, file)
    except yaml.YAMLError:
        return _compose_with(yaml.SafeLoader, text, file)  # the slow reader says better what is wrong


def _compose_with(loader: type[yaml.SafeLoader], text: str, file: str) -> yaml.Node | None:
    depth = 0
    for event in yaml.parse(text, Loader=loader):
        _refuse_fancy(event, file)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise RecursionError("it is nested too deeply")  # libyaml itself has no limit
    root: yaml.Node | None = yaml.compose(text, Loader=loader)
    return root


def _refuse_fancy(event: yaml.Event, file: str) -> None:
    anchor = getattr(event, "anchor", None)
    tag = getattr(event, "tag", None)
    if anchor is not None or tag is not None:
        line = event.start_mark.line + 1 if event.start_mark else 1
        raise PolicyLoadError(
            "anchors, aliases and tags (&, *, !) are not taken", where=f"{file}:{line}", fix="write the text out"
        )

"""What a page is made of, as far as accessibility and safety can be read from its HTML."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "input", "br", "img", "hr"}


@dataclass
class Outline(HTMLParser):
    """Reads a page once; ``problems`` says in sentences what is not as it must be."""

    page: str
    levels: list[int] = field(default_factory=list)
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    unclosed: list[str] = field(default_factory=list)
    text: str = ""

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.unclosed.append(tag)
        if tag in {"h1", "h2", "h3", "h4"}:
            self.levels.append(int(tag[1]))

    def handle_endtag(self, tag: str) -> None:
        assert self.unclosed, f"</{tag}> closes nothing"
        assert self.unclosed[-1] == tag, f"</{tag}> closes <{self.unclosed[-1]}>"
        self.unclosed.pop()

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def problems(self) -> list[str]:
        return [*self._structure(), *self._fields(), *self._safety()]

    def _structure(self) -> list[str]:
        found = [] if self.all("html")[0].get("lang") == "en" else ["no language"]
        found += [f"<{tag}> is not closed" for tag in self.unclosed]
        found += [
            f"{len(self.all(tag))} <{tag}>" for tag in ("h1", "main", "header", "footer") if len(self.all(tag)) != 1
        ]
        steps = zip(self.levels, self.levels[1:], strict=False)
        found += [f"a heading {lower} follows a heading {upper}" for upper, lower in steps if lower > upper + 1]
        found += ["a <th> without scope" for th in self.all("th") if not th.get("scope")]
        found += ["a table without caption"] * (len(self.all("table")) - len(self.all("caption")))
        ids = [attributes["id"] for _, attributes in self.tags if attributes.get("id")]
        found += [f"id {name} stands twice" for name in set(ids) if ids.count(name) > 1]
        found += [
            f"{attributes[key]} is not there"
            for _, attributes in self.tags
            for key in ("aria-labelledby", "aria-describedby")
            for name in (attributes.get(key) or "").split()
            if name not in ids
        ]
        first_link = self.all("a")[0]
        return (
            found if first_link.get("href") == "#content" else [*found, "the first link does not skip to the content"]
        )

    def _fields(self) -> list[str]:
        labelled = {label.get("for") for label in self.all("label")}
        fields = [f for tag in ("input", "select", "textarea") for f in self.all(tag)]
        shown = [f for f in fields if f.get("type") != "hidden" and f.get("aria-hidden") != "true"]
        found = [f"field {f.get('name')} has no label" for f in shown if f.get("id") not in labelled]
        found += ["a meter without a name" for meter in self.all("meter") if not meter.get("aria-label")]
        posts = sum(form.get("method") == "post" for form in self.all("form"))
        marks = sum(field.get("name") == "form_mark" for field in self.all("input"))
        return found if posts == marks else [*found, f"{posts} forms are posted, {marks} carry the mark"]

    def _safety(self) -> list[str]:
        found = [f"<{tag}>" for tag, _ in self.tags if tag in {"script", "style", "iframe", "object", "embed", "base"}]
        for tag, attributes in self.tags:
            found += [f"{tag} has {name}" for name in attributes if name == "style" or name.startswith("on")]
            addresses = [attributes.get(name) or "" for name in ("href", "src", "action")]
            found += [f"{tag} leads to {a}" for a in addresses if a and not a.startswith(("/console", "#"))]
        return found

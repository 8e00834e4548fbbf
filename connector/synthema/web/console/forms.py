"""Reads what a browser's form sends: fields, and files of ``multipart/form-data`` (RFC 7578)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from typing import NoReturn
from urllib.parse import parse_qsl

from synthema.errors import InputError

MAX_FIELDS = 64
URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form, and its files by field name. A field that stands twice counts once, the last."""

    fields: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """The text of a field; empty when it was not sent."""
        return self.fields.get(name, "")


def read_form(content_type: str, body: bytes) -> Form:
    """The form in a request's body; raises :class:`InputError` when it is none."""
    header = Message()
    header["content-type"] = content_type
    kind = header.get_content_type() if content_type else ""
    if kind == URLENCODED:
        return Form(_urlencoded(body))
    boundary = header.get_param("boundary")
    if kind == MULTIPART and isinstance(boundary, str) and 0 < len(boundary) <= 70:
        return _multipart(body, boundary.encode("ascii", "replace"))
    raise InputError("this is no form", fix="send it from the console's page")


def _urlencoded(body: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError as error:
        raise InputError("the form cannot be read", fix="send it from the console's page") from error
    return dict(pairs)


def _multipart(body: bytes, boundary: bytes) -> Form:
    fields: dict[str, str] = {}
    files: dict[str, bytes] = {}
    for head, content in _parts(body, boundary):
        name = head.get_param("name", header="content-disposition")
        if head.get_content_disposition() != "form-data" or not isinstance(name, str):
            _refuse()
        if head.get_param("filename", header="content-disposition") is not None:
            files[name] = content
        else:
            fields[name] = _utf8(content)
    return Form(fields, files)


def _parts(body: bytes, boundary: bytes) -> Iterator[tuple[Message, bytes]]:
    """Headers and content of each part. Only exact boundary lines part them, so that a file may hold anything else."""
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary)
    if len(pieces) < 2 or not pieces[-1].startswith(b"--") or len(pieces) > MAX_FIELDS:
        _refuse()
    for piece in pieces[1:-1]:
        head, found, content = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        if not found or not piece.startswith(b"\r\n"):
            _refuse()
        yield _headers(head), content


def _headers(text: bytes) -> Message:
    message = Message()
    for line in _utf8(text).split("\r\n"):
        name, found, value = line.partition(":")
        if not found:
            _refuse()
        message[name.strip()] = value.strip()
    return message


def _utf8(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        _refuse()


def _refuse() -> NoReturn:
    raise InputError("the form cannot be read", fix="send it from the console's page")

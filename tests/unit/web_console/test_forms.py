"""Forms as browsers and attackers send them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthema.errors import InputError
from synthema.web.console.forms import MAX_FIELDS, read_form

URLENCODED = "application/x-www-form-urlencoded"


def multipart(boundary: str, *parts: bytes) -> bytes:
    limit = f"--{boundary}".encode()
    return b"".join(limit + b"\r\n" + part + b"\r\n" for part in parts) + limit + b"--\r\n"


def part(name: str, content: bytes, filename: str | None = None) -> bytes:
    more = f'; filename="{filename}"' if filename is not None else ""
    return f'Content-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + content


def test_fields_of_both_shapes() -> None:
    assert read_form(URLENCODED, b"a=%C3%BC+b&b=").fields == {"a": "ü b", "b": ""}
    form = read_form(
        "multipart/form-data; boundary=x", multipart("x", part("a", "ü".encode()), part("f", b"\x00", "n"))
    )
    assert (form.text("a"), form.files["f"], form.text("none")) == ("ü", b"\x00", "")


@given(st.binary(max_size=400))
def test_a_file_arrives_as_it_was_sent(content: bytes) -> None:
    boundary = "----boundary-that-no-file-holds"
    body = multipart(boundary, part("mark", b"m"), part("file", content, "x.zip"))
    form = read_form(f'multipart/form-data; boundary="{boundary}"', body)
    assert form.files["file"] == content
    assert form.text("mark") == "m"


@given(st.binary(max_size=200))
def test_no_body_is_more_than_refused(body: bytes) -> None:
    for kind in (URLENCODED, "multipart/form-data; boundary=x"):
        try:
            read_form(kind, body)
        except InputError:
            continue


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("", b"a=1"),
        ("text/plain", b"a=1"),
        ("multipart/form-data", b""),
        ("multipart/form-data; boundary=" + "x" * 71, b""),
        ("multipart/form-data; boundary=x", b"--y--"),
        ("multipart/form-data; boundary=x", b"--x\r\nno header\r\n\r\nv\r\n--x--"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\nv\r\n--x--"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: attachment; name="a"\r\n\r\nv\r\n--x--'),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\ncut'),
        ("multipart/form-data; boundary=x", multipart("x", part("a", b"\xff"))),
        ("multipart/form-data; boundary=x", multipart("x", *[part("a", b"v")] * (MAX_FIELDS + 1))),
        (URLENCODED, b"a=%FF"),
        (URLENCODED, b"\xff=1"),
        (URLENCODED, b"&".join([b"a=1"] * (MAX_FIELDS + 1))),
    ],
)
def test_what_is_no_form_is_refused(kind: str, body: bytes) -> None:
    with pytest.raises(InputError):
        read_form(kind, body)

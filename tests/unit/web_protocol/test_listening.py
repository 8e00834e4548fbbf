"""Where the server listens: nothing crosses a network without TLS by mistake."""

from __future__ import annotations

import pytest

from synthema.errors import InputError
from synthema.web.server import listening_address


@pytest.mark.parametrize(
    ("url", "listen", "expected"),
    [
        ("http://127.0.0.1:8101", None, ("127.0.0.1", 8101)),
        ("http://localhost", None, ("localhost", 80)),
        ("https://hospital.example", "127.0.0.1:8101", ("127.0.0.1", 8101)),
        ("http://hospital.example", "10.0.0.5:80", ("10.0.0.5", 80)),
    ],
)
def test_addresses(url: str, listen: str | None, expected: tuple[str, int]) -> None:
    assert listening_address(url, listen) == expected


@pytest.mark.parametrize("url", ["https://hospital.example", "http://hospital.example", "http://0.0.0.0:8101"])
def test_an_address_without_tls_is_refused_unless_a_proxy_is_named(url: str) -> None:
    with pytest.raises(InputError):
        listening_address(url, None)

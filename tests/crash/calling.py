"""A site's way to a coordinator in another process; one that does not answer is asked again."""

from __future__ import annotations

import ssl
import time

import httpx

from synthema.errors import PeerError


class Calling:
    """Over HTTP, or TLS where ``believed`` says whom to believe; asks for ``patience`` seconds before it gives up."""

    def __init__(self, url: str, me: str, patience: float, *, believed: ssl.SSLContext | None = None) -> None:
        self._url = f"{url}/{me}"
        self._patience = patience
        self._http = httpx.Client(verify=believed or True, trust_env=False, timeout=30.0 if believed else 10.0)

    def post(self, study_id: str, data: bytes) -> None:
        """Hand in one parcel."""
        answer = self._asked("POST", self._url, data)
        if not answer.is_success:
            raise PeerError(f"answered {answer.status_code}: {answer.text}", fix="look at the coordinator")

    def poll(self, study_id: str, after: int) -> bytes | None:
        """The next parcel, if there is one."""
        return self._asked("GET", f"{self._url}?after={after}").content or None

    def _asked(self, method: str, address: str, data: bytes | None = None) -> httpx.Response:
        end = time.monotonic() + self._patience
        while True:
            try:
                return self._http.request(method, address, content=data)
            except httpx.HTTPError as error:
                if time.monotonic() > end:
                    raise PeerError(f"no answer: {error}", fix="is it running?") from error
                time.sleep(0.05)

"""A data plane as a stranger would write it: Data Plane Signaling 1.0 over HTTP, with nothing of this house in it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse


@dataclass
class AnotherPlane:
    """Hands out one content to whoever has the token of a started flow. ``slow`` starts later, when told so."""

    secret: str
    url: str = ""
    content: bytes = b"rows of another plane"
    slow: bool = False
    flows: dict[str, dict[str, Any]] = field(default_factory=dict)
    heard: list[tuple[str, str]] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)

    def app(self) -> FastAPI:  # noqa: C901 - five addresses in one place
        app = FastAPI()

        @app.post("/signalling/dataflows/{verb}")
        async def open_(verb: str, request: Request) -> Response:
            if not self._known(request):
                return JSONResponse({"error": "who are you?"}, 401)
            message = await request.json()
            flow = message["dataFlowId"]
            self.heard.append((flow, verb))
            self.asked.append(message)
            if verb == "start" and flow in self.flows:
                return JSONResponse({"error": "this flow exists"}, 409)
            state = "PREPARED" if verb == "prepare" else "STARTING" if self.slow else "STARTED"
            self.flows[flow] = {"state": state, "token": secrets.token_urlsafe()}
            return JSONResponse(self._status(flow), 202 if state == "STARTING" else 200)

        @app.post("/signalling/dataflows/{flow}/{verb}")
        async def tell(flow: str, verb: str, request: Request) -> Response:
            if not self._known(request):
                return JSONResponse({"error": "who are you?"}, 401)
            self.heard.append((flow, verb))
            if flow not in self.flows:
                return Response(status_code=404)
            states = {"suspend": "SUSPENDED", "terminate": "TERMINATED", "completed": "COMPLETED"}
            self.flows[flow]["state"] = states.get(verb, "STARTED")
            if verb != "resume":
                return Response()
            message = await request.json()
            if "dataAddress" not in message:
                self.flows[flow]["token"] = secrets.token_urlsafe()
            return JSONResponse(self._status(flow))

        @app.get("/signalling/dataflows/{flow}/status")
        async def status(flow: str) -> Response:
            if flow not in self.flows:
                return Response(status_code=404)
            return JSONResponse({"dataFlowId": flow, "state": self.flows[flow]["state"]})

        @app.get("/data")
        async def data(request: Request) -> Response:
            token = request.headers.get("authorization", "").removeprefix("Bearer ")
            good = any(f["token"] == token and f["state"] == "STARTED" for f in self.flows.values())
            return Response(self.content) if good else Response(status_code=404)

        return app

    def _known(self, request: Request) -> bool:
        return request.headers.get("authorization") == f"Bearer {self.secret}"

    def _status(self, flow: str) -> dict[str, Any]:
        found = self.flows[flow]
        status = {"messageId": secrets.token_hex(8), "dataFlowId": flow, "state": found["state"]}
        if found["state"] != "STARTED":
            return status
        return status | {"dataAddress": self.address(flow)}

    def address(self, flow: str) -> dict[str, Any]:
        """Where the data of a flow are fetched."""
        return {
            "@type": "DataAddress",
            "endpointType": "https://w3id.org/dspace-sig/profile/http-pull",
            "endpoint": f"{self.url}/data",
            "endpointProperties": [
                {"@type": "EndpointProperty", "name": "authorization", "value": self.flows[flow]["token"]},
                {"@type": "EndpointProperty", "name": "authType", "value": "bearer"},
            ],
        }

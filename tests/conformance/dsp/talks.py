"""The four conversations of the kit: it consumes or provides, in a negotiation or a transfer.

A conversation has one verb for each message the kit sends, ``expecting`` for
those it waits for, and ``is_in`` for the state that the target tells. ``refused``
marks a message that the target must turn away. Nothing pauses between hearing
and speaking (the kit does, a little), so that messages cross as closely as they can.
"""

from __future__ import annotations

import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from tests.conformance.dsp.kit import MOMENT, WAIT, Json, Kit, message
from tests.conformance.dsp.seeds import FORMAT, KIT, POLICY, offer_ids
from tests.conformance.dsp.target import NEGOTIATIONS, TRANSFERS

_NAMED = "[^/]+"


class Talk(ABC):
    """What all conversations share: two identifiers, and the target's address for this process."""

    kind: str
    termination: str

    def __init__(self, kit: Kit, name: str) -> None:
        self.kit = kit
        self.name = name
        self.ear = kit.ear()
        self.callback = kit.base
        self.ours = f"urn:uuid:{uuid4()}"
        self.theirs = ""

    @property
    @abstractmethod
    def pids(self) -> Json:
        """``providerPid`` and ``consumerPid``."""

    @contextlib.contextmanager
    def expecting(self, path: str) -> Iterator[None]:
        """Open an ear for a message before the block, and wait for it afterwards."""
        expectation = self.ear.expect(f"/{self.kind}/{_NAMED}/{path}")
        yield
        self._check(expectation.wait())

    def await_(self, path: str) -> None:
        """Wait for a message that the target sends of its own accord."""
        with self.expecting(path):
            pass

    def terminate(self, *, refused: bool = False) -> None:
        """End the process."""
        self._say("termination", message(self.termination, **self.pids, code="1", reason=["enough"]), refused)

    def is_in(self, state: str) -> None:
        """The target tells this state, at the latest after the kit's patience.

        The kit gives a negotiation a tenth of a second; a busy machine may take longer here.
        """
        deadline = time.monotonic() + WAIT
        while True:
            time.sleep(MOMENT)
            told = self.kit.get(f"{self.callback}/{self.kind}/{self.theirs}")
            if told["state"] == state or time.monotonic() > deadline:
                break
        assert told["state"] == state, f"the target is in {told['state']}, not in {state}"
        assert {key: told[key] for key in self.pids} == self.pids

    def _check(self, heard: Json) -> None:
        assert {key: heard[key] for key in self.pids} == self.pids, "the message is about another process"

    def _say(self, path: str, body: Json, refused: bool) -> None:
        self.kit.post(f"{self.callback}/{self.kind}/{self.theirs}/{path}", body, refused=refused)


class Consuming(Talk):
    """The kit consumes, the target provides."""

    @property
    def pids(self) -> Json:
        return {"providerPid": self.theirs, "consumerPid": self.ours}

    def _open(self, type_: str, **fields: Any) -> None:
        body = message(type_, consumerPid=self.ours, callbackAddress=self.ear.address, **fields)
        opened = self.kit.post(f"{self.callback}/{self.kind}/request", body)
        assert (opened["state"], opened["consumerPid"]) == ("REQUESTED", self.ours)
        self.theirs = opened["providerPid"]


class Providing(Talk):
    """The kit provides, the target consumes; a webhook makes it begin."""

    @property
    def pids(self) -> Json:
        return {"providerPid": self.ours, "consumerPid": self.theirs}

    def _begin(self, webhook: str, answer: str, **fields: str) -> Json:
        def acknowledge(request: Json) -> Json:
            self.theirs, self.callback = request["consumerPid"], request["callbackAddress"].rstrip("/")
            return message(answer, **self.pids, state="REQUESTED")

        expected = self.ear.expect(f"/{self.kind}/request", acknowledge)
        self.kit.trigger(webhook, providerId=KIT, connectorAddress=self.ear.address, **fields)
        return expected.wait()


class Negotiating(Talk):
    """What both parts of a negotiation share."""

    kind = "negotiations"
    termination = "ContractNegotiationTerminationMessage"

    @property
    def offer(self) -> Json:
        return {"@type": "Offer", "@id": offer_ids(self.name)[0], "target": self.name, **POLICY}

    def _event(self, event: str, refused: bool) -> None:
        self._say("events", message("ContractNegotiationEventMessage", **self.pids, eventType=event), refused)


class ConsumerNegotiation(Consuming, Negotiating):
    """The kit negotiates as consumer; ``name`` is a dataset."""

    def request(self) -> None:
        self._open("ContractRequestMessage", offer=self.offer)

    def counter(self, *, refused: bool = False) -> None:
        body = message("ContractRequestMessage", **self.pids, offer=self.offer)
        self._say("request", body, refused)

    def accept(self) -> None:
        self._event("ACCEPTED", refused=False)

    def verify(self, *, refused: bool = False) -> None:
        self._say("agreement/verification", message("ContractAgreementVerificationMessage", **self.pids), refused)


class ProviderNegotiation(Providing, Negotiating):
    """The kit negotiates as provider; ``name`` is a dataset of the kit's."""

    def initiate(self) -> None:
        offer, _ = offer_ids(self.name)
        request = self._begin(NEGOTIATIONS, "ContractNegotiation", datasetId=self.name, offerId=offer)
        assert (request["offer"]["@id"], request["offer"]["target"]) == (offer, self.name)

    def make_offer(self, *, refused: bool = False) -> None:
        parties = {"assigner": KIT, "assignee": "the target"}
        self._say("offers", message("ContractOfferMessage", **self.pids, offer=self.offer | parties), refused)

    def agree(self, *, refused: bool = False) -> None:
        agreement = {
            **self.offer,
            "@type": "Agreement",
            "@id": str(uuid4()),
            "assigner": KIT,
            "assignee": "the target",
            "timestamp": datetime.now(UTC).isoformat(),
        }
        self._say("agreement", message("ContractAgreementMessage", **self.pids, agreement=agreement), refused)

    def finalise(self, *, refused: bool = False) -> None:
        self._event("FINALIZED", refused)


class Transferring(Talk):
    """What both parts of a transfer share."""

    kind = "transfers"
    termination = "TransferTerminationMessage"

    def start(self, *, refused: bool = False) -> None:
        self._say("start", message("TransferStartMessage", **self.pids, **self._address()), refused)

    def suspend(self, *, refused: bool = False) -> None:
        body = message("TransferSuspensionMessage", **self.pids, code="1", reason=["a pause"])
        self._say("suspension", body, refused)

    def complete(self, *, refused: bool = False) -> None:
        self._say("completion", message("TransferCompletionMessage", **self.pids), refused)

    def _address(self) -> Json:
        return {}


class ConsumerTransfer(Consuming, Transferring):
    """The kit takes; ``name`` is an agreement under which the target provides."""

    def request(self) -> None:
        self._open("TransferRequestMessage", agreementId=self.name, format=FORMAT)

    def _check(self, heard: Json) -> None:
        super()._check(heard)
        if heard["@type"] == "TransferStartMessage":
            assert heard["dataAddress"]["endpoint"], "a pull needs to know from where"


class ProviderTransfer(Providing, Transferring):
    """The kit gives; ``name`` is an agreement under which the target consumes."""

    def initiate(self) -> None:
        request = self._begin(TRANSFERS, "TransferProcess", agreementId=self.name, format=FORMAT)
        assert (request["agreementId"], request["format"]) == (self.name, FORMAT)

    def _address(self) -> Json:
        endpoint = {"endpoint": "http://example.com", "endpointType": "https://w3id.org/idsa/v4.1/HTTP"}
        return {"dataAddress": {"@type": "DataAddress", **endpoint}}

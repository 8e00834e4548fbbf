"""The messages between a control plane and its data planes (Data Plane Signaling 1.0-RC3).

The control plane is this connector's side of the Dataspace Protocol: it negotiates and says what may flow. A data
plane moves the bytes, or computes. Both built-in planes take the same messages as one that is attached over HTTP, so
that nothing about a flow is known in one way inside the house and in another outside.

Source: Data Plane Signaling 1.0-RC3, signaling.md, "Data Flow API".
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Final, TypeVar

from pydantic import Field, ValidationError

from synthema.dataspace.messages import DataAddress, Part, Pid
from synthema.errors import ConflictError, InputError
from synthema.ids import new_id

S = TypeVar("S", bound=Part)
Text = Annotated[str, Field(max_length=4000)]


class FlowState(StrEnum):
    """Where a data flow stands; the names are those of the specification."""

    INITIALIZED = "INITIALIZED"
    PREPARING = "PREPARING"
    PREPARED = "PREPARED"
    STARTING = "STARTING"
    STARTED = "STARTED"
    SUSPENDED = "SUSPENDED"
    COMPLETED = "COMPLETED"
    TERMINATED = "TERMINATED"


ENDED: Final = frozenset({FlowState.COMPLETED, FlowState.TERMINATED})

FOLLOWS: Final[Mapping[FlowState, frozenset[FlowState]]] = {
    FlowState.INITIALIZED: frozenset(
        {FlowState.PREPARING, FlowState.PREPARED, FlowState.STARTING, FlowState.STARTED, FlowState.TERMINATED}
    ),
    FlowState.PREPARING: frozenset({FlowState.PREPARED, FlowState.TERMINATED}),
    FlowState.PREPARED: frozenset({FlowState.STARTING, FlowState.STARTED, FlowState.TERMINATED}),
    FlowState.STARTING: frozenset({FlowState.STARTED, FlowState.TERMINATED}),
    FlowState.STARTED: frozenset({FlowState.SUSPENDED, FlowState.COMPLETED, FlowState.TERMINATED}),
    FlowState.SUSPENDED: frozenset({FlowState.STARTED, FlowState.TERMINATED}),
    FlowState.COMPLETED: frozenset(),
    FlowState.TERMINATED: frozenset(),
}
"""The whole life of a data flow: state → the states that may follow. What is not listed cannot happen."""


def follow(before: FlowState, after: FlowState) -> FlowState:
    """The state after, if it may follow; the same state again changes nothing. Raises :class:`ConflictError`."""
    if after is not before and after not in FOLLOWS[before]:
        raise ConflictError(
            f"a data flow that is {before} does not become {after}", fix="look at the state of the transfer"
        )
    return after


class Signal(Part):
    """What every signal carries: an identifier of its own."""

    message_id: Pid = Field(default_factory=lambda: new_id("message"), alias="messageId")


class _FlowMessage(Signal):
    """What a flow is about: who with whom, under which agreement, which dataset, in which way."""

    participant_id: Pid = Field(alias="participantId")
    counter_party_id: Pid = Field(alias="counterPartyId")
    dataspace_context: Pid = Field(alias="dataspaceContext")
    data_flow_id: Pid = Field(alias="dataFlowId")
    agreement_id: Pid = Field(alias="agreementId")
    dataset_id: Pid = Field(alias="datasetId")
    profile: Pid
    claims: dict[str, Any]
    labels: list[str] | None = None
    metadata: dict[str, Any] | None = None


class DataFlowPrepareMessage(_FlowMessage):
    """To a consumer's data plane: get ready, before the provider is asked."""


class DataFlowStartMessage(_FlowMessage):
    """To a provider's data plane: let the data flow, or begin the computation."""

    data_address: DataAddress | None = Field(default=None, alias="dataAddress")


class DataFlowStartedNotificationMessage(Signal):
    """To a consumer's data plane: the provider has started; for a pull, from where to fetch."""

    data_address: DataAddress | None = Field(default=None, alias="dataAddress")


class DataFlowSuspendMessage(Signal):
    """Stop for now."""

    reason: Text | None = None


class DataFlowResumeMessage(Signal):
    """Go on: at the address given, or at a new one where none is given."""

    data_address: DataAddress | None = Field(default=None, alias="dataAddress")


class DataFlowTerminateMessage(Signal):
    """Stop for good."""

    reason: Text | None = None


class DataFlowStatusMessage(Signal):
    """A data plane's answer, or its call back: how the flow stands, and where its data are."""

    data_flow_id: Pid = Field(alias="dataFlowId")
    state: FlowState = Field(strict=False)
    data_address: DataAddress | None = Field(default=None, alias="dataAddress")
    error: Text | None = None


class DataFlowStatusResponseMessage(Part):
    """A data plane's answer to the question how a flow stands."""

    data_flow_id: Pid = Field(alias="dataFlowId")
    state: FlowState = Field(strict=False)


def read_signal(model: type[S], value: Any) -> S:
    """A signal from parsed JSON; raises :class:`InputError` naming the first field that is wrong."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or model.__name__
        raise InputError(
            f"{field}: {first['msg']}", where=field, fix=f"send a {model.__name__} of Data Plane Signaling 1.0"
        ) from error

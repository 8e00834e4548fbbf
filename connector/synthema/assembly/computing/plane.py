"""The data plane for computations: to start a flow is to ask the policies for a run, to stop it is to end that run.

There is no way round the governor: the agreement is the request's basis, so that its policy (L4) decides together with
the law, the site and the dataset. What comes out is released by the same checks as the site's own runs, and fetched by
a pull under the same agreement. Nothing half done is kept over a suspension: the run ends, and going on asks anew.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from synthema.assembly.computing import store
from synthema.assembly.computing.order import ComputeOrder, read_order
from synthema.assembly.computing.store import Computation
from synthema.assembly.participation import Participation
from synthema.assembly.plans import read_plan
from synthema.dataspace import COMPUTE
from synthema.dataspace.dataplane import (
    ControlPlane,
    DataFlowPrepareMessage,
    DataFlowResumeMessage,
    DataFlowStartedNotificationMessage,
    DataFlowStartMessage,
    DataFlowStatusMessage,
    DataFlowSuspendMessage,
    DataFlowTerminateMessage,
    FlowState,
)
from synthema.dataspace.dataplane.watch import Watch
from synthema.dataspace.messages import DataAddress
from synthema.dataspace.model import NS
from synthema.errors import ConflictError, DeniedError, NotFoundError, SynthemaError
from synthema.ids import new_id
from synthema.runs import execute
from synthema.runs.governor import Governor
from synthema.runs.model import FINAL_STATES, RunRequest, RunState
from synthema.runs.store import RunRecord, artefacts_of

WORKERS: Final = 2
ENDPOINT_TYPE: Final = NS + "Computation"
_log = logging.getLogger(__name__)


class ComputePlane:
    """Runs named studies for consumers. ``address`` is where they look how their computations stand."""

    profiles = (COMPUTE,)
    consumes = False

    def __init__(self, governor: Governor, participation: Participation, address: str) -> None:
        self._governor = governor
        self._participation = participation
        self._rooms = governor.rooms
        self._address = address
        self._control: ControlPlane | None = None
        self._policies: dict[str, str] = {}
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="computing")
        self._watch = Watch(self._rooms.database, self.look, "computations")

    # life ----------------------------------------------------------------------------------

    def attach(self, control: ControlPlane) -> None:
        self._control = control

    def begin(self) -> None:
        """Begin to watch over the computations, first of all those a former life left behind."""
        self._watch.start()

    def close(self) -> None:
        """Stop; runs under way end with the connector. At its next start they fail, but for those in rounds."""
        self._watch.stop()
        self._workers.shutdown(wait=False, cancel_futures=True)

    # signals -------------------------------------------------------------------------------

    def prepare(self, message: DataFlowPrepareMessage) -> DataFlowStatusMessage:
        """A consumer of computations needs nothing to be ready."""
        return DataFlowStatusMessage(data_flow_id=message.data_flow_id, state=FlowState.PREPARED)

    def start(self, message: DataFlowStartMessage) -> DataFlowStatusMessage:
        """Ask for the run that the transfer orders, and begin it if it is permitted."""
        order = read_order((message.metadata or {}).get("parameters") or {})
        known = self._known(message.data_flow_id)
        if known is not None:  # asked again after a crash: the run it had is the run it has
            self._require_going(known)
            return self._started(message.data_flow_id)
        now = self._rooms.clock.now()
        computation = Computation(
            message.data_flow_id, order.title, message.agreement_id, message.counter_party_id, new_id("run"),
            order.plan is not None, now,
        )  # fmt: skip
        self._ask(computation, order, message.dataset_id)
        return self._started(message.data_flow_id)

    def started(self, flow: str, message: DataFlowStartedNotificationMessage) -> None:
        """The consumer looks when it wants to."""

    def suspend(self, flow: str, message: DataFlowSuspendMessage) -> None:
        """End the run: half a computation is worth nothing, and nobody may wait with data open."""
        self._stop(flow, f"the transfer was suspended: {message.reason or 'no reason was given'}")

    def resume(self, flow: str, message: DataFlowResumeMessage) -> DataFlowStatusMessage:
        """Ask anew, from the beginning, for what was suspended."""
        computation = self._computation(flow)
        if computation.rounds:
            raise DeniedError(
                "this site left the rounds of the study and cannot come back into them", fix="begin the study anew"
            )
        former = self._governor.run(computation.run).request
        again = replace(computation, run=new_id("run"), begun=self._rooms.clock.now(), ended=None)
        self._run(again, former.model_copy(update={"id": again.run}))
        return self._started(flow)

    def terminate(self, flow: str, message: DataFlowTerminateMessage) -> None:
        """End the run without a result."""
        self._stop(flow, f"the transfer was ended: {message.reason or 'no reason was given'}")

    def completed(self, flow: str) -> None:
        """The run has ended before; there is nothing to do."""

    # what consumers may look at --------------------------------------------------------------

    def shown_to(self, caller: str, transfer: str) -> dict[str, Any]:
        """How a computation stands, for the party that ordered it; raises :class:`NotFoundError` for all others."""
        computation = self._computation(transfer)
        if computation.requester != caller:
            raise NotFoundError("there is no such computation", fix="use the identifier of your own transfer")
        record = self._record(computation)
        with self._rooms.database.read() as connection:
            files = artefacts_of(connection, computation.run)
        return {
            "title": computation.title,
            "state": "requested" if record is None else str(record.state),
            "reason": None if record is None or record.reason is None else self._said(computation, record),
            "study": None if record is None else record.request.study,
            "artefacts": [file.model_dump() for file, state in files if state == "released" and not computation.rounds],
        }

    # beginning -------------------------------------------------------------------------------

    def _ask(self, computation: Computation, order: ComputeOrder, dataset: str) -> None:
        name = dataset.rpartition("/")[2]
        if dataset != self._rooms.log.iri("dataset", name):
            raise NotFoundError("the agreement is not about a dataset here", fix="take a dataset of the catalogue")
        if order.plan is not None:
            self._take_part(computation, order.plan)
            return
        request = order.request(computation.run, computation.requester, name, computation.agreement)
        execute.check(request)
        self._run(computation, request)

    def _run(self, computation: Computation, request: RunRequest) -> None:
        request = self._governor.pinned(request)
        self._rooms.database.write(lambda connection: store.keep(connection, computation))
        answer = self._governor.request(request)
        if answer.grant is None:
            self._finish(computation)
            raise DeniedError(
                " ".join((*answer.decision.sentences(), *answer.notes))[:2000],
                fix="change what the sentences name, or talk to the provider's data protection officer",
            )
        grant = answer.grant
        self._workers.submit(self._execute, lambda: execute.run(self._governor, grant, request), request.id)

    def _take_part(self, computation: Computation, plan: dict[str, Any]) -> None:
        """Take part in a study between sites, as if its hub had invited this site."""
        study = read_plan({"plan": plan})
        ours = [member for member in study.members if member.did == self._rooms.settings.did]
        if [member.agreement for member in ours] != [computation.agreement]:
            raise DeniedError("the plan does not rest on the agreement of this transfer", fix="name it in the plan")
        answer = self._participation.invited(computation.requester, study)
        if answer["effect"] != "permit":
            raise DeniedError(" ".join(answer["sentences"])[:2000], fix="ask the site")
        joined = replace(computation, run=str(answer["run"]))
        self._rooms.database.write(lambda connection: store.keep(connection, joined))

    def _execute(self, work: Callable[[], object], run: str) -> None:
        try:
            work()
        except SynthemaError as error:
            self._governor.give_up(run, error)
        except Exception as fault:  # noqa: BLE001 - a fault must not leave the run open
            _log.exception("a computation broke")
            self._governor.give_up(run, fault)

    # ending ----------------------------------------------------------------------------------

    def _stop(self, flow: str, reason: str) -> None:
        computation = self._known(flow)
        if computation is None:
            return
        self._finish(computation)  # first, so that its end is not told as one it came to by itself
        with suppress(ConflictError, NotFoundError):  # it has ended before, or was never asked for
            self._governor.at_work.stop(self._governor, computation.run, reason)

    def look(self) -> None:
        """Tell the control plane which computations have ended; end those that are not permitted any more."""
        with self._rooms.database.read() as connection:
            open_ = store.unfinished(connection)
        for computation in open_:
            record = self._record(computation)
            if record is None or record.state is RunState.DENIED:
                continue  # who asked for it is about to say so
            if record.state in FINAL_STATES:
                self._tell(computation, record)
            else:
                self._stop_unless_permitted(record)

    def _tell(self, computation: Computation, record: RunRecord) -> None:
        assert self._control is not None  # noqa: S101 - attached before anything begins
        try:
            if record.state is RunState.RELEASED:
                self._control.flow_completed(computation.transfer)
            else:
                self._control.flow_errored(computation.transfer, self._said(computation, record))
        except (ConflictError, NotFoundError):
            return  # the counterparty does not know of the start yet: looked at again when it does
        self._finish(computation)

    def _said(self, computation: Computation, record: RunRecord) -> str:
        """Why a run ended, for the party that ordered it; of a study between sites only what this site tells."""
        reason = record.reason or f"the run was {record.state}"
        return self._participation.told(DeniedError(reason, fix="ask the site")) if computation.rounds else reason

    def _stop_unless_permitted(self, record: RunRecord) -> None:
        """Decide again when policies came or went; whatever else ends a run ends it through the governor itself."""
        request = record.request
        try:
            name = self._rooms.datasets.version(request.dataset).name
            target = self._rooms.log.iri("dataset", name)
            policies = self._rooms.policies.compiled(target, request.agreement).digest
            if self._policies.setdefault(record.id, str((record.decision or {}).get("policy_digest"))) == policies:
                self._require_in_force(request)
                return
            self._governor.require_still_permitted(record.id)
            self._policies[record.id] = policies
        except SynthemaError as refusal:
            with suppress(ConflictError):
                self._governor.at_work.stop(self._governor, record.id, refusal.message)

    def _require_in_force(self, request: RunRequest) -> None:
        ended = self._rooms.permits.ended(request.agreement, self._rooms.clock.now())
        if ended is not None:
            raise DeniedError(ended, fix="nothing more comes out of this run")

    def _require_going(self, computation: Computation) -> None:
        record = self._record(computation)
        if record is None or (record.state in FINAL_STATES and record.state is not RunState.RELEASED):
            raise ConflictError(
                f"the run has ended: {(record and record.reason) or 'the connector stopped before it began'}",
                fix="order the computation again",
            )

    # helpers -----------------------------------------------------------------------------------

    def _started(self, flow: str) -> DataFlowStatusMessage:
        address = DataAddress(endpoint_type=ENDPOINT_TYPE, endpoint=f"{self._address}/{flow}")
        return DataFlowStatusMessage(data_flow_id=flow, state=FlowState.STARTED, data_address=address)

    def _record(self, computation: Computation) -> RunRecord | None:
        try:
            return self._governor.run(computation.run)
        except NotFoundError:
            return None

    def _known(self, flow: str) -> Computation | None:
        with self._rooms.database.read() as connection:
            return store.find(connection, flow)

    def _computation(self, flow: str) -> Computation:
        with self._rooms.database.read() as connection:
            return store.get(connection, flow)

    def _finish(self, computation: Computation) -> None:
        self._policies.pop(computation.run, None)
        now = self._rooms.clock.now()
        self._rooms.database.write(lambda connection: store.finish(connection, computation.transfer, now))

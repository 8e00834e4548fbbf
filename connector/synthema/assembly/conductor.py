"""A hub conducts a study: agreements, plan, orders, rounds, quarantine, evidence, release, certificate.

Each site is ordered to compute by a transfer of the format ``Synthema-Compute`` under its agreement
(Dataspace Protocol), and decides alone; the study goes on with those who permit it, as long as they are
enough. The hub holds no patient data. What it makes from the opened sums stays in
quarantine until every site whose data are in it has measured it inside and signed what it found;
one missing or failing site and it is withheld.

A hub that stops or is killed goes on at its next start with the orders and the rounds that were under way, and with
the evidence on a candidate in quarantine.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection

from synthema.assembly import study_store as store
from synthema.assembly.candidates import kept_candidate
from synthema.assembly.endings import ENDINGS
from synthema.assembly.engines import HubEngine
from synthema.assembly.gathering import Gathering, against
from synthema.assembly.hub_acts import HubActs, Vouched
from synthema.assembly.ordering import Orders
from synthema.assembly.problems import input_error
from synthema.assembly.publication import Publication, certificate_content
from synthema.assembly.reporting import make_report, proof_of, publish_report
from synthema.assembly.shelf import Shelf
from synthema.assembly.study_store import ConductedStudy, ConductState
from synthema.assembly.trust import Trust
from synthema.canonical import digest_bytes
from synthema.certification import (
    CertificateRecord,
    candidate_iri,
)
from synthema.datasets.codebook import Codebook
from synthema.datasets.seal import write_durably
from synthema.dataspace import Dataspace, PeerClient
from synthema.errors import DeniedError, IntegrityError, NotFoundError, PeerError, PluginError, SynthemaError
from synthema.federation import Closing, Coordinator, StudyFile, StudyPlan, StudyResult
from synthema.ids import new_id
from synthema.provenance import Activity, Agent, Entity
from synthema.runs.formats import table_bytes
from synthema.runs.governor import Governor
from synthema.runs.release import DecidedAct
from synthema.runs.rooms import Rooms
from synthema.runs.sandbox import Session
from synthema.spi.model import Generated

NEGOTIATION_SECONDS = 60.0


class Conductor:
    """The studies this hub conducts; each in a thread of its own, its state in the database."""

    def __init__(
        self,
        rooms: Rooms,
        governor: Governor,
        dataspace: Dataspace,
        peers: PeerClient,
        coordinator: Coordinator,
        trust: Trust,
        shelf: Shelf,
        acts: HubActs,
        *,
        engine: HubEngine,
    ) -> None:
        self._rooms = rooms
        self.engine = engine
        self._acts = acts
        self._dataspace = dataspace
        self._peers = peers
        self._coordinator = coordinator
        self._trust = trust
        self._governor = governor
        self._orders = Orders(dataspace, peers)
        self._publication = Publication(rooms, governor, trust, shelf)
        self._closing = threading.Event()
        self._evidence = Gathering(rooms, peers, trust.resolver, self.study, self._note, self._closing)
        self._workers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="conductor")

    # asked from outside ------------------------------------------------------------------

    def start(self, study: StudyFile, codebook: Codebook) -> str:
        """Begin a study in the background and return its id. ``codebook`` is that of the sites' datasets."""
        if self._rooms.settings.role != "hub":
            raise DeniedError("only a hub conducts studies", fix="ask the hub of your data space")
        self.engine.require()
        identifier = new_id("study")
        now = self._rooms.clock.now()
        document = study.model_dump(mode="json")
        self._rooms.database.write(lambda c: store.insert_study(c, identifier, study.title, document, now))
        self._workers.submit(self._guarded, identifier, self._conduct, identifier, study, codebook)
        return identifier

    def study(self, identifier: str) -> ConductedStudy:
        """A study as it stands; raises :class:`NotFoundError`."""
        with self._rooms.database.read() as connection:
            return store.find_study(connection, identifier)

    def studies(self) -> list[ConductedStudy]:
        """All studies, newest first."""
        with self._rooms.database.read() as connection:
            return store.all_studies(connection)

    def candidate(self, identifier: str, caller: str) -> bytes:
        """The quarantined rows, for the sites that measure them; raises :class:`NotFoundError` for all others."""
        study = self.study(identifier)
        members = {member["did"] for member in (study.plan or {}).get("members", [])}
        if caller not in members or study.state is not ConductState.QUARANTINED:
            raise NotFoundError("there is no such candidate", fix="ask while the study is in quarantine")
        return self._file(identifier).read_bytes()

    def publish_again(self, record: CertificateRecord) -> str:
        """Offer a released dataset with its certificate as it is signed now; returns the digest of the new package."""
        for study in self.studies():
            result = study.result or {}
            if result.get("certificate") == record.id and study.plan is not None:
                plan = StudyPlan.model_validate(study.plan)
                package = self._publication.publish_again(plan, result["package"], record)
                told = result | {"package": package, "document": record.document}
                self._note(study.id, {"kind": "countersigned", "text": "signed by a second person"}, result=told)
                return package
        raise NotFoundError("no study here made this certificate", fix="sign a certificate of this hub")

    def recover(self) -> None:
        """After a restart: orders, rounds and candidates in quarantine go on; a study without a plan has failed."""
        going_on = set()
        for study in self.studies():
            if study.state in store.FINAL:
                continue
            work = self._work_left(study.state)
            if study.plan is not None and work is not None:
                going_on.add(study.id)
                self._workers.submit(self._guarded, study.id, work, StudyPlan.model_validate(study.plan))
            else:
                reason = "the hub stopped while the study was under way"
                self._coordinator.abandon(study.id, reason)
                self._end(study.id, ConductState.FAILED, reason)
        for folder in self._studies.glob("*"):  # of ended studies: the hub was killed before it deleted them
            if folder.name not in going_on:
                shutil.rmtree(folder)

    def _work_left(self, state: ConductState) -> Callable[[StudyPlan], None] | None:
        """How a study in this state goes on; None where it cannot."""
        if state is ConductState.QUARANTINED:
            return self._take_up_candidate
        return self._take_up if state in (ConductState.INVITING, ConductState.RUNNING) else None

    def close(self) -> None:
        """Stop; studies under way go on at the next start."""
        self._closing.set()
        self._coordinator.close()
        self.engine.close()
        self._workers.shutdown(wait=False, cancel_futures=True)

    # the way of a study --------------------------------------------------------------------

    def _guarded(self, identifier: str, work: Callable[..., None], *given: Any) -> None:
        """Do a study's work in this thread; whatever ends it is written down, unless the hub stops."""
        try:
            work(*given)
        except Closing:
            return
        except SynthemaError as error:
            if not self._closing.is_set():
                self._coordinator.abandon(identifier, error.message)
                self._end(identifier, ConductState.FAILED, error.message)
        except Exception:
            if not self._closing.is_set():
                self._end(identifier, ConductState.FAILED, "an internal fault; see the server's log")
            raise

    def _conduct(self, identifier: str, study: StudyFile, codebook: Codebook) -> None:
        if study.catalogue is not None:
            study = study.with_sites(self._orders.sites_for(study.catalogue))
        agreements = {site.did: self._agreement(identifier, site.did, site.dataset) for site in study.sites}
        with self._session(identifier, study.plugins) as session:
            plan = self._plan(identifier, study, codebook, agreements, session)
            made = self._compute(plan, session)
        self._bring_out(plan, made)

    def _take_up(self, plan: StudyPlan) -> None:
        """Go on with a study after a restart, from its orders or from the round that was open."""
        self._note(plan.id, {"kind": "resumed", "text": "the hub was restarted and goes on where it was"})
        with self._session(plan.id, [use.plugin for use in plan.uses]) as session:
            made = self._compute(plan, session)
        self._bring_out(plan, made)

    def _take_up_candidate(self, plan: StudyPlan) -> None:
        """Go on with a candidate in quarantine after a restart; one that is not as it was made is withheld."""
        self._note(plan.id, {"kind": "resumed", "text": "the hub was restarted and goes on with the candidate"})
        result = self._coordinator.result(plan.id)
        try:
            content = kept_candidate(self._file(plan.id), self.study(plan.id).candidate)
        except IntegrityError as error:
            self._end(plan.id, ConductState.STOPPED, error.message)
            return
        if result is None:
            self._end(plan.id, ConductState.STOPPED, "what the rounds came to is not here any more")
            return
        self._release_or_stop(plan, result, content)

    def _session(self, identifier: str, names: Sequence[str]) -> Session:
        plugins = [self._rooms.plugins.require(name) for name in names]
        return self._rooms.sandbox.open_session(plugins, self._folder(identifier) / "work")

    def _compute(self, plan: StudyPlan, session: Session) -> tuple[StudyResult, bytes] | None:
        """Order, run the rounds, and make what comes of the sums; None where the study has ended."""
        if not self._coordinator.knows(plan.id):
            if silent := self._acts.why_not(plan, self._datasets(plan)):
                self._end(plan.id, ConductState.REFUSED, silent)
                return None
            self._coordinator.invite(plan)
        if self.study(plan.id).state is ConductState.INVITING:
            if not self._invite(plan):
                return None
            self._note(plan.id, {"kind": "rounds", "text": "enough sites take part; rounds begin"},
                       state=ConductState.RUNNING)  # fmt: skip
        if (ended := self._coordinator.study(plan.id).reason) is not None:  # the hub stopped before it said so here
            raise PeerError(ended, fix="read the reason; a new attempt is a new study")
        result = self._coordinator.result(plan.id) or self._run_rounds(plan, session)
        if plan.output == "report":
            return result, make_report(self._rooms, session, plan, result)
        return result, table_bytes(self._sample(session, plan, result).table)

    def _run_rounds(self, plan: StudyPlan, session: Session) -> StudyResult:
        """Run the rounds over the engine that the plan names, with the members that take part."""
        denied = [e["site"] for e in self.study(plan.id).events if e["kind"] == "answer" and e["text"] == "deny"]
        with ExitStack() as stack:
            try:
                stack.enter_context(self.engine.carrying(plan, denied))
            except SynthemaError as error:
                if not self._closing.is_set():  # else it goes on at the next start
                    # No word of its end would reach the sites by that engine.
                    self._orders.withdraw(plan, f"the engine does not carry the study: {error.message}")
                raise
            return self._coordinator.run_study(plan.id, session)

    def _bring_out(self, plan: StudyPlan, made: tuple[StudyResult, bytes] | None) -> None:
        if made is None:
            return
        result, content = made
        self._quarantine(plan, result, content)
        self._release_or_stop(plan, result, content)

    def _agreement(self, identifier: str, site: str, dataset: str) -> str:
        """The agreement with a site about its dataset: the one there is, or a new one."""
        iri = self._dataset_iri(site, dataset)
        known = [a for a in self._dataspace.agreements() if a.provider == site and a.dataset == iri]
        agreement = known[0] if known else self._dataspace.negotiate(site, iri, NEGOTIATION_SECONDS)
        how = "agreement in force" if known else "agreement negotiated"
        self._note(identifier, {"kind": "agreement", "site": site, "agreement": agreement.id, "text": how})
        return agreement.id

    def _dataset_iri(self, site: str, dataset: str) -> str:
        return f"{self._peers.peer(site).url}/id/dataset/{dataset}"

    def _datasets(self, plan: StudyPlan) -> dict[str, str]:
        """The IRI of each site's dataset, by the site's did."""
        return {member.did: self._dataset_iri(member.did, member.dataset) for member in plan.members}

    def _plan(
        self, identifier: str, study: StudyFile, codebook: Codebook, agreements: Mapping[str, str], session: Session
    ) -> StudyPlan:
        parameters = {"fields": list(study.fields)} | study.anonymiser.parameters
        study = study.model_copy(update={"anonymiser": study.anonymiser.model_copy(update={"parameters": parameters})})
        reduced = session.call(study.anonymiser.plugin, "anonymised_codebook", codebook=codebook, parameters=parameters)
        digests = {name: self._rooms.plugins.require(name).digest for name in study.plugins}
        plan = study.plan(
            identifier, self._rooms.settings.did, agreements=agreements, digests=digests, codebook=reduced
        ).model_copy(update={"engine": self.engine.choice()})
        self._note(identifier, {"kind": "plan", "text": "plan made", "digest": plan.digest},
                   state=ConductState.INVITING, plan=plan.model_dump(mode="json"))  # fmt: skip
        return plan

    def _invite(self, plan: StudyPlan) -> bool:
        """Order every site to compute, also after a refusal: each decision is worth knowing.

        The study goes on with those who permit, if they are enough. One that does not answer now may come late.
        """
        known = {event["site"]: event["answer"] for event in self.study(plan.id).events if event["kind"] == "answer"}
        answers = known | self._orders.place(plan, [site for site in plan.dids if site not in known])
        for site, answer in answers.items():
            if site not in known:
                self._note(plan.id, {"kind": "answer", "site": site, "text": answer["effect"], "answer": answer})
            if answer["effect"] == "deny":
                self._coordinator.without(plan.id, site, " ".join(answer["sentences"]))
        denied = [site for site, answer in answers.items() if answer["effect"] == "deny"]
        if len(plan.dids) - len(denied) >= plan.minimum_sites:
            return True
        said = f"{len(denied)} of {len(plan.dids)} sites refused, and {plan.minimum_sites} are needed"
        self._coordinator.abandon(plan.id, "too many sites refused")
        if plan.engine is not None:  # nobody has been connected to hear of it
            self._orders.withdraw(plan, said)
        told = "; ".join(f"{site}: {' '.join(answers[site]['sentences'])}" for site in denied)
        self._end(plan.id, ConductState.REFUSED, f"{said}. {told}"[:2000])
        return False

    def _sample(self, session: Session, plan: StudyPlan, result: StudyResult) -> Generated:
        generated = session.call(
            plan.algorithm.plugin, "federated_sample", state=result.state, plan=plan.algorithm_plan()
        )
        if not isinstance(generated, Generated) or generated.table.height != plan.rows:
            raise PluginError("the algorithm did not make the rows it was asked for", fix="report this to its author")
        return generated

    def _quarantine(self, plan: StudyPlan, result: StudyResult, content: bytes) -> None:
        write_durably(self._file(plan.id), content)
        candidate = digest_bytes(content)
        now = self._rooms.clock.now()
        did = self._rooms.settings.did
        activity = Activity(
            self._rooms.log.iri("study", plan.id) + "/quarantine", "Quarantine",
            "candidate made from opened sums and placed in quarantine", now, now,
            agents=(Agent(did, "Organization"),),
            used=(Entity(self._rooms.log.iri("study", plan.id), ("Study",), plan.title, plan.digest),),
            generated=(Entity(candidate_iri(candidate), (ENDINGS[plan.output].type,), "candidate", candidate),),
            attributes={"rounds": len(result.rounds), "rho": result.rho, "transcript": result.transcript},
        )  # fmt: skip

        def keep(connection: Connection) -> None:
            event = {"kind": "quarantine", "text": "candidate in quarantine", "rounds": len(result.rounds)}
            store.note(connection, plan.id, now, event, state=ConductState.QUARANTINED, candidate=candidate)
            self._rooms.log.append(connection, activity)

        self._rooms.database.write(keep)

    def _release_or_stop(self, plan: StudyPlan, result: StudyResult, content: bytes) -> None:
        """Let every site judge what lies in quarantine, then the hub's own policies; release it or end the study."""
        candidate, contributed = digest_bytes(content), _contributed(plan, result)
        evidence = self._evidence.gather(plan, contributed.dids, candidate)
        statements = {
            site: self._evidence.verified(found["credential"], candidate).statement for site, found in evidence.items()
        }
        series = {site: found["series"] for site, found in evidence.items()}
        failures = [
            f"{self._peers.peer(site).name}: {text}"
            for site, statement in statements.items()
            for text in against(plan, statement, evidence[site])
        ]
        if failures or set(statements) != set(contributed.dids):
            self._end(plan.id, ConductState.STOPPED, "; ".join(failures) or "evidence is missing", {"series": series})
            return
        vouched = {site: Vouched(statements[site], str(found["credential"]["id"])) for site, found in evidence.items()}
        acts = self._acts.certifying(contributed, self._datasets(plan), vouched, candidate_iri(candidate))
        denied = "; ".join(dict.fromkeys(act.refusal() for act in acts if not act.permitted))
        if denied:
            found: dict[str, Any] = {"series": series, "acts": [act.as_dict() for act in acts]}
            self._end(plan.id, ConductState.STOPPED, f"the hub's own policies: {denied}", found, contributed, acts)
            return
        release, acts = self._record_release(contributed, candidate, evidence, acts)
        now = self._rooms.clock.now()

        def finish(connection: Connection, published: dict[str, Any]) -> None:
            event = {"kind": "released", "text": ENDINGS[plan.output].released}
            told = {"series": series, "acts": _proven_acts(store.find_study(connection, plan.id), published)}
            store.note(connection, plan.id, now, event, state=ConductState.RELEASED, result=published | told)
            self._rooms.obligations.run_ended(connection, plan.id, now, released=True)

        shown, proven = self._trust.evidence.prove(release), self._acts.proven(contributed, acts)
        if plan.output == "report":
            proof = proof_of(content, shown, proven, evidence)
            publish_report(self._rooms, self._governor, plan, content, proof, finish)
        else:
            credentials = {site: found["credential"] for site, found in evidence.items()}
            document = certificate_content(self._rooms, plan, result, content, statements, credentials, shown, proven)
            self._publication.publish(plan, document, content, finish)
        shutil.rmtree(self._folder(plan.id), ignore_errors=True)

    def _record_release(
        self, plan: StudyPlan, candidate: str, evidence: Mapping[str, dict[str, Any]], acts: Sequence[DecidedAct]
    ) -> tuple[int, tuple[DecidedAct, ...]]:
        """Write down what was decided here, and that every gate passed; the certificate proves these entries.

        Returns the position of the release, and the decisions with theirs.
        """
        used = tuple(
            Entity(found["credential"]["id"], ("Evidence",), f"evidence of {site}")
            for site, found in sorted(evidence.items())
        )
        before = sum(event["kind"] == "passed" for event in self.study(plan.id).events)  # the hub was killed after it
        activity = ENDINGS[plan.output].release(
            f"{self._rooms.log.iri('study', plan.id)}/release{f'-{before}' if before else ''}", candidate,
            self._rooms.settings.did, self._rooms.clock.now(), used=used,
        )  # fmt: skip
        passed: dict[str, Any] = {"kind": "passed", "text": "every site's evidence is there and passes"}
        event = passed | {"acts": [act.as_dict() for act in acts]}  # as a certificate will prove them

        def record(connection: Connection) -> tuple[int, tuple[DecidedAct, ...]]:
            store.note(connection, plan.id, self._rooms.clock.now(), event)
            kept = self._acts.keep_certifying(connection, plan, acts)
            return self._rooms.log.append(connection, activity).sequence, kept

        return self._rooms.database.write(record)

    def _end(
        self,
        identifier: str,
        state: ConductState,
        reason: str,
        result: dict[str, Any] | None = None,
        plan: StudyPlan | None = None,
        acts: Sequence[DecidedAct] = (),
    ) -> None:
        """Refuse, stop or fail a study; its candidate is deleted and the log says why, with what was decided here."""
        now = self._rooms.clock.now()
        activity = Activity(
            self._rooms.log.iri("study", identifier) + "/end", "Withholding", f"study {state}: {reason}"[:2000], now,
            now, agents=(Agent(self._rooms.settings.did, "Organization"),),
        )  # fmt: skip

        def keep(connection: Connection) -> None:
            event = {"kind": str(state), "text": reason}
            store.note(connection, identifier, now, event, state=state, reason=reason, result=result)
            if plan is not None:
                self._acts.keep_certifying(connection, plan, acts)
            self._rooms.log.append(connection, activity)

        self._rooms.database.write(keep)
        shutil.rmtree(self._folder(identifier), ignore_errors=True)

    def _note(self, identifier: str, event: dict[str, Any], **changes: Any) -> None:
        now = self._rooms.clock.now()
        self._rooms.database.write(lambda connection: store.note(connection, identifier, now, event, **changes))

    @property
    def _studies(self) -> Path:
        return self._rooms.settings.home / "studies"

    def _folder(self, identifier: str) -> Path:
        folder = self._studies / identifier
        (folder / "work").mkdir(parents=True, exist_ok=True)
        return folder

    def _file(self, identifier: str) -> Path:
        return self._folder(identifier) / "candidate.parquet"


def _contributed(plan: StudyPlan, result: StudyResult) -> StudyPlan:
    """The plan with those members only whose data are in an opened sum: they decide on what comes of it."""
    contributors = {site for record in result.rounds for site in record.survivors}
    return plan.model_copy(update={"members": tuple(m for m in plan.members if m.did in contributors)})


def _proven_acts(study: ConductedStudy, published: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The hub's own decisions that the published certificate proves; those of its last life, where it proves none.

    A certificate issued just before the hub was killed counts, and with it what was decided then.
    """
    subject = (published.get("document") or {}).get("credentialSubject") or {}
    proven = {each["decision"]["digest"] for each in subject.get("decisions", ())}
    lives: list[list[dict[str, Any]]] = [event["acts"] for event in study.events if "acts" in event]
    return next((acts for acts in lives if proven & {act["digest"] for act in acts}), lives[-1])


def read_study(document: Mapping[str, Any]) -> StudyFile:
    """A study from JSON; raises :class:`InputError` naming the field."""
    try:
        return StudyFile.model_validate(document)
    except ValidationError as error:
        raise input_error(error, "study", StudyFile) from error

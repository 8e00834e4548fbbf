"""Gathers the facts a decision rests on from the rooms that keep them. It decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from synthema.budget import BudgetLedger
from synthema.clock import Clock
from synthema.config import Peer, Settings
from synthema.consent import ConsentStore, Ground, NationalException, Use, national_exception, question
from synthema.datasets import DatasetStore, DatasetVersion
from synthema.dpia import DpiaStore
from synthema.errors import DeniedError, InputError, NotFoundError
from synthema.obligations import ObligationLedger
from synthema.permits import Attestations, PermitState, PermitStore
from synthema.policy import AccessRequest, Fact
from synthema.policy.model import Value
from synthema.provenance import ProvenanceLog
from synthema.runs.circumstances import audit_head_age, earlier_runs, environment
from synthema.runs.model import ACTIONS, IN_ROUNDS, RunRequest, Step
from synthema.runs.sandbox import Sandbox
from synthema.spi import ApprovedPlugin
from synthema.vocabulary import Hierarchy, Vocabulary
from synthema.vocabulary.namespaces import ODRL, SYN

OUTPUT_TERMS = {"synthetic": "synthetic", "aggregate": "aggregate", "masked": "masked", "anonymised": "anonymised"}
ROLE_TERMS = {"site": "site", "hub": "hub", "registry": "registry"}
FEWEST = "fewest"
"""The parameter of a federated analysis that says below how many patients it shows nothing."""
PRIVATE = "differential-privacy"  # a generator that promises it not has no ε, and 0 would be a lie


RoleSource = Callable[[str, datetime, str | None], tuple[str, str] | None]
"""The role of a party (DID) at a moment, and what shows it (DID or credential), given the role that was agreed."""


def agreed_role(did: str, _at: datetime, agreed: str | None) -> tuple[str, str] | None:
    """The role that was agreed when the party was registered, with the settings as the only evidence."""
    return None if agreed is None else (agreed, did)


@dataclass(frozen=True, slots=True)
class FactFinder:
    """Turns a run request into the whole input of a decision."""

    settings: Settings
    log: ProvenanceLog
    vocabulary: Vocabulary
    datasets: DatasetStore
    consents: ConsentStore
    dpias: DpiaStore
    permits: PermitStore
    attestations: Attestations
    budget: BudgetLedger
    obligations: ObligationLedger
    sandbox: Sandbox
    opt_out_law: str | None = None
    """The Member State pack in force that provides the exception of EHDS Art. 71(4); without one there is none."""
    roles: RoleSource = agreed_role
    parties: Mapping[str, Peer] | None = None
    """The partners by DID, where they are more than those of the settings; it may change."""

    def access_request(self, request: RunRequest, plugins: Mapping[str, ApprovedPlugin], at: datetime) -> AccessRequest:
        """The request with every fact the rooms know; what no room knows is left out, and then denies."""
        dataset = self.datasets.version(request.dataset)
        facts = {**self._of_request(request, plugins, at), **self.of_site(request, at)}
        return AccessRequest(
            id=self.log.iri("run", request.id),
            action=self.action_of(request),
            target=self.log.iri("dataset", dataset.name),
            assignee=request.requester,
            at=at,
            facts=facts,
            fulfilled=self.obligations.fulfilments(request.requester, dataset.name, request.agreement, at),
        )

    def of_site(self, request: RunRequest, at: datetime) -> dict[str, Fact]:
        """What this house knows about the dataset, the basis and the history of a request, whatever is to run."""
        dataset = self.datasets.version(request.dataset)
        return {
            **self.datasets.facts(dataset),
            **self._of_consent(dataset, request, at),
            **self._of_assessment(dataset, request),
            **self._of_agreement(request, dataset, at),
            **self._of_budget(request, dataset),
            **self._of_history(request),
            **self.of_house(at),
        }

    def action_of(self, request: RunRequest) -> str:
        """The IRI of the act a run is; raises :class:`InputError` for another act than its kind."""
        action = _resolved(self.vocabulary.actions, "action", request.action)
        if action not in ACTIONS[request.kind]:
            raise InputError(
                f"a run of the kind '{request.kind}' is another act than '{request.action[:60]}'",
                where="request: action",
                fix=f"ask for: {' or '.join(self.vocabulary.actions.name(n) for n in ACTIONS[request.kind])}",
            )
        return action

    def _of_request(self, request: RunRequest, plugins: Mapping[str, ApprovedPlugin], at: datetime) -> dict[str, Fact]:
        request_iri = self.log.iri("request", request.id)
        isolation = self.sandbox.isolation()
        facts: dict[str, Value] = {
            ODRL + "purpose": _resolved(self.vocabulary.purposes, "purpose", request.purpose),
            ODRL + "dateTime": at,
            SYN + "outputClass": self.vocabulary.data_formats.resolve(OUTPUT_TERMS[request.output]),
            SYN + "dataFormat": self.vocabulary.data_formats.resolve("pseudonymised"),
            SYN + "contributingParties": request.contributing_parties,
            SYN + "pluginDigest": tuple(sorted(plugin.digest for plugin in plugins.values())),
            SYN + "specialCategory": True,  # health data always are (GDPR 9(1))
        }
        if _bounds_loss(request, plugins):
            facts |= {SYN + "epsilonRequested": request.epsilon, SYN + "delta": request.delta}
        smallest = _smallest_count(request, plugins)
        if smallest is not None:
            facts[SYN + "minCellCount"] = smallest
        fields = _last_anonymiser(request).parameters.get("fields", request.anonymise.parameters.get("fields"))
        if isinstance(fields, list) and fields and all(isinstance(name, str) for name in fields):
            facts[SYN + "fieldSet"] = tuple(sorted(fields))
        found = {operand: Fact(value, request_iri) for operand, value in facts.items()}
        found[SYN + "isolationLevel"] = Fact(isolation.level, isolation.probe_digest)
        if request.study is not None:
            found[SYN + "project"] = Fact(request.study, request_iri)
        if request.study is not None and request.rounds:
            found[SYN + "roundsRemaining"] = Fact(request.rounds, request_iri)  # at its start, all of them are left
        return {**found, **self.of_party(request.requester, at)}

    def of_house(self, at: datetime) -> dict[str, Fact]:
        """Under which law this house works, where and in which environment, and who watches its log."""
        regime, own = self.vocabulary.operand("regime"), self.settings.place
        found = {
            regime.iri: Fact(self.vocabulary.terms_of(regime).resolve(self.settings.regime), self.settings.did),
            **environment(self.sandbox.isolation(), self.settings.minimum_isolation),
            **audit_head_age(self.log, at),
        }
        if own is not None:
            found[ODRL + "spatial"] = Fact(_resolved(self.vocabulary.places, "place", own), self.settings.did)
        return found

    def of_party(self, did: str, at: datetime) -> dict[str, Fact]:
        """What the settings of this house say of a party that asks, what it showed, and what was confirmed of it."""
        found: dict[str, Fact] = {}
        role, place, peer = self.roles(did, at, self._role_of(did)), self._place_of(did), self._peer(did)
        if role is not None:
            name, evidence = role
            found[SYN + "recipientRole"] = Fact(self.vocabulary.roles.resolve(name), evidence)
        if place is not None:
            found[SYN + "recipientPlace"] = Fact(_resolved(self.vocabulary.places, "place", place), did)
        if peer is not None and peer.not_for_profit is not None:
            found[SYN + "notForProfit"] = Fact(peer.not_for_profit, did)
        # Confirmed by two people or a trusted body; whoever has no confirmation is none (EHDS Art. 53(2)).
        confirmed = self.attestations.public_sector(did, at)
        return {**found, SYN + "publicSectorBody": confirmed or Fact(False, did)}  # noqa: FBT003 - the fact itself

    def _peer(self, did: str) -> Peer | None:
        if self.parties is not None:
            return self.parties.get(did)
        return next((peer for peer in self.settings.peers if peer.did == did), None)

    def _place_of(self, did: str) -> str | None:
        if did == self.settings.did:
            return self.settings.place
        peer = self._peer(did)
        return None if peer is None else peer.place

    def _role_of(self, did: str) -> str | None:
        if did == self.settings.did:
            return ROLE_TERMS[self.settings.role]
        peer = self._peer(did)
        return None if peer is None else ROLE_TERMS[peer.role]

    def _of_history(self, request: RunRequest) -> dict[str, Fact]:
        """How often the act was begun before under the same agreement; without one there is nothing to count."""
        action, act_of = self.action_of(request), self.vocabulary.actions.find
        number = earlier_runs(self.log.database, request.agreement, action, act_of, but=request.id)
        return {} if number is None else {ODRL + "count": Fact(number, self.log.iri("request", request.id))}

    def _of_consent(self, dataset: DatasetVersion, request: RunRequest, at: datetime) -> dict[str, Fact]:
        ground = self.consent_ground(dataset, request, at)
        exclusions = self.consents.cohort_exclusions(dataset.name, dataset.id, ground)
        evidence = self.log.iri("exclusion-list", str(exclusions.version))
        return {
            **self.consents.facts(exclusions, at),
            SYN + "cohortSize": Fact(exclusions.remaining, evidence),
        }

    def consent_ground(self, dataset: DatasetVersion, request: RunRequest, at: datetime) -> Ground:
        """What each patient's consent or opt-out is asked; the decision and the run must ask the same."""
        peer, place = self._peer(request.requester), self._place_of(request.requester)
        purpose = _resolved(self.vocabulary.purposes, "purpose", request.purpose)
        use = Use(
            purpose=purpose,
            action=self.action_of(request),
            for_profit=None if peer is None or peer.not_for_profit is None else not peer.not_for_profit,
            place=None if place is None else _resolved(self.vocabulary.places, "place", place),
            categories=dataset.metadata.category_iris,
            data_as_of=dataset.added_at,
        )
        return Ground(
            dataset.legal_basis,
            self.permits.approved_at(request.agreement),
            at,
            question(use, self.vocabulary),
            self._national_exception(dataset, request, purpose, at),
        )

    def ground_of(self, dataset: DatasetVersion, request: RunRequest, clock: Clock) -> Callable[[], Ground]:
        """:meth:`consent_ground` as of whenever it is asked."""
        return lambda: self.consent_ground(dataset, request, clock.now())

    def _national_exception(
        self, dataset: DatasetVersion, request: RunRequest, purpose: str, at: datetime
    ) -> NationalException | None:
        """What a permit in force of this requester for this dataset says of EHDS Art. 71(4), if it may say so."""
        known = self.permits.facts(request.agreement, requester=request.requester, dataset_id=dataset.name, at=at)
        state = known.get(SYN + "permitState")
        if state is None or state.value != PermitState.ISSUED.iri:
            return None
        try:
            permit = self.permits.permit(request.agreement or "")
        except NotFoundError:
            return None  # an agreement of the data space is no permit, and opens no exception
        return national_exception(
            law=self.opt_out_law,
            regime=self.settings.regime,
            reason=permit.content.opt_out_exception,
            permit=self.log.iri("permit", permit.id),
            purpose=purpose,
            vocabulary=self.vocabulary,
        )

    def _of_assessment(self, dataset: DatasetVersion, request: RunRequest) -> dict[str, Fact]:
        """What the assessments in force for this act come to now; they are examined anew for every decision."""
        action = self.action_of(request)
        try:
            return self.dpias.facts_for(dataset.name, action)
        except DeniedError:
            return {}  # no assessment is in force: the missing fact denies, and the decision says so

    def _of_agreement(self, request: RunRequest, dataset: DatasetVersion, at: datetime) -> dict[str, Fact]:
        person = None if request.person is None else self.log.iri("person", request.person)
        facts = self.permits.facts(
            request.agreement, requester=request.requester, dataset_id=dataset.name, at=at, person=person
        )
        if SYN + "permitState" not in facts:
            return facts  # not of this requester and dataset: nothing of it counts
        evidence = facts[SYN + "permitState"].evidence
        known = self.of_authorisation(request.agreement) | {
            SYN + "personNamedInPermit": SYN + "authorisedPerson" in facts
        }
        approved = self.permits.approved_at(request.agreement)
        if approved is not None:
            known[ODRL + "elapsedTime"] = at - approved
        return {**{operand: Fact(value, evidence) for operand, value in known.items()}, **facts}

    def of_authorisation(self, basis: str | None) -> dict[str, Value]:
        """What kind of authorisation a request rests on, and what a permit says beyond its state."""
        try:
            content = self.permits.permit(basis or "").content
        except NotFoundError:
            return {
                SYN + "basisKind": self._authorisation("agreement"),
                SYN + "pseudonymisationJustified": False,
                SYN + "optOutException": False,
            }
        return {
            SYN + "basisKind": self._authorisation("data permit"),
            SYN + "pseudonymisationJustified": content.data.format == "pseudonymised"
            and bool(content.data.justification.strip()),
            SYN + "optOutException": content.opt_out_exception is not None,
        }

    def _authorisation(self, name: str) -> str:
        return self.vocabulary.schemes["Authorisations"].resolve(name)

    def _of_budget(self, request: RunRequest, dataset: DatasetVersion) -> dict[str, Fact]:
        try:
            account = self.budget.account(dataset.name, request.requester, basis=request.agreement)
        except DeniedError:
            return {}
        return self.budget.facts(account)


def _bounds_loss(request: RunRequest, plugins: Mapping[str, ApprovedPlugin]) -> bool:
    """Whether ε and δ bound what a request makes known.

    Of exact sums over several sites nothing is bounded, so they have no ε: 0 would say that they tell nothing.
    """
    if request.kind in IN_ROUNDS:
        return request.epsilon > 0
    return request.kind != "generator" or plugins[request.compute.plugin].manifest.guarantee.kind == PRIVATE


def _last_anonymiser(request: RunRequest) -> Step:
    """The last anonymiser of the chain: it makes what others will see."""
    return request.compute if request.kind == "anonymiser" else request.anonymise


def _smallest_count(request: RunRequest, plugins: Mapping[str, ApprovedPlugin]) -> int | None:
    """The fewest patients that stand behind a published figure, as the request has it.

    What a federated analysis publishes are sums over sites: its own ``fewest`` counts there, and not the smallest
    class of one site's table.
    """
    found = _last_anonymiser(request).parameters.get("k")
    if request.kind == "federated-analysis":
        known = {each.name: each.default for each in plugins[request.compute.plugin].manifest.parameters}
        found = request.compute.parameters.get(FEWEST, known.get(FEWEST))
    return found if isinstance(found, int) else None


def _resolved(terms: Hierarchy, field: str, text: str) -> str:
    try:
        return terms.resolve(text)
    except InputError as error:
        raise InputError(error.message, where=f"request: {field}", fix=error.fix) from error

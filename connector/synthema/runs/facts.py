"""Gathers the facts a decision rests on from the rooms that keep them. It decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from synthema.budget import BudgetLedger
from synthema.config import Settings
from synthema.consent import ConsentStore
from synthema.datasets import DatasetStore, DatasetVersion
from synthema.dpia import DpiaStore
from synthema.errors import DeniedError, InputError
from synthema.permits import PermitStore
from synthema.policy import AccessRequest, Fact
from synthema.policy.model import Value
from synthema.provenance import ProvenanceLog
from synthema.runs.model import ACTIONS, RunRequest
from synthema.runs.sandbox import Sandbox
from synthema.spi import ApprovedPlugin
from synthema.vocabulary import Hierarchy, Vocabulary
from synthema.vocabulary.namespaces import ODRL, SYN

OUTPUT_TERMS = {"synthetic": "synthetic", "aggregate": "aggregate", "masked": "masked"}
ROLE_TERMS = {"site": "site", "hub": "hub", "registry": "registry"}
PRIVATE = "differential-privacy"  # a generator that promises it not has no ε, and 0 would be a lie


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
    budget: BudgetLedger
    sandbox: Sandbox

    def access_request(self, request: RunRequest, plugins: Mapping[str, ApprovedPlugin], at: datetime) -> AccessRequest:
        """The request with every fact the rooms know; what no room knows is left out, and then denies."""
        dataset = self.datasets.version(request.dataset)
        facts = {
            **self._of_request(request, plugins, at),
            **self._of_dataset(dataset),
            **self._of_consent(dataset, request, at),
            **self._of_assessment(dataset),
            **self._of_agreement(request, dataset, at),
            **self._of_budget(request, dataset),
        }
        return AccessRequest(
            id=self.log.iri("run", request.id),
            action=self._action(request),
            target=self.log.iri("dataset", dataset.name),
            assignee=request.requester,
            at=at,
            facts=facts,
        )

    def _action(self, request: RunRequest) -> str:
        action = _resolved(self.vocabulary.actions, "action", request.action)
        if action not in {SYN + name for name in ACTIONS[request.kind]}:
            raise InputError(
                f"a run of the kind '{request.kind}' is another act than '{request.action[:60]}'",
                where="request: action",
                fix=f"ask for: {' or '.join(self.vocabulary.actions.name(SYN + n) for n in ACTIONS[request.kind])}",
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
            SYN + "publicSectorBody": False,  # no attestation of it is read yet; unattested is no
        }
        if request.kind != "generator" or plugins[request.compute.plugin].manifest.guarantee.kind == PRIVATE:
            facts |= {SYN + "epsilonRequested": request.epsilon, SYN + "delta": request.delta}
        smallest_class = request.anonymise.parameters.get("k")
        if isinstance(smallest_class, int):
            facts[SYN + "minCellCount"] = smallest_class
        found = {operand: Fact(value, request_iri) for operand, value in facts.items()}
        found[SYN + "isolationLevel"] = Fact(isolation.level, isolation.probe_digest)
        role = self._role_of(request.requester)
        if role is not None:
            found[SYN + "recipientRole"] = Fact(self.vocabulary.roles.resolve(role), request.requester)
        return found

    def _role_of(self, did: str) -> str | None:
        if did == self.settings.did:
            return ROLE_TERMS[self.settings.role]
        return next((ROLE_TERMS[peer.role] for peer in self.settings.peers if peer.did == did), None)

    def _of_dataset(self, dataset: DatasetVersion) -> dict[str, Fact]:
        regime = self.vocabulary.operand("regime")
        term = self.vocabulary.terms_of(regime).resolve(self.settings.regime)
        return {**self.datasets.facts(dataset), regime.iri: Fact(term, self.settings.did)}

    def _of_consent(self, dataset: DatasetVersion, request: RunRequest, at: datetime) -> dict[str, Fact]:
        exclusions = self.consents.cohort_exclusions(
            dataset.name,
            dataset.id,
            legal_basis=dataset.legal_basis,
            permit_approved_at=self.permits.approved_at(request.agreement),
            at=at,
        )
        evidence = self.log.iri("exclusion-list", str(exclusions.version))
        return {
            **self.consents.facts(exclusions, at),
            SYN + "cohortSize": Fact(exclusions.remaining, evidence),
        }

    def _of_assessment(self, dataset: DatasetVersion) -> dict[str, Fact]:
        try:
            return self.dpias.facts(self.dpias.active(dataset.name))
        except DeniedError:
            return {}  # no assessment is in force: the missing fact denies, and the decision says so

    def _of_agreement(self, request: RunRequest, dataset: DatasetVersion, at: datetime) -> dict[str, Fact]:
        return self.permits.facts(
            request.agreement,
            requester=request.requester,
            dataset_id=dataset.name,
            at=at,
            person=None if request.person is None else self.log.iri("person", request.person),
        )

    def _of_budget(self, request: RunRequest, dataset: DatasetVersion) -> dict[str, Fact]:
        try:
            account = self.budget.account(dataset.name, request.requester, basis=request.agreement)
        except DeniedError:
            return {}
        return self.budget.facts(account)


def _resolved(terms: Hierarchy, field: str, text: str) -> str:
    try:
        return terms.resolve(text)
    except InputError as error:
        raise InputError(error.message, where=f"request: {field}", fix=error.fix) from error

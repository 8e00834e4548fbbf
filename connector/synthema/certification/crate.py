"""The Five Safes RO-Crate of a package: what is in it, how it was made, and who checked it in which phase.

Written by hand as JSON-LD, flat and in a fixed order, so that the same certificate always gives the same bytes.
Sources: RO-Crate 1.2; Five Safes RO-Crate 0.4 (TRE-FX 2023); Workflow RO-Crate 1.0. The phases are the profile's:
sign-off is a site's policy decision, the disclosure check its gates, the validation the comparison of all evidence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import unquote

from synthema.canonical import canonical_json
from synthema.certification.model import CERTIFICATE_FILE, CertificateContent, EvidenceStatement
from synthema.certification.uses import use_sentences
from synthema.clock import to_text

METADATA: Final = "ro-crate-metadata.json"
MEDIA_TYPE: Final = "application/ld+json"
PROFILE: Final = "https://w3id.org/5s-crate/0.4"
_CRATE: Final = "https://w3id.org/ro/crate/1.2"
_WORKFLOW_BASE: Final = "https://w3id.org/ro/crate/1.1"
_WORKFLOW: Final = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
_SHP: Final = "https://w3id.org/shp#"
_DONE: Final = "http://schema.org/CompletedActionStatus"
_FAILED: Final = "http://schema.org/FailedActionStatus"
_SHA512: Final = "https://www.iana.org/assignments/named-information#sha-512"
_PLAN_LANGUAGE: Final = "https://w3id.org/synthema/ns#StudyPlan"

Node = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a certificate says around its content: its name, its issuer, and from when until when it holds."""

    certificate: str
    issuer: str
    valid_from: datetime
    valid_until: datetime

    @property
    def origin(self) -> str:
        """Where the issuer answers: every identifier it gives begins with it."""
        return self.certificate.partition("/id/")[0]


def host_of(did: str) -> str:
    """A did:web as people read it: its host."""
    return unquote(did.removeprefix("did:web:"))


def crate_metadata(content: CertificateContent, statements: tuple[EvidenceStatement, ...], envelope: Envelope) -> bytes:
    """``ro-crate-metadata.json``: ``content`` names all files beside this one and the certificate."""
    graph = list(_Crate(content, statements, envelope).graph())
    return canonical_json({"@context": f"{_CRATE}/context", "@graph": graph})


def workflow_metadata(content: CertificateContent, envelope: Envelope) -> bytes:
    """``workflow/ro-crate-metadata.json``: the agreed study plan as the workflow that was carried out."""
    plan = content.files_of("plan")[0].name.rpartition("/")[2]
    graph: list[Node] = [
        {
            "@id": METADATA,
            "@type": "CreativeWork",
            "about": _ref("./"),
            "conformsTo": [_ref(_WORKFLOW_BASE), _ref(_WORKFLOW)],
        },
        {
            "@id": "./",
            "@type": "Dataset",
            "name": f"Study plan: {content.title}",
            "description": "The plan that every site agreed to before the first round.",
            "datePublished": to_text(envelope.valid_from),
            "hasPart": [_ref(plan)],
            "license": "Terms of the certificate that comes with it.",
            "mainEntity": _ref(plan),
        },
        {
            "@id": plan,
            "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow"],
            "name": content.title,
            "encodingFormat": "application/json",
            "identifier": content.study,
            "programmingLanguage": _ref(_PLAN_LANGUAGE),
            "sha256": content.study_plan.removeprefix("sha256:"),
        },
        {
            "@id": _PLAN_LANGUAGE,
            "@type": "ComputerLanguage",
            "name": "Synthema study plan (JSON)",
            "url": _PLAN_LANGUAGE,
        },
    ]
    return canonical_json({"@context": f"{_WORKFLOW_BASE}/context", "@graph": graph})


class _Crate:
    """The nodes of one crate, in the order in which they are written."""

    def __init__(
        self, content: CertificateContent, statements: tuple[EvidenceStatement, ...], envelope: Envelope
    ) -> None:
        self._content = content
        self._statements = statements
        self._envelope = envelope
        self._project = f"{content.study}#project"

    def graph(self) -> Iterator[Node]:
        actions = [self._creation(), *self._sign_offs(), *self._disclosure_checks(), *self._own_steps()]
        files = list(self._files())
        yield {
            "@id": METADATA,
            "@type": "CreativeWork",
            "about": _ref("./"),
            "conformsTo": _ref(_CRATE),
        }
        yield self._root(files, actions)
        yield {"@id": PROFILE, "@type": ["CreativeWork", "Profile"], "name": "Five Safes RO-Crate profile"}
        yield from files
        yield self._workflow(files)
        yield from actions
        yield from self._sources()
        yield from self._references()
        yield from self._parties()

    def _root(self, files: list[Node], actions: list[Node]) -> Node:
        content = self._content
        return {
            "@id": "./",
            "@type": "Dataset",
            "conformsTo": _ref(PROFILE),
            "name": content.title,
            "description": f"{content.rows} synthetic rows of {content.columns} variables, with certificate and "
            "evidence. No row describes a real person.",
            "identifier": content.id,
            "datePublished": to_text(self._envelope.valid_from),
            "expires": to_text(self._envelope.valid_until),
            "publisher": _ref(self._envelope.issuer),
            "sourceOrganization": _ref(self._project),
            "license": _ref("#allowed-uses"),
            "mainEntity": _ref("workflow/"),
            "hasPart": [_ref(node["@id"]) for node in files if not _of_workflow(node)] + [_ref("workflow/")],
            "mentions": [_ref(node["@id"]) for node in actions],
        }

    def _files(self) -> Iterator[Node]:
        for file in self._content.files:
            yield {
                "@id": file.name,
                "@type": "File",
                "name": _FILE_NAMES[file.role],
                "encodingFormat": file.media_type,
                "contentSize": str(file.size),
                "sha256": file.digest.removeprefix("sha256:"),
            }
        yield {
            "@id": CERTIFICATE_FILE,
            "@type": "File",
            "name": "Certificate (W3C Verifiable Credential 2.0)",
            "encodingFormat": "application/vc",
            "identifier": self._envelope.certificate,
        }

    def _workflow(self, files: list[Node]) -> Node:
        return {
            "@id": "workflow/",
            "@type": "Dataset",
            "name": f"Study plan: {self._content.title}",
            "conformsTo": _ref(_WORKFLOW),
            "hasPart": [_ref(node["@id"]) for node in files if _of_workflow(node)],
            "identifier": self._content.study,
            "distribution": _ref(f"{self._content.study}#plan"),
        }

    def _creation(self) -> Node:
        content = self._content
        return {
            "@id": f"{content.study}#creation",
            "@type": "CreateAction",
            "name": f"Synthetic rows made with {content.generator.name} {content.generator.version}",
            "actionStatus": _DONE,
            "agent": _ref(self._envelope.issuer),
            "instrument": [_ref("workflow/"), _ref("#generator")],
            "object": [_ref(source.dataset) for source in content.sources],
            "result": [_ref(content.dataset_file.name)],
        }

    def _sign_offs(self) -> Iterator[Node]:
        for statement in self._statements:
            for decision in statement.decisions:
                yield self._assessment(
                    decision.id,
                    "SignOff",
                    f"Policy decision of {host_of(statement.site)}: {decision.action}, {decision.effect}",
                    statement.site,
                    ok=decision.effect == "permit",
                    instrument=[_ref(_policy(digest)) for digest in decision.policies],
                )

    def _disclosure_checks(self) -> Iterator[Node]:
        for number, statement in enumerate(self._statements, start=1):
            gates = statement.gates
            passed = sum(result.passed for result in gates.results)
            yield self._assessment(
                f"#disclosure-{number}",
                "DisclosureCheck",
                f"Gates of the impact assessment '{gates.dpia}' at {host_of(statement.site)}: "
                f"{passed} of {len(gates.results)} passed",
                statement.site,
                ok=not gates.failures,
                instrument=[_ref(_assessment(gates.dpia_digest))],
                at=gates.at,
            )

    def _own_steps(self) -> Iterator[Node]:
        issuer = self._envelope.issuer
        for proven in self._content.decisions:
            decision = proven.decision
            yield self._assessment(
                decision.id,
                "SignOff",
                f"Policy decision of {host_of(issuer)}: {decision.action}, {decision.effect}",
                issuer,
                ok=decision.effect == "permit",
                instrument=[_ref(_policy(digest)) for digest in decision.policies],
            )
        yield self._assessment(
            "#validation",
            "ValidationCheck",
            "Evidence of every site compared with the certificate: agrees",
            issuer,
            ok=True,
            instrument=[_ref(PROFILE)],
            at=to_text(self._envelope.valid_from),
        )
        yield {
            "@id": "#bagit",
            "@type": "UpdateAction",
            "additionalType": _ref(f"{_SHP}GenerateCheckValue"),
            "name": "BagIt manifests of the crate written",
            "actionStatus": _DONE,
            "agent": _ref(issuer),
            "endTime": to_text(self._envelope.valid_from),
            "instrument": _ref(_SHA512),
            "object": _ref("./"),
        }

    def _assessment(
        self, identifier: str, kind: str, name: str, agent: str, *, ok: bool, instrument: list[Node], at: str = ""
    ) -> Node:
        node: Node = {
            "@id": identifier,
            "@type": "AssessAction",
            "additionalType": _ref(_SHP + kind),
            "name": name,
            "actionStatus": _DONE if ok else _FAILED,
            "agent": _ref(agent),
            "instrument": instrument,
            "object": [_ref("./"), _ref("workflow/"), _ref(self._project)],
        }
        return node | ({"endTime": at} if at else {})

    def _sources(self) -> Iterator[Node]:
        for source in self._content.sources:
            yield {
                "@id": source.dataset,
                "@type": "CreativeWork",  # a data entity would have to be a part of the crate, which it is not
                "additionalType": _ref("http://schema.org/Dataset"),
                "name": f"Patients' data at {host_of(source.site)}: stays there, {source.cohort} patients",
                "conditionsOfAccess": "The rows never leave the site.",
                "publisher": _ref(source.site),
                "sha256": source.dataset_digest.removeprefix("sha256:"),
            }

    def _references(self) -> Iterator[Node]:
        content = self._content
        yield {
            "@id": "#allowed-uses",
            "@type": "CreativeWork",
            "name": "Allowed uses, as the certificate says them in ODRL",
            "description": " ".join(use_sentences(content.allowed_uses)),
        }
        yield {
            "@id": "#generator",
            "@type": "SoftwareApplication",
            "name": content.generator.name,
            "version": content.generator.version,
            "softwareVersion": content.generator.version,
            "identifier": content.generator.digest,
            "url": f"{self._envelope.origin}/id/plugin/{content.generator.name}",
        }
        yield {"@id": _SHA512, "@type": "DefinedTerm", "name": "sha-512"}
        yield {
            "@id": f"{content.study}#plan",
            "@type": "DataDownload",
            "name": "The plan, inside this package",
            "encodingFormat": "application/json",
            "contentUrl": content.files_of("plan")[0].name,
        }
        policies = {
            digest for statement in self._statements for each in statement.decisions for digest in each.policies
        }
        policies |= {digest for proven in content.decisions for digest in proven.decision.policies}
        for digest in sorted(policies):
            yield {"@id": _policy(digest), "@type": "CreativeWork", "name": f"Policies in force, {digest}"}
        assessments = {statement.gates.dpia_digest: statement.gates.dpia for statement in self._statements}
        for digest, name in sorted(assessments.items()):
            yield {"@id": _assessment(digest), "@type": "CreativeWork", "name": f"Impact assessment '{name}', {digest}"}

    def _parties(self) -> Iterator[Node]:
        parties = {self._envelope.issuer, *(source.site for source in self._content.sources)}
        yield {
            "@id": self._project,
            "@type": "Project",
            "name": self._content.title,
            "identifier": self._content.study,
            "member": [_ref(party) for party in sorted(parties)],
        }
        for party in sorted(parties):
            known = {"url": self._envelope.origin} if party == self._envelope.issuer else {}
            yield {"@id": party, "@type": "Organization", "name": host_of(party), **known}


_FILE_NAMES: Final = {
    "dataset": "Synthetic rows",
    "codebook": "Codebook: what each variable means",
    "plan": "Study plan",
    "readme": "The certificate in plain words",
    "crate": "Description of the workflow",
    "record": "HealthDCAT-AP record",
    "evidence": "Evidence of a site (W3C Verifiable Credential 2.0)",
    "proof": "Proof of a log entry (C2SP tlog-proof)",
}


def _ref(identifier: str) -> Node:
    return {"@id": identifier}


def _of_workflow(node: Node) -> bool:
    return str(node["@id"]).startswith("workflow/")


def _policy(digest: str) -> str:
    return f"urn:synthema:policies:{digest.removeprefix('sha256:')}"


def _assessment(digest: str) -> str:
    return f"urn:synthema:dpia:{digest.removeprefix('sha256:')}"

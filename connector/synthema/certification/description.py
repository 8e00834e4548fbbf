"""All files of a package that follow from what a certificate says: nobody writes any of them by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from pydantic import ValidationError

from synthema.canonical import canonical_json
from synthema.certification import crate, record
from synthema.certification.crate import Envelope, crate_metadata, workflow_metadata
from synthema.certification.document import FileRole
from synthema.certification.evidence import read_evidence
from synthema.certification.model import CertificateContent, DataFile, EvidenceCredential, EvidenceStatement, LogProof
from synthema.certification.readme import readme
from synthema.certification.record import catalogue_record
from synthema.datasets.codebook import Codebook
from synthema.errors import InputError

README: Final = "README.txt"
_TEXT: Final = "text/plain"


def described(
    given: CertificateContent, files: Mapping[str, bytes], envelope: Envelope
) -> tuple[CertificateContent, dict[str, bytes]]:
    """The content with all its files, and the files that were added (name → bytes).

    ``given`` names dataset, codebook and plan only; ``files`` hold their bytes. The same input gives the same bytes.
    """
    codebook = codebook_of(files)
    evidence = [read_evidence(reference.credential) for reference in given.evidence]
    statements = tuple(each.statement for each in evidence)
    added: dict[str, tuple[FileRole, str, bytes]] = {
        README: ("readme", _TEXT, readme(given, envelope.issuer, envelope.valid_from, envelope.valid_until).encode()),
        record.NAME: ("record", crate.MEDIA_TYPE, catalogue_record(given, statements, codebook, envelope)),
        f"workflow/{crate.METADATA}": ("crate", crate.MEDIA_TYPE, workflow_metadata(given, envelope)),
    }
    for number, reference in enumerate(given.evidence, start=1):
        added[f"evidence/{number:03d}.json"] = ("evidence", "application/vc", canonical_json(reference.credential))
    for name, proof in proofs(given, evidence):
        added[name] = ("proof", _TEXT, proof.bundle.encode())
    content = _with_files(given, added)
    top = crate_metadata(content, statements, envelope)
    content = _with_files(content, {crate.METADATA: ("crate", crate.MEDIA_TYPE, top)})
    return content, {name: value for name, (_, _, value) in added.items()} | {crate.METADATA: top}


def proofs(content: CertificateContent, evidence: list[EvidenceCredential]) -> Iterator[tuple[str, LogProof]]:
    """Every log proof behind a certificate, as a file of its own for any tool that reads C2SP ``tlog-proof``."""
    yield _proof_name(0, content.release), content.release
    for proven in content.decisions:
        yield _proof_name(0, proven.proof), proven.proof
    for number, each in enumerate(evidence, start=1):
        subject = each.credential_subject
        found = {proof.position: proof for proof in (subject.attested, *subject.runs, *subject.decisions)}
        for position in sorted(found):
            yield _proof_name(number, found[position]), found[position]


def codebook_of(files: Mapping[str, bytes]) -> Codebook:
    """The codebook among the files; raises :class:`InputError` when it is none."""
    try:
        return Codebook.model_validate_json(files["codebook.json"])
    except (KeyError, ValidationError) as error:
        raise InputError("there is no codebook among the files", fix="give the codebook as codebook.json") from error


def statements_of(content: CertificateContent) -> tuple[EvidenceStatement, ...]:
    """What the sites state, in the certificate's order; nothing is verified here."""
    return tuple(read_evidence(reference.credential).statement for reference in content.evidence)


def _proof_name(party: int, proof: LogProof) -> str:
    """``party`` 0 is the issuer, others count the evidence."""
    who = "issuer" if not party else f"site-{party:03d}"
    return f"proofs/{who}-entry-{proof.position}.tlog-proof"


def _with_files(content: CertificateContent, files: Mapping[str, tuple[FileRole, str, bytes]]) -> CertificateContent:
    entries = [DataFile.of(name, role, media_type, value) for name, (role, media_type, value) in files.items()]
    return content.model_copy(update={"files": (*content.files, *entries)})

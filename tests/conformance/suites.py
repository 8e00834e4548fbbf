"""The suites and what is expected of each."""

from __future__ import annotations

from tests.conformance import catalogue, certificates, cryptography, odrl
from tests.conformance.dcp import running as dcp
from tests.conformance.dsp import running
from tests.conformance.dsp import standards as dsp
from tests.conformance.suite import Suite

_DSP = "dsp-2025-1-err1"
_ODRL = "odrl-test-suite"

SUITES = (
    Suite(
        "DSP 2025-1 schemas whose references resolve", dsp.schemas_resolve, 26, 23, _DSP,
        "three official files lack a slash in a reference; the suites below mend it",
    ),
    Suite(
        "DSP 2025-1 examples under their own schemas", dsp.examples_keep_their_schema, 27, 26, _DSP,
        "the official dataservice-did-service.json has an endpoint its own schema refuses",
    ),
    Suite(
        "DSP 2025-1 example messages read", dsp.examples_are_read, 18, 14, _DSP,
        "four policies use bare words for operands, which the protocol's context does not define; we refuse them",
    ),
    Suite("DSP 2025-1 messages we send", dsp.what_we_say, 20, 20, _DSP),
    Suite("DSP 2025-1 kit (TCK 1.0.1), our port of its cases, over HTTP", running.kit_cases, 65, 65),
    Suite("DSP 2025-1 documents we publish", dsp.what_we_publish, 2, 2, _DSP),
    Suite("DCP 1.0.1 verifier, over HTTP", dcp.verifier_cases, 50, 50),
    Suite("DCP 1.0.1 credential service and secure token service, over HTTP", dcp.credential_service_cases, 36, 36),
    Suite("DCP 1.0.1 storage of a holder, over HTTP", dcp.storage_cases, 45, 45),
    Suite("DCP 1.0.1 issuer service, over HTTP", dcp.issuer_cases, 44, 44),
    Suite("DCP 1.0.1 messages we send, under the official schemas", dcp.what_we_say, 7, 7, "dcp-1.0.1"),
    Suite("RFC 6962/9162 Merkle trees", cryptography.merkle_trees, 17, 17),
    Suite("RFC 6962 roots against pymerkle", cryptography.merkle_against_pymerkle, 40, 40),
    Suite("C2SP signed note", cryptography.signed_notes, 3, 3),
    Suite("eddsa-jcs-2022 with openvc", cryptography.data_integrity_proofs, 10, 10),
    Suite("certificates, evidence, receipts and status lists with openvc", certificates.certificates, 16, 16),
    Suite("DCAT-AP 3.0.1 shapes, record of a synthetic dataset", catalogue.records, 3, 3, "vocabularies/dcat-ap"),
    Suite("DCAT-AP and HealthDCAT-AP 8 shapes, three levels of access", catalogue.levels, 7, 7, "vocabularies/dcat-ap"),
    Suite("HealthDCAT-AP 8 mandatory properties, each taken out", catalogue.lacking, 40, 40),
    Suite("RFC 8785 canonical JSON", cryptography.canonical_values, 28, 28),
    Suite(
        "ODRL test suite, duties strict", odrl.strict_cases, 68, 66, _ODRL,
        "059 and 065 permit although a prior duty is not yet fulfilled; for health data that is a no",
    ),
    Suite("ODRL test suite, duties lax as in the suite", odrl.lax_cases, 68, 68, _ODRL),
)  # fmt: skip

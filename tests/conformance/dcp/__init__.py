"""The Decentralized Claims Protocol 1.0.1: what its sections demand, as cases of our own over real HTTP.

The target is our product (:mod:`target`): credential service, verifier and
issuer service. :mod:`parties` play everybody else, each with a DID document and
services of its own. The cases are derived from the specification's MUSTs, in
the areas that the official kit covers, and named by the section they check:

* :mod:`verifier` what a verifier must turn away;
* :mod:`credential_service` what a credential service shows, and to whom;
* :mod:`storage` what a holder takes in: deliveries and offers;
* :mod:`issuer` what an issuer service does.
"""

from tests.conformance.dcp import credential_service, issuer, storage, verifier

SUITES = {
    "verifier": verifier.CASES,
    "credential service": credential_service.CASES,
    "storage": storage.CASES,
    "issuer": issuer.CASES,
}

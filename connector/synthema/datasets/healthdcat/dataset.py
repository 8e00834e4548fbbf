"""The facts of a patients' dataset for its record: from its version, its codebook, its description and its label.

Counts are rounded down to tens: exact ones, watched over time, would show when one person leaves. The digest of the
rows is not told either: who guesses a small table could check the guess.
"""

from __future__ import annotations

from typing import Any, Final

from synthema.datasets.healthdcat.facts import Copy, Named, Party, RecordFacts, Typed
from synthema.datasets.healthdcat.record import health_record, known_record
from synthema.datasets.healthdcat.terms import EHDS, GDPR, Node
from synthema.datasets.label import quality_label
from synthema.datasets.model import DatasetVersion, Hdab, Sample
from synthema.vocabulary import load_vocabulary

_DPV: Final = "https://w3id.org/dpv#"


def dataset_facts(
    version: DatasetVersion, iri: str, *, publisher: str, publisher_name: str, access_url: str, regime: str
) -> RecordFacts:
    """What is known of a dataset version.

    ``iri`` names the dataset, ``publisher`` is the data holder's did, ``access_url`` where access is negotiated,
    ``regime`` the legal regime of the connector.
    """
    metadata = version.metadata
    holder = Party(
        iri=metadata.publisher or publisher,
        name=metadata.publisher_name or publisher_name,
        contact=metadata.contact,
        kind=metadata.publisher_type,
    )
    return RecordFacts(
        iri=iri,
        title=version.title,
        description=metadata.description,
        access=metadata.access,
        legislation=(EHDS, GDPR),
        type=_type(version),
        publisher=holder,
        custodian=holder,
        hdab=None if metadata.hdab is None else _body(metadata.hdab),
        contact=metadata.contact,
        keywords=metadata.keywords,
        provenance=metadata.provenance,
        categories=metadata.category_iris,
        themes=metadata.health_themes,
        disease=named_disease(version.codebook.disease),
        issued=version.added_at,
        modified=version.modified,
        version=str(version.version),
        regime=regime,
        records=version.rows // 10 * 10,
        persons=version.rows // 10 * 10,
        typical_ages=metadata.typical_ages,
        population=() if metadata.population is None else (metadata.population,),
        spatial=metadata.spatial,
        period=metadata.period,
        retention=metadata.retention,
        legal_bases=(version.legal_basis,),
        purposes=_purposes(metadata.purposes),
        personal_data=metadata.personal_data,
        variables=tuple(variable for variable in version.codebook.variables if variable.role != "identifier"),
        copies=(_way_in(version, access_url),),
        samples=() if metadata.sample is None else (_sample(metadata.sample),),
        label=quality_label(version),
    )


def catalogue_record(
    version: DatasetVersion,
    iri: str,
    *,
    publisher: str,
    publisher_name: str,
    access_url: str,
    regime: str,
    policies: tuple[Node, ...] = (),
    complete: bool = True,
) -> dict[str, Any]:
    """The record of a dataset version; see :func:`dataset_facts`.

    Raises :class:`InputError` naming every mandatory fact that is not stated, unless ``complete`` is waived: then
    the record says what is known, and is no HealthDCAT-AP record of release 8 yet.
    """
    facts = dataset_facts(
        version, iri, publisher=publisher, publisher_name=publisher_name, access_url=access_url, regime=regime
    )
    if complete:
        return health_record(facts, name=version.name, policies=policies)
    return known_record(facts, policies=policies)


def named_disease(iri: str) -> Named:
    """A disease as the pinned vocabulary calls it."""
    return Named(iri=iri, label=load_vocabulary().diseases.label(iri))


def _body(hdab: Hdab) -> Party:
    return Party(iri=f"{hdab.url.partition('#')[0]}#hdab", name=hdab.name, contact=hdab.url)


def _type(version: DatasetVersion) -> Typed:
    """The stated type; else what follows from the facts. The EU's list has no code for personal data: DPV's term is."""
    if version.metadata.dataset_type is not None:
        code = version.metadata.dataset_type
        return Typed(code=code, label=code.replace("_", " ").lower())
    if version.metadata.simulated:
        return Typed(code="SYNTHETIC_DATA", label="synthetic data")
    return Typed(code=_DPV + "PersonalData", label="personal data", listed=False)


def _purposes(iris: tuple[str, ...]) -> tuple[Named, ...]:
    purposes = load_vocabulary().purposes
    return tuple(Named(iri=iri, label=purposes.label(iri)) for iri in iris)


def _way_in(version: DatasetVersion, access_url: str) -> Copy:
    if version.metadata.access == "public":
        return Copy(title="The rows, open to everybody", access_url=access_url)
    return Copy(
        title="Used inside the connector only; results leave after release checks",
        description="Access is negotiated over the Dataspace Protocol; computations come to the data.",
        access_url=access_url,
        rights="Rows never leave the data holder.",
    )


def _sample(sample: Sample) -> Copy:
    return Copy(
        title=sample.title,
        description="Synthetic rows made from this dataset; no row describes a person.",
        access_url=sample.url,
        media_type=sample.media_type,
    )

"""``STUDY.yaml``: the form in which a researcher writes down a study, and how it becomes a plan."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from synthema.budget import rho_of
from synthema.canonical import digest
from synthema.datasets.codebook import Codebook
from synthema.errors import InputError
from synthema.federation.model import SMALLEST_GROUP, Output, PlanMember, PluginUse, StudyPlan
from synthema.ids import new_id
from synthema.values import Closed, first_problem, fix_for_unknown

NO_PRIVACY = "none"
HELD_OUT = 0.2
"""The share of patients that synthetic rows are measured against, unless a study says otherwise."""
SCHEMA_ID = "https://w3id.org/synthema/study.schema.json"


class PluginChoice(Closed):
    """A plugin by name, with its parameters."""

    plugin: str
    parameters: dict[str, Any] = Field(default_factory=dict)


class SiteChoice(Closed):
    """A site and the dataset it is asked for."""

    did: str = Field(pattern=r"^did:\S+$")
    dataset: str


class CatalogueQuery(Closed):
    """Which datasets are asked for, where the sites are not named: those whose catalogue record holds all words."""

    words: tuple[str, ...] = Field(min_length=1, description="words that the record holds, in whatever field")
    sites: tuple[str, ...] = Field(default=(), description="only these sites (DID); without it, all partners")


class PrivacyChoice(Closed):
    """The differential privacy the whole study may spend at each site, for one patient."""

    epsilon: float = Field(gt=0)
    delta: float = Field(gt=0, lt=1)


def _none_in_words(schema: dict[str, Any]) -> None:
    """Say in the JSON Schema that no noise is written as a word."""
    schema["anyOf"] = [{"enum": [NO_PRIVACY, None]} if each == {"type": "null"} else each for each in schema["anyOf"]]


class StudyFile(Closed):
    """What a researcher decides.

    Instead of ``sites``, ``catalogue: {words: [mgus, progression]}`` asks every partner whose catalogue record holds
    these words.
    A study that ends in a report of aggregate figures (``outputs: [report]``) names a federated analysis as its
    algorithm, e.g. ``statistics`` or ``regression``; it has no rows, no evaluators and no hold-out, and its action
    is ``query aggregate``, ``analyse`` or ``train model``. A complete file::

    title: Progression from MGUS
    codebook: mgus
    purpose: https://w3id.org/synthema/ns#RareDiseaseResearch
    action: synthesise
    sites:
      - {did: "did:web:hospital-a.example", dataset: mgus-2026}
      - {did: "did:web:hospital-b.example", dataset: mgus-2026}
      - {did: "did:web:hospital-c.example", dataset: mgus-2026}
    fields: [age, sex, hgb]
    anonymiser: {plugin: minimise, parameters: {k: 5}}
    algorithm: {plugin: marginals}
    aggregator: {plugin: secure-sum}
    evaluators: [{plugin: evaluation}]
    privacy: {epsilon: 3.0, delta: 1.0e-6}
    rounds: 2
    minimum_sites: 3
    tolerated_colluders: 1
    holdout: 0.2
    rows: 1000
    outputs: [synthetic]
    permit: https://hdab.example/id/permit/permit-1
    """

    title: str = Field(min_length=3, max_length=200)
    codebook: str = Field(description="name of a bundled dictionary, or path of a codebook beside the study file")
    purpose: str
    action: str
    permit: str | None = Field(
        default=None, description="IRI of the data permit the study rests on, beside the agreements (EHDS Art. 68)"
    )
    sites: tuple[SiteChoice, ...] = Field(default=(), description="the sites that are asked, each with its dataset")
    catalogue: CatalogueQuery | None = Field(
        default=None, description="instead of sites: what to look for in the partners' catalogues"
    )
    fields: tuple[str, ...] = Field(min_length=1)
    anonymiser: PluginChoice
    algorithm: PluginChoice
    aggregator: PluginChoice = PluginChoice(plugin="secure-sum")
    evaluators: tuple[PluginChoice, ...] = ()
    privacy: PrivacyChoice | None = Field(
        description="what one patient may lose; 'none' for a report of exact sums, which only some policies permit",
        json_schema_extra=_none_in_words,
    )
    rounds: int = Field(ge=1, le=10_000)
    minimum_sites: int = Field(ge=SMALLEST_GROUP)
    tolerated_colluders: int = Field(default=1, ge=0)
    stability: int = Field(
        default=1,
        ge=1,
        description="rows that one patient can change after anonymisation: 1 when small classes are refused, "
        "k when they are suppressed; the noise grows with it, and a site refuses a study that says too little",
    )
    holdout: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description=f"share of patients kept apart to measure the rows with: {HELD_OUT} unless said; none for a report",
    )
    rows: int = Field(default=0, ge=0, description="synthetic rows to make; none for a report")
    outputs: tuple[Output, ...] = Field(
        default=("synthetic",),
        min_length=1,
        max_length=1,
        description="what comes out: synthetic rows with a certificate, once every site has measured them; or a "
        "report of aggregate figures, once every site has permitted it to leave",
    )

    @model_validator(mode="after")
    def _says_where(self) -> Self:
        if (self.catalogue is None) == (not self.sites):
            raise ValueError("sites: name the sites, or give a catalogue query, and not both")
        if self.sites and len(self.sites) < SMALLEST_GROUP:
            raise ValueError(f"sites: a sum of fewer than {SMALLEST_GROUP} sites protects nobody")
        return self

    @field_validator("privacy", mode="before")
    @classmethod
    def _reads_none(cls, value: Any) -> Any:
        return None if value == NO_PRIVACY else value

    @model_validator(mode="after")
    def _fits_its_output(self) -> Self:
        if self.output == "synthetic":
            if self.privacy is None:
                raise ValueError("privacy: synthetic rows need epsilon and delta; only a report can do without noise")
            return self
        unfit = {"rows": self.rows, "evaluators": self.evaluators, "holdout": self.holdout}
        for field, value in unfit.items():
            if value:
                raise ValueError(f"{field}: a report is made of sums over all patients and has none")
        return self

    @property
    def output(self) -> Output:
        """What comes out."""
        return self.outputs[0]

    def with_sites(self, sites: tuple[SiteChoice, ...]) -> StudyFile:
        """The same study with the sites that a catalogue query found; raises :class:`InputError` for too few."""
        if len(sites) < self.minimum_sites:
            raise InputError(
                f"the catalogue query finds {len(sites)} sites, and the study needs {self.minimum_sites}",
                fix="ask for fewer words, or find more partners",
            )
        return self.model_copy(update={"sites": sites, "catalogue": None})

    @property
    def plugins(self) -> tuple[str, ...]:
        """Names of all plugins the study uses."""
        chosen = (self.anonymiser, self.algorithm, self.aggregator, *self.evaluators)
        return tuple(dict.fromkeys(choice.plugin for choice in chosen))

    def plan(
        self,
        study_id: str,
        coordinator: str,
        *,
        agreements: Mapping[str, str],
        digests: Mapping[str, str],
        codebook: Codebook,
    ) -> StudyPlan:
        """The plan of this study.

        ``agreements`` gives each site's agreement (did → id), ``digests`` each
        plugin's digest (name → digest), ``codebook`` the one after anonymisation. Raises
        :class:`InputError` naming what is missing or does not fit together.
        """

        def use(choice: PluginChoice) -> PluginUse:
            if choice.plugin not in digests:
                raise InputError(f"the plugin '{choice.plugin}' is not approved here", fix="approve it first")
            return PluginUse(plugin=choice.plugin, digest=digests[choice.plugin], parameters=choice.parameters)

        epsilon, delta = (0.0, 0.0) if self.privacy is None else (self.privacy.epsilon, self.privacy.delta)
        missing = [site.did for site in self.sites if site.did not in agreements]
        if missing:
            raise InputError(f"there is no agreement with {', '.join(missing)}", fix="negotiate the agreements first")
        try:
            return StudyPlan(
                id=study_id,
                title=self.title,
                purpose=self.purpose,
                action=self.action,
                coordinator=coordinator,
                members=tuple(
                    PlanMember(did=site.did, dataset=site.dataset, agreement=agreements[site.did])
                    for site in self.sites
                ),
                fields=self.fields,
                anonymiser=use(self.anonymiser),
                algorithm=use(self.algorithm),
                aggregator=use(self.aggregator),
                evaluators=tuple(use(choice) for choice in self.evaluators),
                output=self.output,
                epsilon=epsilon,
                delta=delta,
                rho=rho_of(epsilon, delta) if epsilon else 0.0,
                permit=self.permit,
                rounds=self.rounds,
                minimum_sites=self.minimum_sites,
                tolerated_colluders=self.tolerated_colluders,
                stability=self.stability,
                holdout=(HELD_OUT if self.holdout is None else self.holdout) if self.output == "synthetic" else 0.0,
                rows=self.rows,
                codebook=codebook,
                codebook_digest=codebook.digest,
            )
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            message = first["msg"].removeprefix("Value error, ")
            said = f"{field}: {message}" if field else message
            raise InputError(said, fix="correct the study file") from error


def schema_text() -> str:
    """The JSON Schema of study files, as published in ``connector/docs/reference/study.schema.json``."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID}
    return json.dumps(schema | StudyFile.model_json_schema(), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def load_study(path: Path) -> StudyFile:
    """Read a study file; raises :class:`InputError` naming file, line and field."""
    try:
        text = path.read_text(encoding="utf-8")
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        return StudyFile.model_validate(yaml.safe_load(text))
    except FileNotFoundError as error:
        raise InputError("no such study file", where=str(path), fix="give the path of a STUDY.yaml") from error
    except UnicodeDecodeError as error:
        raise InputError("the file is not UTF-8 text", where=str(path), fix="save it as UTF-8") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise InputError(
            f"not valid YAML: {getattr(error, 'problem', error)}", where=f"{path}{line}", fix="mend that line"
        ) from error
    except ValidationError as error:
        raise _located(error, path, tree) from error


def check_study(path: Path, codebook: Codebook) -> StudyFile:
    """Read a study file and try the plan it would make with the codebook of the sites' datasets.

    So what does not fit together is found, with its line, before anybody is asked. Raises :class:`InputError`.
    """
    study = load_study(path)
    for field in study.fields:
        codebook.variable(field)
    if study.catalogue is not None:
        return study
    try:
        study.plan(
            new_id("study"), "did:web:coordinator.invalid", agreements={site.did: "agreement" for site in study.sites},
            digests={name: digest(name) for name in study.plugins}, codebook=codebook,
        )  # fmt: skip
    except InputError as error:
        field = error.message.partition(":")[0]
        tree = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        where = f"{path}:{_line_of(tree, (field,))}"
        raise InputError(error.message, where=where, fix=f"correct '{field}'") from error
    return study


def _located(error: ValidationError, path: Path, tree: yaml.Node | None) -> InputError:
    """The first thing to mend, with its line."""
    first = first_problem(error)
    field = ".".join(str(part) for part in first["loc"]) or "study"
    message = first["msg"].removeprefix("Value error, ")
    named, _, rest = message.partition(": ")
    if not first["loc"] and named in StudyFile.model_fields:  # of several fields together; the message names the one
        return InputError(message, where=f"{path}:{_line_of(tree, (named,))}", fix=f"correct '{named}': {rest}")
    where = f"{path}:{_line_of(tree, first['loc'])}"
    if first["type"] != "extra_forbidden":
        return InputError(f"{field}: {message}", where=where, fix=f"correct '{field}'")
    key = str(first["loc"][-1])
    return InputError(f"{field}: a study has no such key", where=where, fix=fix_for_unknown(key, StudyFile))


def _line_of(node: yaml.Node | None, location: tuple[int | str, ...]) -> int:
    """The line of the deepest part of the location that the file has."""
    line = node.start_mark.line + 1 if node is not None else 1
    for part in location:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == part), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            found = (node.value[part], node.value[part])
        else:
            found = None
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line

"""``STUDY.yaml``: the form in which a researcher writes down a study, and how it becomes a plan."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError

from synthema.budget import rho_of
from synthema.datasets.codebook import Codebook
from synthema.errors import InputError
from synthema.federation.model import SMALLEST_GROUP, PlanMember, PluginUse, StudyPlan
from synthema.values import Closed, first_problem, fix_for_unknown


class PluginChoice(Closed):
    """A plugin by name, with its parameters."""

    plugin: str
    parameters: dict[str, Any] = Field(default_factory=dict)


class SiteChoice(Closed):
    """A site and the dataset it is asked for."""

    did: str = Field(pattern=r"^did:\S+$")
    dataset: str


class PrivacyChoice(Closed):
    """The differential privacy the whole study may spend at each site, for one patient."""

    epsilon: float = Field(gt=0)
    delta: float = Field(gt=0, lt=1)


class StudyFile(Closed):
    """What a researcher decides.

    A complete file::

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
    """

    title: str = Field(min_length=3, max_length=200)
    codebook: str = Field(description="name of a bundled dictionary, or path of a codebook beside the study file")
    purpose: str
    action: str
    sites: tuple[SiteChoice, ...] = Field(min_length=SMALLEST_GROUP)
    fields: tuple[str, ...] = Field(min_length=1)
    anonymiser: PluginChoice
    algorithm: PluginChoice
    aggregator: PluginChoice = PluginChoice(plugin="secure-sum")
    evaluators: tuple[PluginChoice, ...] = ()
    privacy: PrivacyChoice
    rounds: int = Field(ge=1, le=10_000)
    minimum_sites: int = Field(ge=SMALLEST_GROUP)
    tolerated_colluders: int = Field(default=1, ge=0)
    stability: int = Field(
        default=1,
        ge=1,
        description="rows that one patient can change after anonymisation: 1 when small classes are refused, "
        "k when they are suppressed; the noise grows with it, and a site refuses a study that says too little",
    )
    holdout: float = Field(default=0.2, ge=0, lt=1)
    rows: int = Field(ge=0)

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
                epsilon=self.privacy.epsilon,
                delta=self.privacy.delta,
                rho=rho_of(self.privacy.epsilon, self.privacy.delta),
                rounds=self.rounds,
                minimum_sites=self.minimum_sites,
                tolerated_colluders=self.tolerated_colluders,
                stability=self.stability,
                holdout=self.holdout,
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


def _located(error: ValidationError, path: Path, tree: yaml.Node | None) -> InputError:
    """The first thing to mend, with its line."""
    first = first_problem(error)
    field = ".".join(str(part) for part in first["loc"]) or "study"
    where = f"{path}:{_line_of(tree, first['loc'])}"
    if first["type"] != "extra_forbidden":
        message = first["msg"].removeprefix("Value error, ")
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

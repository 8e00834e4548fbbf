"""``plugin.toml``: what a plugin says about itself, before any of its code is read.

The file lies beside the package's ``__init__.py``. A complete one::

    #:schema https://w3id.org/synthema/plugin.schema.json
    spec_version = 1                      # version of this file's form; always 1 for now
    name = "marginals"                    # how policies, grants and the log call it; never reused for another plugin
    version = "0.1.0"                     # PEP 440
    title = "Noisy marginals"             # a few words for lists
    description = "Counts how often values occur together, under noise, and draws synthetic rows from the counts."
    api = ">=0.1,<1"                      # versions of synthema.spi it works with
    kind = "federated-algorithm"          # a key of synthema.spi.hookspecs.KINDS
    capabilities = ["federated_open", "federated_contribute", "federated_absorb", "federated_sample"]
    data_categories = ["ClinicalRecord"]  # what it reads: local names of the Synthema ontology, or IRIs
    inputs = ["pseudonymised"]            # lowest protection it may be given …
    outputs = ["synthetic"]               # … and what comes out: personal, pseudonymised, anonymised, masked,
                                          #   aggregate or synthetic
    metrics = []                          # evaluators: the metric ids they measure
    network = "none"                      # there is no other value
    licence = "Apache-2.0"                # SPDX
    extras = ["scipy"]                    # distributions that must be installed beside it
    # environment = "/opt/anonymeter/bin/python"   # only if it cannot share our interpreter

    [guarantee]
    kind = "differential-privacy"         # see GuaranteeKind
    unit = "patient"                      # whose presence is hidden: patient, row, site or none
    assurance = "tested"                  # proven, tested or declared
    assumptions = ["bounds and categories come from the codebook", "at least three sites take part"]

    [[parameters]]                        # one table for each; a parameter without default must be given,
    name = "degree"                       #   unless it says optional = true
    type = "integer"                      # integer, number, boolean, string, array (of items), object (text → items)
    minimum = 1
    maximum = 3
    default = 2
    description = "how many variables are counted together"
"""

from __future__ import annotations

import json
import math
import sys
import tomllib
from pathlib import Path
from typing import Any, Literal, Self

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version
from pydantic import Field, JsonValue, ValidationError, field_validator, model_validator

from synthema.canonical import canonical_json
from synthema.errors import InputError, PluginError
from synthema.spi.hookspecs import HOOKS, KINDS, OPTIONAL
from synthema.spi.model import Assurance, Parameters
from synthema.values import Closed

API_VERSION = "0.1.0"
"""Version of the plugin interface; a plugin's ``api`` must accept it."""

_KIND_NAMES: list[JsonValue] = [*sorted(KINDS)]
MAX_PARAMETER_BYTES = 256 * 1024
MANIFEST_NAME = "plugin.toml"
SCHEMA_ID = "https://w3id.org/synthema/plugin.schema.json"

OutputClass = Literal["personal", "pseudonymised", "anonymised", "synthetic", "aggregate", "masked"]
GuaranteeKind = Literal[
    "none",
    "differential-privacy",
    "secure-aggregation",
    "k-anonymity",
    "minimisation",
    "small-cell-suppression",
]
Unit = Literal["patient", "row", "site", "none"]
Scalar = Literal["integer", "number", "boolean", "string"]
ParameterType = Literal["integer", "number", "boolean", "string", "array", "object"]


class Guarantee(Closed):
    """What the plugin promises, for whom, and how far the promise has been shown."""

    kind: GuaranteeKind = Field(description="the kind of protection that the plugin itself gives")
    unit: Unit = Field(description="whose presence or value is protected")
    assurance: Assurance = Field(
        description="proven: a published proof; tested: measured by tests; declared: said only"
    )
    assumptions: tuple[str, ...] = Field(default=(), description="sentences that must hold for the promise to hold")

    @model_validator(mode="after")
    def _names_a_unit(self) -> Self:
        if (self.kind == "none") != (self.unit == "none"):
            raise ValueError("kind and unit are both 'none', or neither is")
        return self


class Parameter(Closed):
    """One setting of a plugin, checked before a run starts.

    ``minimum`` and ``maximum`` bound a number, or each number of an array or
    object; ``choices`` lists every allowed text; ``maximum_items`` bounds the
    length of an array, an object, or a text in characters.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    type: ParameterType
    items: Scalar | None = Field(default=None, description="type of the values of an array or object")
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    maximum_items: int = Field(default=1000, gt=0)
    default: Any = None
    optional: bool = False
    description: str = Field(min_length=1)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if (self.type in ("array", "object")) != (self.items is not None):
            raise ValueError(f"parameter {self.name}: 'items' belongs to an array or an object, and only there")
        if self.default is not None:
            try:
                self.check(self.default)
            except InputError as error:
                raise ValueError(f"the default is not allowed: {error.message}") from error
        return self

    def check(self, value: Any) -> None:
        """Raise :class:`InputError` unless the value is of the declared type and inside its bounds."""
        if self.type in ("array", "object"):
            inner = self._collection(value)
            for item in inner:
                self._check_scalar(self.items or "string", item)
        else:
            self._check_scalar(self.type, value)

    def _collection(self, value: Any) -> list[Any]:
        wanted = list if self.type == "array" else dict
        if not isinstance(value, wanted):
            raise self._refusal(f"must be an {self.type}", f"give an {self.type} of {self.items} values")
        if len(value) > self.maximum_items:
            raise self._refusal(f"has {len(value)} items", f"give at most {self.maximum_items}")
        return list(value) if isinstance(value, list) else list(value.values())

    def _check_scalar(self, wanted: str, value: Any) -> None:
        if not _is_of_type(wanted, value):
            raise self._refusal(f"must be of type {wanted}, not {type(value).__name__}", f"give a value of {wanted}")
        if isinstance(value, str):
            self._check_text(value)
        elif not isinstance(value, bool):
            self._check_number(value)

    def _check_text(self, value: str) -> None:
        if self.choices and value not in self.choices:
            raise self._refusal(f"'{value[:40]}' is not one of its choices", f"use one of: {', '.join(self.choices)}")
        if len(value) > self.maximum_items:
            raise self._refusal(f"has {len(value)} characters", f"give at most {self.maximum_items}")

    def _check_number(self, value: float) -> None:
        if self.minimum is not None and value < self.minimum:
            raise self._refusal(f"is {value}, below its minimum", f"give at least {self.minimum:g}")
        if self.maximum is not None and value > self.maximum:
            raise self._refusal(f"is {value}, above its maximum", f"give at most {self.maximum:g}")

    def _refusal(self, what: str, fix: str) -> InputError:
        return InputError(f"parameter '{self.name}' {what}", fix=fix, where=f"parameters.{self.name}")


class Manifest(Closed):
    """A plugin's description of itself; see the module's text for a complete example."""

    spec_version: Literal[1]
    name: str = Field(pattern=r"^[a-z][a-z0-9-]{1,62}$")
    version: str
    title: str = Field(min_length=3, max_length=80)
    description: str = Field(min_length=10, max_length=600, description="what it does, in a sentence for a DPO")
    api: str = Field(description="versions of synthema.spi it works with, e.g. >=0.1,<1")
    kind: str = Field(json_schema_extra={"enum": _KIND_NAMES})
    capabilities: tuple[str, ...] = Field(min_length=1, description="names of the hooks it implements, all of them")
    data_categories: tuple[str, ...] = Field(min_length=1, description="local names of the ontology, or IRIs")
    inputs: tuple[OutputClass, ...] = Field(min_length=1)
    outputs: tuple[OutputClass, ...] = Field(min_length=1)
    guarantee: Guarantee
    metrics: tuple[str, ...] = Field(default=(), description="ids of the figures an evaluator or analysis measures")
    network: Literal["none"]
    licence: str = Field(min_length=2, description="SPDX expression")
    extras: tuple[str, ...] = Field(default=(), description="distributions that must be installed beside it")
    environment: str | None = Field(default=None, description="interpreter of its own: absolute path, or name on PATH")
    parameters: tuple[Parameter, ...] = ()

    @field_validator("version")
    @classmethod
    def _is_a_version(cls, value: str) -> str:
        try:
            Version(value)
        except InvalidVersion as error:
            raise ValueError("is not a version; write it like 0.1.0") from error
        return value

    @field_validator("api")
    @classmethod
    def _accepts_this_interface(cls, value: str) -> str:
        try:
            accepts = API_VERSION in SpecifierSet(value)
        except InvalidSpecifier as error:
            raise ValueError("is not a version range; write it like >=0.1,<1") from error
        if not accepts:
            raise ValueError(f"the plugin wants synthema.spi {value}, this is {API_VERSION}")
        return value

    @model_validator(mode="after")
    def _implements_whole_kinds(self) -> Self:
        if self.kind not in KINDS:
            raise ValueError(f"kind '{self.kind}' is none of: {', '.join(sorted(KINDS))}")
        unknown = set(self.capabilities) - HOOKS
        if unknown:
            raise ValueError(f"capabilities: there is no hook named {', '.join(sorted(unknown))}")
        self._refuse_missing(self.kind)
        whole = {hook for kind in self.kinds for hook in KINDS[kind]}
        for kind, hooks in KINDS.items():  # kinds may share hooks, so only a hook of no whole kind is a part
            if set(hooks) & set(self.capabilities) - whole:
                self._refuse_missing(kind)
        for kind, hooks in OPTIONAL.items():
            if set(hooks) & set(self.capabilities):
                self._refuse_missing(kind)
        names = [parameter.name for parameter in self.parameters]
        if len(set(names)) != len(names) or len(set(self.capabilities)) != len(self.capabilities):
            raise ValueError("a parameter or a capability is named twice")
        return self

    def _refuse_missing(self, kind: str) -> None:
        missing = set(KINDS[kind]) - set(self.capabilities)
        if missing:
            raise ValueError(f"capabilities: a plugin of kind {kind} also has {', '.join(sorted(missing))}")

    @property
    def kinds(self) -> tuple[str, ...]:
        """Every kind this plugin implements in full; its main kind is :attr:`kind`."""
        return tuple(kind for kind, hooks in KINDS.items() if set(hooks) <= set(self.capabilities))

    def validate_parameters(self, parameters: Parameters) -> Parameters:
        """The parameters with defaults filled in; raises :class:`InputError` naming the first that is wrong."""
        if len(canonical_json(parameters)) > MAX_PARAMETER_BYTES:
            raise InputError("the parameters are too long", fix=f"send at most {MAX_PARAMETER_BYTES} bytes of them")
        known = {parameter.name: parameter for parameter in self.parameters}
        unknown = sorted(set(parameters) - set(known))
        if unknown:
            raise InputError(
                f"plugin '{self.name}' has no parameter '{unknown[0][:40]}'",
                fix=f"use only: {', '.join(known) or 'no parameters'}",
                where=f"parameters.{unknown[0][:40]}",
            )
        given: Parameters = {}
        for name, parameter in known.items():
            value = parameters.get(name, parameter.default)
            if value is not None:
                parameter.check(value)
                given[name] = value
            elif not parameter.optional:
                raise InputError(
                    f"parameter '{name}' is missing",
                    fix=f"give {name}: {parameter.description}",
                    where=f"parameters.{name}",
                )
        return given


def _is_of_type(wanted: str, value: Any) -> bool:
    if wanted in ("integer", "number"):
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return math.isfinite(value) and (wanted == "number" or isinstance(value, int))
    return isinstance(value, bool if wanted == "boolean" else str)


def load_manifest(path: Path) -> Manifest:
    """Read a ``plugin.toml``; raises :class:`PluginError` naming the file, the field and what to write."""
    try:
        return Manifest.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise PluginError(
            f"the plugin has no {MANIFEST_NAME}", where=str(path), fix="put one beside the package's __init__.py"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PluginError(f"not valid TOML: {error}", where=str(path), fix="mend the line named above") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "manifest"
        raise PluginError(
            f"{field}: {first['msg'].removeprefix('Value error, ')}",
            where=str(path),
            fix=f"correct '{field}'; the form is described in plugins/plugin.schema.json",
        ) from error


_CLASS_WORDS: dict[OutputClass, str] = {
    "personal": "personal data",
    "pseudonymised": "pseudonymised personal data",
    "anonymised": "rows made anonymous",
    "synthetic": "synthetic rows",
    "aggregate": "aggregate figures",
    "masked": "masked vectors, meaningless one by one",
}
_ASSURANCE_WORDS: dict[Assurance, str] = {
    "proven": "rests on a published proof",
    "tested": "has been measured by tests, not proven",
    "declared": "is only declared by its author",
}


def describe(manifest: Manifest) -> list[str]:
    """What the data protection officer sees before approving, one sentence each."""
    takes = " or ".join(_CLASS_WORDS[value] for value in manifest.inputs)
    gives = " and ".join(_CLASS_WORDS[value] for value in manifest.outputs)
    sentences = [
        f"{manifest.title} ({manifest.name} {manifest.version}) is a plugin of kind {' and '.join(manifest.kinds)}.",
        manifest.description,
        f"It reads {takes} of the categories {', '.join(manifest.data_categories)} and gives back {gives}.",
        _guarantee_sentence(manifest.guarantee),
    ]
    sentences += [f"It assumes that {assumption}." for assumption in manifest.guarantee.assumptions]
    if manifest.metrics:
        sentences.append(f"It measures {', '.join(manifest.metrics)}.")
    sentences.append("It has no network, sees no other files, and runs in the sandbox only.")
    if manifest.environment:
        sentences.append(f"It runs in an interpreter of its own, {manifest.environment}.")
    sentences += [_parameter_sentence(parameter) for parameter in manifest.parameters]
    sentences.append(f"Its licence is {manifest.licence}.")
    return sentences


def _guarantee_sentence(guarantee: Guarantee) -> str:
    if guarantee.kind == "none":
        return "It gives no privacy guarantee of its own."
    words = guarantee.kind.replace("-", " ")
    return f"It offers {words} for each {guarantee.unit}; this {_ASSURANCE_WORDS[guarantee.assurance]}."


def _parameter_sentence(parameter: Parameter) -> str:
    bounds = []
    if parameter.minimum is not None:
        bounds.append(f"at least {parameter.minimum:g}")
    if parameter.maximum is not None:
        bounds.append(f"at most {parameter.maximum:g}")
    if parameter.choices:
        bounds.append(f"one of {', '.join(parameter.choices)}")
    if parameter.default is not None:
        bounds.append(f"{parameter.default} unless said otherwise")
    detail = f" ({', '.join(bounds)})" if bounds else ""
    return f"Its parameter '{parameter.name}' is {parameter.description}{detail}."


def schema_text() -> str:
    """The JSON Schema of ``plugin.toml`` as published in ``plugins/plugin.schema.json``."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        **Manifest.model_json_schema(),
    }
    return json.dumps(schema, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text())

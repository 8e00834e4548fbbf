"""Every name that a room writes into the log is defined in ``ontologies/``, with a label and a definition."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyoxigraph
import pytest
import yaml

from synthema.consent.model import ConsentState, OptOutState
from synthema.provenance.model import SYNTHEMA, term
from synthema.runs.sandbox import IsolationReport, Machine
from synthema.spi.loader import installed
from synthema.vocabulary import load_vocabulary
from synthema.vocabulary.namespaces import SKOS
from tests.docs.markdown import ROOT

CORE = ROOT / "connector" / "synthema"
_CAMEL = re.compile(r"^[A-Z][a-z]+(?:[A-Z][a-z]+)*$")

# Words in capitals that are no steps or things of ours: PROV-O's kinds of agents, a W3C type, and the start of a name.
NOT_OURS = {"Person", "Organization", "SoftwareAgent", "VerifiableCredential", "Budget"}
# Names that are put together while the connector runs.
COMPOSED = {"BudgetSpend", "BudgetCancel"} | {f"changedTo{state}" for state in (*ConsentState, *OptOutState)}
ALWAYS = {"digest", "recordedAt"}


def _terms(path: Path) -> dict[str, set[str]]:
    """Local name → predicates said of it, in one Turtle file."""
    found: dict[str, set[str]] = {}
    for quad in pyoxigraph.parse(path=path, format=pyoxigraph.RdfFormat.TURTLE):
        subject, predicate = quad.subject, quad.predicate
        if isinstance(subject, pyoxigraph.NamedNode) and subject.value.startswith(SYNTHEMA):
            found.setdefault(subject.value.removeprefix(SYNTHEMA), set()).add(predicate.value)
    return found


DEFINED = {
    name
    for path in (ROOT / "ontologies").glob("*.ttl")
    for name, said in _terms(path).items()
    if {SKOS + "prefLabel", SKOS + "definition"} <= said
}


def _recording() -> list[Path]:
    """The files that make activities or entities, and the one that says what a run was prepared from."""
    made = (
        path for path in CORE.rglob("*.py") if re.search(r"\b(Activity|Entity)\(", path.read_text(encoding="utf-8"))
    )
    return sorted({*made, CORE / "runs" / "session.py"} - {CORE / "provenance" / "model.py"})


def _types(tree: ast.Module) -> Iterator[str]:
    """Every text in the code that reads like a class; docstrings left out."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = {
        id(n.body[0].value) for n in ast.walk(tree) if isinstance(n, documented) and isinstance(n.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) and id(node) not in docstrings else None
        if isinstance(text, str) and _CAMEL.match(text) and text not in NOT_OURS:
            yield text


def _attributes(tree: ast.Module) -> Iterator[str]:
    """Keys of what is given as ``attributes``, there or in a variable that is."""
    given = [k.value for n in ast.walk(tree) if isinstance(n, ast.Call) for k in n.keywords if k.arg == "attributes"]
    names = {"attributes", "facts"} | {value.id for value in given if isinstance(value, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name) and target.id in names:
                    given.append(node.value)
                if (
                    isinstance(target, ast.Subscript)
                    and isinstance(target.value, ast.Name)
                    and target.value.id in names
                ):
                    yield from _texts([target.slice])
    for value in given:
        for part in ast.walk(value):
            if isinstance(part, ast.Dict):
                yield from _texts(part.keys)


def _texts(nodes: Iterable[ast.expr | None]) -> Iterator[str]:
    return (node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))


@pytest.mark.parametrize("path", _recording(), ids=lambda path: str(path.relative_to(CORE)))
def test_steps_things_and_what_is_said_of_them_are_defined(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    local = {name for name in (*_types(tree), *_attributes(tree)) if term(name).startswith(SYNTHEMA)}
    assert not local - DEFINED, f"define in ontologies/provenance.ttl: {sorted(local - DEFINED)}"


def test_names_that_are_put_together_are_defined() -> None:
    nothing = Machine("", "", 0, 0, seccomp=False, user_namespaces=False, bubblewrap=None, gvisor=None)
    report = IsolationReport(0, (), 0, "", (), namespaces=False, machine=nothing)
    assert not (COMPOSED | ALWAYS | set(report.as_attributes())) - DEFINED


def test_the_search_sees_what_the_rooms_record() -> None:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in _recording()]
    types = {name for tree in trees for name in _types(tree)}
    keys = {name for tree in trees for name in _attributes(tree)}
    assert {"PolicyDecision", "Granting", "Run", "Release", "RoundContribution", "Ingest", "Grant"} <= types
    assert {"effect", "rho", "rhoRemaining", "stateBefore", "members", "codebookDigest", "excludedPatients"} <= keys


def test_figures_that_gates_and_plugins_name_are_defined() -> None:
    named = {metric for plugin in installed().values() for metric in plugin.manifest.metrics}
    for path in (ROOT / "legal" / "dpia").glob("*.yaml"):
        assessment = yaml.safe_load(path.read_text(encoding="utf-8"))
        named |= {metric["id"] for metric in assessment["metrics"]}
        named |= {gate["evidence"].removeprefix("syn:") for gate in assessment["gates"]}
    assert named
    assert not named - DEFINED, f"define in ontologies/provenance.ttl: {sorted(named - DEFINED)}"


def test_terms_of_the_log_are_not_offered_to_policies() -> None:
    said = _terms(ROOT / "ontologies" / "provenance.ttl")
    assert not [name for name, predicates in said.items() if SKOS + "inScheme" in predicates]
    assert not set(said) & set(_terms(ROOT / "ontologies" / "synthema.ttl")), "each term is defined in one file"
    load_vocabulary()

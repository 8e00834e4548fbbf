"""The ODRL test suite (SolidLab, imec, MIT) through the product's own evaluator.

Each of its 68 cases names a policy, a request, a state of the world and the compliance report that is
expected. The evaluator writes its report as RDF, and every state the expected report gives is compared:
activation, attempt and (where given) performance and deontic states, and each premise with its satisfaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from synthema.errors import SynthemaError
from synthema.policy.evaluator import Options, compliance_report, evaluate, read_request, read_world
from synthema.policy.intake import Graph, Syntax, read_graph, read_policies
from tests.conformance.suite import STANDARDS, Case

DATA = STANDARDS / "odrl-test-suite" / "data"
EX = "http://example.org/"
ODRL = "http://www.w3.org/ns/odrl/2/"
REPORT = "https://w3id.org/force/compliance-report#"
KINDS = {"policies": (ODRL + "Set",), "requests": (ODRL + "Request",), "sotw": (EX + "Sotw",)}
STATES = ("attemptState", "activationState", "performanceState", "deonticState")
COMPARED = ("constraintLogicalOperand", "constraintLeftOperand", "constraintOperator", "constraintRightOperand")


def strict_cases() -> Iterator[Case]:
    """Our reading for health data: a duty that is not yet fulfilled keeps a permission from being used."""
    return _cases(Options(duties="strict"))


def lax_cases() -> Iterator[Case]:
    """The suite's reading: only a violated duty keeps a permission from being used."""
    return _cases(Options(duties="lax"))


def _cases(options: Options) -> Iterator[Case]:
    graphs = _everything()
    for path in sorted((DATA / "test_cases").glob("*.ttl")):
        expected = _graph(path)
        (case,) = expected.of_type(EX + "TestCase")
        policy, request, world = (graphs[_one(expected, case, EX + name)] for name in ("policy", "request", "sotw"))
        try:
            evaluation = evaluate(
                read_policies(policy), read_world(world), read_request(request), sources=[policy], options=options
            )
            ours = read_graph(compliance_report(evaluation, "force", Syntax.N_QUADS), Syntax.N_QUADS)
            problems = list(_differences(expected, ours))
        except SynthemaError as error:
            problems = [f"{type(error).__name__}: {error}"]
        yield Case(path.stem, "; ".join(problems))


@cache
def _everything() -> Mapping[str, Graph]:
    """Every policy, request and state of the world by its name, each in a graph of its own.

    They must not be mixed: several policies give the same constraint another operator.
    """
    graphs: dict[str, Graph] = {}
    for folder, kinds in KINDS.items():
        for path in sorted((DATA / folder).glob("*.ttl")):
            graph = _graph(path)
            (name,) = graph.of_type(*kinds)
            graphs[name] = graph
    return graphs


def _graph(path: Path) -> Graph:
    return read_graph(path.read_bytes(), Syntax.TURTLE, where=path.name)


def _differences(expected: Graph, ours: Graph) -> Iterator[str]:
    """What our report says otherwise than the expected one, or does not say."""
    mine = {_one(ours, report, REPORT + "rule"): report for report, _ in ours.pairs(REPORT + "rule")}
    for report in expected.of_type(*(REPORT + name for name in ("PermissionReport", "ProhibitionReport"))):
        rule = _one(expected, report, REPORT + "rule")
        if rule not in mine:
            yield f"there is no report on {rule}"
            continue
        own = mine[rule]
        if set(expected.types(report)) != set(ours.types(own)):
            yield f"another kind of report on {rule}"
        for state in (*STATES, "ruleRequest"):
            wanted = expected.iris(report, REPORT + state)
            if wanted and wanted != (said := ours.iris(own, REPORT + state)):
                yield f"{state} is {_short(said)}, the suite says {_short(wanted)}"
        if expected.iris(report, REPORT + "conditionReport") and not ours.iris(own, REPORT + "conditionReport"):
            yield "there is no report on the duty"
        yield from _premises(expected, report, ours, own)


def _premises(expected: Graph, report: str, ours: Graph, own: str) -> Iterator[str]:
    """The premises of two reports, found by the constraint they are about or else by their kind."""
    wanted, said = _by_what(expected, report), _by_what(ours, own)
    # Case 065 links to premises of which it says nothing; then those it tells are compared.
    complete = len(wanted) == len(expected.iris(report, REPORT + "premiseReport"))
    if set(wanted) - set(said) or (complete and set(said) - set(wanted)):
        yield f"other premises: {sorted(set(wanted) ^ set(said))}"
    for what in set(wanted) & set(said):
        for state in ("satisfactionState", *COMPARED):
            told = expected.objects(wanted[what], REPORT + state)
            if told and _values(told) != (mine := _values(ours.objects(said[what], REPORT + state))):
                yield f"{state} of {what} is {sorted(mine)}, the suite says {sorted(_values(told))}"
        yield from _premises(expected, wanted[what], ours, said[what])


def _by_what(graph: Graph, report: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for premise in graph.iris(report, REPORT + "premiseReport"):
        for what in (*graph.iris(premise, REPORT + "constraint"), *graph.types(premise))[:1]:
            found[what] = premise
    return found


def _values(nodes: tuple[object, ...]) -> set[str]:
    """Values as text, times with their zeros left out."""
    return {str(getattr(node, "value", node)).replace("000Z", "Z") for node in nodes}


def _short(iris: tuple[str, ...]) -> str:
    return ", ".join(iri.removeprefix(REPORT) for iri in iris) or "not said"


def _one(graph: Graph, subject: str, predicate: str) -> str:
    (only,) = graph.iris(subject, predicate)
    return only

"""``synthema policy``: analysis before activation, on files or at a connector."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synthema.cli.client import call
from synthema.cli.files import read_text, read_yaml, write_new
from synthema.cli.options import HERE, HomeOption
from synthema.cli.output import Format, FormatOption, answer, say, show_table
from synthema.cli.policy import PolicyArgument
from synthema.errors import InputError

if TYPE_CHECKING:
    from synthema.policy.analysis import CaseFile, CaseResult
    from synthema.policy.model import Policy
    from synthema.vocabulary import Vocabulary

_PANEL = "Analysis before activation"

WithOption = Annotated[
    list[Path] | None,
    typer.Option("--with", help="A policy of another layer, or an inherited one; repeatable.", metavar="FILE.yaml"),
]
AtOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        help="Folder of a connector, to take its law, policies and facts; only the files given if left out.",
        show_default=False,
        metavar="DIR",
    ),
]
DraftOption = Annotated[
    Path | None,
    typer.Option("--draft", help="A policy to decide under instead.", show_default=False, metavar="FILE.yaml"),
]
CasesOption = Annotated[
    list[Path] | None,
    typer.Option("--cases", help="A file of cases; the bundled ones if left out; repeatable.", metavar="FILE.yaml"),
]


def add_to(app: typer.Typer) -> None:
    """Put these commands beside those that write policies."""
    for name, command in (
        ("lint", lint),
        ("test", run_test),
        ("coverage", coverage),
        ("diff", diff),
        ("what-if", what_if),
        ("replay", replay),
    ):
        app.command(name, rich_help_panel=_PANEL)(command)


def lint(
    file: Annotated[
        Path, typer.Argument(help="A policy in the form of a DPO, or a folder of them.", metavar="FILE.yaml|DIR")
    ],
    beside: WithOption = None,
    home: AtOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Check a policy for mistakes, gaps and contradictions, alone and beside the law; exits 2 when one must be mended.

    Example: synthema policy lint research.yaml --with dataset.yaml

    Of a folder, every policy below it is checked by itself, with one line each and a sum.
    """
    if file.is_dir():
        clean = _lint_folder(file, beside or [], home, output)
    else:
        value = _found_in(file, beside or [], home)
        clean = bool(value["clean"])
        answer(value, output, lambda found: _show_findings(file, found))
    if not clean:
        raise typer.Exit(InputError.exit_status)


def _found_in(file: Path, beside: list[Path], home: Path | None) -> dict[str, Any]:
    if home is None:
        return _linted(file, beside)
    value: dict[str, Any] = call(home, "policy/lint", {"text": read_text(file), "file": str(file)})
    return value


def _show_findings(file: Path, found: dict[str, Any]) -> None:
    for finding in found["findings"]:
        rule = f" {finding['rule'].rpartition('#')[2]}:" if finding["rule"] else ""
        where = f" ({finding['where']})" if finding["where"] else ""
        say(f"{finding['severity']}:{rule} {finding['sentence']}{where}", f"  Fix: {finding['fix']}")
        if finding.get("example"):
            say(f"  For example: {finding['example']}")
    clean = "understood in full, and nothing stands against it"
    say(f"{file}: {clean if found['clean'] else 'mend the errors above'}.")


def _lint_folder(folder: Path, beside: list[Path], home: Path | None, output: Format) -> bool:
    """Check every policy below a folder; returns whether none must be mended."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".yaml", ".yml") and path.is_file())
    policies = [path for path in files if _may_be_a_policy(path)]
    if not policies:
        raise InputError("there are no policies here", where=str(folder), fix="give a policy, or a folder of policies")
    found = [_outcome(path, beside, home) for path in policies]
    clean = sum(bool(one["clean"]) for one in found)
    others = len(files) - len(policies)

    def show(_value: dict[str, Any]) -> None:
        say(*(f"{'ok' if one['clean'] else 'MEND'}  {one['file']}: {one['sentence']}" for one in found))
        rest = f" {others} other YAML files are no policies." if others else ""
        say(f"{clean} of {len(found)} policies need no mending.{rest}")

    answer({"clean": clean, "others": others, "policies": found}, output, show)
    return clean == len(found)


def _may_be_a_policy(path: Path) -> bool:
    """Whether a file says of which layer it is, as every policy does; one that cannot be read is to be mended."""
    try:
        return "layer" in read_yaml(path)
    except InputError:
        return True


def _outcome(path: Path, beside: list[Path], home: Path | None) -> dict[str, Any]:
    """What is found in one policy of a folder, and a sentence on it; what cannot be read is one finding, too."""
    try:
        value = _found_in(path, [each for each in beside if each.resolve() != path.resolve()], home)
    except InputError as error:  # the other policies are checked all the same
        said = f"{error.message}{f' ({error.where})' if error.where else ''}. Fix: {error.fix}"
        return {"file": str(path), "policy": None, "clean": False, "findings": [], "sentence": said}
    kinds = Counter(finding["severity"] for finding in value["findings"])
    said = ", ".join(f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in sorted(kinds.items()))
    return {"file": str(path), **value, "sentence": said or "nothing stands against it"}


def _linted(file: Path, beside: list[Path]) -> dict[str, Any]:
    from synthema.policy.analysis import analyse, placed, rule_places
    from synthema.policy.analysis.example import with_examples

    policy, others, vocabulary = _policies(file, beside)
    places = rule_places(read_text(file), str(file), policy)
    findings = placed(analyse(policy, vocabulary, others, notes=True), places)
    return {
        "policy": policy.id,
        "clean": not any(finding.severity == "error" for finding in findings),
        "findings": with_examples(findings, vocabulary),
    }


def diff(
    old: Annotated[Path, typer.Argument(help="The old version.", metavar="OLD.yaml")],
    new: Annotated[Path, typer.Argument(help="The new version.", metavar="NEW.yaml")],
    beside: WithOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Say which requests a new version answers otherwise, alone or --with other layers: every class, with an example.

    Example: synthema policy diff research-1.yaml research-2.yaml
    """
    from synthema.policy.analysis import compare
    from synthema.policy.analysis.example import example

    first, _, vocabulary = _policies(old, beside or [], law=False)
    second, others, _ = _policies(new, beside or [], law=bool(beside))
    found = compare(first, second, vocabulary, beside=others)

    def show(_value: dict[str, Any]) -> None:
        for difference in found.differences:
            say(difference.sentence, f"  For example: {example(difference.request, vocabulary)}")
        if not found.differences or not found.complete:
            say(found.sentences()[-1])
        else:
            count = len(found.differences)
            classes = "class of requests is" if count == 1 else "classes of requests are"
            say(f"{count} {classes} answered otherwise; every other request is answered alike.")

    answer({"old": first.version, "new": second.version, "policy": second.id, **found.record()}, output, show)


def what_if(
    request: Annotated[Path, typer.Argument(help="A request in the words of policy cases.", metavar="REQUEST.yaml")],
    policy: Annotated[
        list[Path] | None,
        typer.Option("--policy", help="A policy to decide under, beside the law; repeatable.", metavar="FILE.yaml"),
    ] = None,
    draft: DraftOption = None,
    home: AtOption = None,
    agreement: Annotated[
        str | None, typer.Option("--agreement", help="At a connector: what the request rests on.", show_default=False)
    ] = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Decide a request that nobody makes, and say what single fact would turn the decision.

    Example: synthema policy what-if request.yaml --home clinic --draft research-2.yaml
    """
    if home is not None:
        value = {"request": read_text(request), "file": str(request)}
        value |= {"agreement": agreement} if agreement else {}
        value |= {"draft": read_text(draft)} if draft else {}
        found = call(home, "policy/what-if", value)
    else:
        found = _supposed(request, policy or [], draft)

    def show(told: dict[str, Any]) -> None:
        say(*told["sentences"])
        if told["turns"]:
            say("", *(turn["sentence"] for turn in told["turns"]))
        if told["draft"] is not None:
            changed = "otherwise" if told["draft"]["changed"] else "the same way"
            say("", f"Under the draft it would be decided {changed}:", *told["draft"]["sentences"])

    answer(found, output, show)


def _supposed(request: Path, policies: list[Path], draft: Path | None) -> dict[str, Any]:
    from synthema.clock import SystemClock
    from synthema.policy.analysis import inherited, read_what_if, resolved
    from synthema.policy.analysis import what_if as suppose
    from synthema.policy.compile import compile_policies
    from synthema.policy.law import union_law
    from synthema.policy.model import Layer
    from synthema.vocabulary import load_vocabulary

    vocabulary = load_vocabulary()
    asked = read_what_if(read_text(request), vocabulary, file=str(request), now=SystemClock().now())
    given = [_parse(path, vocabulary) for path in policies]
    if not any(each.layer is Layer.UNION for each in given):
        given.append(union_law(vocabulary))
    other = None if draft is None else _parse(draft, vocabulary)
    if other is not None:
        other = next(p for p in resolved([other, *(g for g in given if g.id != other.id)]) if p.id == other.id)
    parents = inherited(given)
    counting = [each for each in resolved(given) if (each.id, each.version) not in parents]
    return suppose(compile_policies(counting, vocabulary), asked, other).record()


def replay(
    since: Annotated[str, typer.Option("--since", help="First day (or time with zone) to look at.", metavar="DATE")],
    draft: DraftOption = None,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Decide again what was decided; exits 1 if one comes out otherwise, or with --draft says what it would change.

    Example: synthema policy replay --since 2026-09-01 --draft research-2.yaml --home clinic
    """
    value = {"since": since} | ({"draft": read_text(draft), "file": str(draft)} if draft else {})
    found = call(home, "policy/replay", value)

    def show(told: dict[str, Any]) -> None:
        rows = [d for d in told["decisions"] if d["same"] is not True]
        if rows:
            show_table(
                ("Run", "Decided", "Then", "Now", "What"),
                ((d["run"], d["at"][:19], d["effect"], d["now"] or "–", d["sentence"]) for d in rows),
                empty="",
            )
        say(told["sentence"])

    answer(found, output, show)
    if draft is None and found["different"]:
        raise typer.Exit(1)


def coverage(
    file: PolicyArgument,
    cases: CasesOption = None,
    beside: WithOption = None,
    at_least: Annotated[
        int, typer.Option("--at-least", min=0, max=100, help="Exit 1 when less than this is shown, in percent.")
    ] = 0,
    output: FormatOption = Format.TEXT,
) -> None:
    """Say which rules and conditions of a policy its cases show, and which cases to write for the rest.

    Example: synthema policy coverage research.yaml --cases cases.yaml --at-least 80
    """
    from synthema.policy.analysis import cover

    policy, others, vocabulary = _policies(file, beside or [])
    files = [each for path in cases or [None] for each in _case_files(path, vocabulary)]  # type: ignore[list-item]
    about = [each for each in files if each.policy == policy.id]
    if not about:
        raise InputError(f"there are no cases about {policy.id}", where=str(file), fix="give a file with --cases")
    found = cover(policy, about, vocabulary, others)

    def show(_value: dict[str, Any]) -> None:
        for gap in found.gaps:
            say(gap.sentence)
            say(gap.case or "  No request was found that would show it.")
        say(f"The cases show {found.shown} of {found.total} ({found.percent} %) of what {policy.id} says.")

    answer(found.record(), output, show)
    if found.percent < at_least:
        raise typer.Exit(1)


def run_test(
    cases: Annotated[
        Path | None,
        typer.Argument(help="A file of cases, or a folder of them; the bundled cases if left out.", show_default=False),
    ] = None,
    policy: Annotated[
        list[Path] | None,
        typer.Option("--policy", help="A policy the cases are about, or it inherits; repeatable.", metavar="FILE.yaml"),
    ] = None,
    junit: Annotated[
        Path | None,
        typer.Option("--junit", help="Also write the results as JUnit XML.", show_default=False, metavar="FILE.xml"),
    ] = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Decide written-down cases and compare with the decisions they must get; exits 1 when one differs.

    Example: synthema policy test cases/research.yaml --policy research.yaml
    """
    from synthema.policy.analysis import case_record
    from synthema.policy.analysis.junit import junit_xml
    from synthema.vocabulary import load_vocabulary

    vocabulary = load_vocabulary()
    given = [_parse(path, vocabulary) for path in policy or []]
    by_file = [(file, _run(file, given, vocabulary)) for file in _case_files(cases, vocabulary)]
    results = [result for _, found in by_file for result in found]
    passed = sum(result.passed for result in results)
    if junit is not None:
        write_new(junit, junit_xml(by_file).encode())

    def show(_value: dict[str, Any]) -> None:
        say(*(f"{'ok' if result.passed else 'FAILED'}  {result.sentence}" for result in results))
        say(f"{passed} of {len(results)} cases get the decision they must get.")

    answer({"passed": passed, "cases": [case_record(result) for result in results]}, output, show)
    if passed < len(results):
        raise typer.Exit(1)


def _case_files(path: Path | None, vocabulary: Vocabulary) -> tuple[CaseFile, ...]:
    from synthema.policy.analysis import load_case_files, read_cases

    if path is not None and not path.is_dir():
        return (read_cases(read_text(path), vocabulary, file=str(path)),)
    found = load_case_files(vocabulary, path)
    if not found:
        raise InputError("there are no cases here", where=str(path or "policies/cases"), fix="give a file of cases")
    return found


def _run(file: CaseFile, given: list[Policy], vocabulary: Vocabulary) -> tuple[CaseResult, ...]:
    """The results of a file's cases under the policy they are about and those beside it."""
    from synthema.policy.analysis import inherited, resolved, run_cases
    from synthema.policy.law import union_law
    from synthema.policy.model import Layer

    about = [each for each in given if each.id == file.policy]
    policies = [*(each for each in file.beside if not about or each.id != file.policy), *about]
    if not any(each.id == file.policy for each in policies):
        raise InputError(f"these cases are about {file.policy}, which is not given", fix="add --policy with its file")
    if not any(each.layer is Layer.UNION for each in policies):
        policies.append(union_law(vocabulary))  # counts at every connector, so also here
    counting = {each.id for each in policies}
    parents = inherited(given)
    every = resolved([*policies, *(e for e in given if (e.id, e.version) in parents and e.id not in counting)])
    return run_cases(file.cases, [each for each in every if each.id in counting], vocabulary, standing=file.standing)


def _policies(file: Path, beside: list[Path], *, law: bool = True) -> tuple[Policy, list[Policy], Vocabulary]:
    """A policy with what it inherits, and those beside it: the bundled Union law unless another is given."""
    from synthema.policy.analysis import inherited, resolved
    from synthema.policy.law import union_law
    from synthema.policy.model import Layer
    from synthema.vocabulary import load_vocabulary

    vocabulary = load_vocabulary()
    policy = _parse(file, vocabulary)
    others = [_parse(path, vocabulary) for path in beside]
    parents = inherited([policy, *others])
    if law and not any(each.layer is Layer.UNION for each in (policy, *others)):
        others.append(union_law(vocabulary))
    whole = {each.id: each for each in resolved([*others, policy])}
    standing_beside = [whole[o.id] for o in others if o.id != policy.id and (o.id, o.version) not in parents]
    return whole[policy.id], standing_beside, vocabulary


def _parse(file: Path, vocabulary: Vocabulary) -> Policy:
    from synthema.policy.authoring import parse_policy

    return parse_policy(read_text(file), vocabulary, file=str(file))

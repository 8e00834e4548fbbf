"""``synthema policy``: writing and understanding policies, without any connector."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synthema.cli.files import read_text, write_new
from synthema.cli.options import assignments
from synthema.cli.output import Format, FormatOption, answer, say, show_table
from synthema.errors import InputError

if TYPE_CHECKING:
    from synthema.policy.cases import CaseFile, CaseResult
    from synthema.policy.model import Policy
    from synthema.vocabulary import Vocabulary

app = typer.Typer(help="Policies: write, check, explain, test, sign.")

PolicyArgument = Annotated[Path, typer.Argument(help="A policy in the form of a DPO.", metavar="FILE.yaml")]


@app.command("templates")
def templates(output: FormatOption = Format.TEXT) -> None:
    """List the templates to start from, with the values each one needs.

    Example: synthema policy templates
    """
    from synthema.policy.templates import placeholders, template_names

    known = [{"template": name, "values": list(placeholders(name))} for name in template_names()]
    answer(
        known,
        output,
        lambda rows: show_table(
            ("Template", "Needs"), ((r["template"], ", ".join(r["values"])) for r in rows), empty="There are none."
        ),
    )


@app.command("new")
def new(
    template: Annotated[str, typer.Argument(help="Name of a template; see: synthema policy templates")],
    values: Annotated[
        list[str] | None, typer.Option("--set", help="A value the template needs; repeatable.", metavar="KEY=VALUE")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="File to write; printed if left out.", metavar="FILE", show_default=False),
    ] = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Make a policy from a template.

    Example: synthema policy new study-agreement --set name=mgus --set epsilon=3 -o agreement.yaml
    """
    from synthema.policy.templates import render

    text = render(template, assignments(values or [], "--set"))
    if file is not None:
        write_new(file, text.encode())
    made = {"policy": text, "file": str(file) if file else None}
    done = f"{file} is written. Next: synthema policy lint {file}"
    answer(made, output, lambda value: say(done if file else value["policy"].rstrip("\n")))


@app.command("lint")
def lint(file: PolicyArgument, output: FormatOption = Format.TEXT) -> None:
    """Check a policy for mistakes, gaps and contradictions; exits 2 when something must be mended.

    Example: synthema policy lint research.yaml
    """
    from synthema.policy.analyse import analyse

    policy, vocabulary = _read(file)
    findings = [
        {"severity": f.severity, "code": f.code, "rule": f.rule, "sentence": f.sentence, "fix": f.fix}
        for f in analyse(policy, vocabulary)
    ]
    faulty = any(finding["severity"] == "error" for finding in findings)

    def show(value: dict[str, Any]) -> None:
        for finding in value["findings"]:
            rule = f" {finding['rule'].rpartition('#')[2]}:" if finding["rule"] else ""
            say(f"{finding['severity']}:{rule} {finding['sentence']}", f"  Fix: {finding['fix']}")
        say(f"{file}: {'mend the errors above' if faulty else 'understood in full, and nothing stands against it'}.")

    answer({"policy": policy.id, "findings": findings, "clean": not faulty}, output, show)
    if faulty:
        raise typer.Exit(InputError.exit_status)


@app.command("explain")
def explain(file: PolicyArgument, output: FormatOption = Format.TEXT) -> None:
    """Say in plain sentences what a policy means.

    Example: synthema policy explain research.yaml
    """
    from synthema.policy.explain import explain_policy

    policy, vocabulary = _read(file)
    answer(
        {"policy": policy.id, "sentences": list(explain_policy(policy, vocabulary))},
        output,
        lambda value: say(*value["sentences"]),
    )


@app.command("test")
def run_test(
    cases: Annotated[
        Path | None,
        typer.Argument(help="A file of cases, or a folder of them; the bundled cases if left out.", show_default=False),
    ] = None,
    policy: Annotated[
        list[Path] | None,
        typer.Option("--policy", help="A policy that the cases are about; repeatable.", metavar="FILE.yaml"),
    ] = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Decide written-down cases and compare with the decisions they must get; exits 1 when one differs.

    Example: synthema policy test cases/research.yaml --policy research.yaml
    """
    from synthema.policy.cases import case_record
    from synthema.vocabulary import load_vocabulary

    vocabulary = load_vocabulary()
    given = [_read(path)[0] for path in policy or []]
    results = [r for file in _case_files(cases, vocabulary) for r in _run(file, given, vocabulary)]
    passed = sum(result.passed for result in results)

    def show(_value: dict[str, Any]) -> None:
        say(*(f"{'ok' if result.passed else 'FAILED'}  {result.sentence}" for result in results))
        say(f"{passed} of {len(results)} cases get the decision they must get.")

    answer({"passed": passed, "cases": [case_record(result) for result in results]}, output, show)
    if passed < len(results):
        raise typer.Exit(1)


def _case_files(path: Path | None, vocabulary: Vocabulary) -> tuple[CaseFile, ...]:
    from synthema.policy.cases import load_case_files, read_cases

    if path is not None and not path.is_dir():
        return (read_cases(read_text(path), vocabulary, file=str(path)),)
    found = load_case_files(vocabulary, path)
    if not found:
        raise InputError("there are no cases here", where=str(path or "policies/cases"), fix="give a file of cases")
    return found


def _run(file: CaseFile, given: list[Policy], vocabulary: Vocabulary) -> tuple[CaseResult, ...]:
    """The results of a file's cases under the policy they are about and those beside it."""
    from synthema.policy.cases import run_cases
    from synthema.policy.law import union_law
    from synthema.policy.model import Layer

    policies = {each.id: each for each in (*file.beside, *(p for p in given if p.id == file.policy))}
    if file.policy not in policies:
        raise InputError(f"these cases are about {file.policy}, which is not given", fix="add --policy with its file")
    if not any(each.layer is Layer.UNION for each in policies.values()):
        law = union_law(vocabulary)  # counts at every connector, so also here
        policies[law.id] = law
    return run_cases(file.cases, policies.values(), vocabulary, standing=file.standing)


def _read(file: Path) -> tuple[Policy, Vocabulary]:
    from synthema.policy.authoring import parse_policy
    from synthema.vocabulary import load_vocabulary

    vocabulary = load_vocabulary()
    return parse_policy(read_text(file), vocabulary, file=str(file)), vocabulary

from __future__ import annotations

from functools import cache

import pytest
import yaml

from synthema.errors import InputError, NotFoundError
from synthema.policy import Policy, analyse, parse_policy, placeholders, render, template_names
from synthema.resources import bundled
from tests.unit.policy.sample import VALUES, V, template

HEADINGS = ("In plain words", "  Permits ", "  Permits not ", "  You decide ", "  Rests on ")


@cache
def case_file(name: str) -> dict[str, object]:
    text = (bundled("policies") / "cases" / f"{name}.yaml").read_text(encoding="utf-8")
    return dict(yaml.load(text, Loader=yaml.BaseLoader))  # noqa: S506 - BaseLoader makes strings only


def values_of(name: str) -> dict[str, str]:
    """The values with which the cases of a template fill it: what a site may take as a first setting."""
    (found,) = [part["values"] for part in case_file(name)["with"] if part.get("template") == name]  # type: ignore[attr-defined]
    return dict(found)


def rendered(name: str) -> Policy:
    return parse_policy(render(name, values_of(name)), V, file=f"{name}.yaml")


@pytest.mark.article("GDPR 5(1)(b)")
@pytest.mark.parametrize("name", template_names())
def test_every_template_has_cases_of_its_own_and_is_clean(name: str) -> None:
    policy = rendered(name)
    assert set(placeholders(name)) == set(values_of(name))
    assert policy.id == case_file(name)["policy"]
    assert [f.sentence for f in analyse(policy, V) if f.severity == "error" and name != "study-agreement"] == []
    expected = {case["expect"] for case in case_file(name)["cases"]}  # type: ignore[attr-defined]
    assert expected == {"permit", "deny"}


@pytest.mark.parametrize("name", template_names())
def test_every_template_opens_in_plain_words(name: str) -> None:
    text = (bundled("policies") / "templates" / f"{name}.yaml").read_text(encoding="utf-8")
    head = text[: text.index("\npolicy:")]
    assert all(line.startswith("#") for line in head.splitlines())
    places = [head.index(heading) for heading in HEADINGS]
    assert places == sorted(places)


@pytest.mark.parametrize("name", template_names())
def test_every_rule_of_a_template_is_shown_to_decide(name: str) -> None:
    shown = {case.get("because") for case in case_file(name)["cases"]}  # type: ignore[attr-defined]
    rules = {rule.id.rpartition("#")[2] for rule in rendered(name).rules if rule.kind != "obligation"}
    # What the law forbids anyway, or another layer leaves out first, cannot be the only reason in a case.
    assert rules - shown <= {"no-reidentification", "release", "analysis", "evaluation"}


@pytest.mark.parametrize("name", VALUES)
def test_the_values_of_the_demo_fill_a_template(name: str) -> None:
    assert set(placeholders(name)) == set(VALUES[name])
    assert template(name).rules


def test_missing_and_superfluous_values_are_refused() -> None:
    values = dict(VALUES["dataset-consented-research"])
    del values["disease"]
    with pytest.raises(InputError, match="lacks a value for: disease"):
        render("dataset-consented-research", values)
    with pytest.raises(InputError, match="no gap called: colour"):
        render("dataset-consented-research", {**VALUES["dataset-consented-research"], "colour": "red"})
    with pytest.raises(NotFoundError, match="no template"):
        render("../law/ehds", {})


@pytest.mark.parametrize("title", ["x\nforbid: []", "a: b", "'; drop", "{}", "#hidden", "- x", "*a", '"', "é ε", "x:"])
def test_a_value_never_changes_the_form(title: str) -> None:
    values = {**VALUES["dataset-consented-research"], "title": title}
    if "\n" in title:
        with pytest.raises(InputError, match="several lines"):
            render("dataset-consented-research", values)
        return
    policy = parse_policy(render("dataset-consented-research", values), V)
    assert policy.title == title
    assert len(policy.rules) == 3

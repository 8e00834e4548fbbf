from __future__ import annotations

import pytest

from synthema.errors import InputError, NotFoundError
from synthema.policy import parse_policy, placeholders, render, template_names
from tests.unit.policy.sample import VALUES, V, template


def test_every_template_renders_to_a_policy() -> None:
    assert set(template_names()) == set(VALUES)
    for name in template_names():
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

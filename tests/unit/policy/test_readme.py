"""What the README shows to data protection officers is really taken."""

from __future__ import annotations

import re

from synthema.policy import analyse, parse_policy
from synthema.resources import bundled
from tests.unit.policy.sample import V


def test_the_example_of_the_readme_is_understood_and_clean() -> None:
    text = (bundled("policies") / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    policy = parse_policy(example, V)
    assert len(policy.rules) == 2
    assert analyse(policy, V) == ()
    for name in re.findall(r"`((?:law|templates|cases)/[a-z-]+\.yaml)`", text):
        assert (bundled("policies") / name).is_file()

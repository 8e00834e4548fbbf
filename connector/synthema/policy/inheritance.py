"""Policies that take over the rules of others, made into policies that stand alone.

A rule keeps its identifier, its datasets, its parties and its articles when another
policy takes it over, and it knows where it was written. It counts in the period of the policy that
inherits it, which has to lie inside the parent's: nobody can prolong a rule by inheriting it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import NoReturn

from synthema.errors import NotFoundError, PolicyLoadError
from synthema.policy.model import Parent, Policy, Rule, SiteDecision

Find = Callable[[Parent], Policy]
"""Gives the version of a policy that is inherited; raises :class:`NotFoundError` where there is none."""

MAX_DEPTH = 16
_EARLIEST = datetime.min.replace(tzinfo=UTC)
_LATEST = datetime.max.replace(tzinfo=UTC)


def resolve(policy: Policy, find: Find) -> Policy:
    """The policy with all rules of its parents and theirs, each once; a policy without parents as it is.

    Raises :class:`PolicyLoadError` for a parent that is unknown, of another layer, of another version
    than another way to it names, in a circle, or not in force for the whole period of the policy.
    """
    if not policy.inherits:
        return policy
    line = tuple(_line(policy, find, ()))
    _check_versions(line)
    rules: dict[str, Rule] = {}
    decisions: dict[str, SiteDecision] = {}
    for each in line:
        for rule in each.rules:
            taken = _explicit(each, rule, own=each is policy)
            if rules.setdefault(rule.id, taken) != taken:
                _refuse(
                    f"{policy.id} would hold two different rules with the identifier {rule.id}",
                    "give the rules of each policy identifiers below its own",
                )
        for decision in each.site_decisions:
            decisions.setdefault(decision.operand, decision)
    return replace(
        policy,
        rules=tuple(rules.values()),
        assignees=(),
        law=(),
        site_decisions=tuple(decisions.values()),
        inherits=(),
    )


def _line(policy: Policy, find: Find, path: tuple[str, ...]) -> Iterator[Policy]:
    """A policy, then its parents with theirs, depth first; one that is reached twice comes twice."""
    if policy.id in path:
        _refuse(f"{policy.id} inherits from itself, by way of {path[-1]}", "take one of the parents out of the circle")
    if len(path) >= MAX_DEPTH:
        _refuse(f"{path[0]} inherits over more than {MAX_DEPTH} steps", "inherit from the policies at the top directly")
    yield policy
    for parent in policy.inherits:
        found = _found(policy, parent, find)
        _check_parent(policy, found)
        yield from _line(found, find, (*path, policy.id))


def _found(policy: Policy, parent: Parent, find: Find) -> Policy:
    try:
        found = find(parent)
    except NotFoundError as error:
        raise PolicyLoadError(
            f"{policy.id} inherits from {parent.policy}, version {parent.version}, which is not to be had: "
            f"{error.message}",
            fix=error.fix,
        ) from error
    if (found.id, found.version) != (parent.policy, parent.version):
        _refuse(f"another policy was found in place of {parent.policy}", "give the policy and version that is named")
    return found


def _check_parent(policy: Policy, parent: Policy) -> None:
    if parent.layer is not policy.layer:
        _refuse(
            f"{policy.id} ({policy.layer}) inherits from {parent.id}, which speaks for another layer ({parent.layer})",
            "inherit within a layer: the layers are joined when a request is decided",
        )
    starts = (policy.effective_from or _EARLIEST) >= (parent.effective_from or _EARLIEST)
    ends = (policy.effective_to or _LATEST) <= (parent.effective_to or _LATEST)
    if not (starts and ends):
        _refuse(
            f"{policy.id} counts at times at which {parent.id}, version {parent.version}, does not",
            "give it a period inside the parent's, or inherit from another version",
        )


def _check_versions(line: tuple[Policy, ...]) -> None:
    versions: dict[str, str] = {}
    for each in line:
        if versions.setdefault(each.id, each.version) != each.version:
            _refuse(
                f"{line[0].id} inherits from {each.id} in the versions {versions[each.id]} and {each.version}",
                "name the same version on both ways",
            )


def _explicit(policy: Policy, rule: Rule, *, own: bool) -> Rule:
    """A rule with what it has from its policy written into it, and where it comes from."""
    return replace(
        rule,
        targets=policy.targets_of(rule),
        assignees=policy.assignees_of(rule),
        law=policy.law_of(rule),
        origin=rule.origin or ("" if own else policy.id),
    )


def _refuse(message: str, fix: str) -> NoReturn:
    raise PolicyLoadError(message, fix=fix)

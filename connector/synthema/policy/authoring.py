"""The form a data protection officer writes, read into the model.

    policy: research
    title: Research with synthetic data
    layer: site
    version: 1
    law: [GDPR 9(2)(j), EHDS 53(1)(e)]
    targets: any dataset of this site
    permit:
      - action: synthesise
        when:
          purpose is: health research
          epsilon at most: 6

A condition reads "operand comparison: value". An action, a dataset or a party is narrowed
with "… where:" and conditions below it. What is not understood refuses the policy whole,
and all that is not understood is named at once: file, line, and the nearest known term.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from synthema.policy import phrases
from synthema.policy.form import Spot, read_form
from synthema.policy.form_conditions import Conditions
from synthema.policy.form_reader import Block, Reader, checked
from synthema.policy.form_rules import Named, Rules
from synthema.policy.model import ANY_DATASET, Layer, Parent, Policy, Rule, SiteDecision
from synthema.policy.problems import Problems
from synthema.policy.wellformed import check_policy
from synthema.vocabulary import Vocabulary

DEFAULT_BASE = "https://w3id.org/synthema"


def parse_policy(text: str, vocabulary: Vocabulary, *, file: str = "policy.yaml", base: str = DEFAULT_BASE) -> Policy:
    """Read a form. Short names become ``<base>/id/policy/…``, ``…/dataset/…`` and ``…/collection/…``.

    Raises :class:`PolicyLoadError` whose ``where`` is ``file:line``; where several things are
    wrong it is a :class:`~synthema.policy.problems.SeveralProblemsError` that holds each.
    """
    reader = Reader(vocabulary, base.rstrip("/"), Problems())
    return _Form(reader, Rules(reader, Conditions(reader))).policy(read_form(text, file))


@dataclass(frozen=True, slots=True)
class _Form:
    reader: Reader
    rules: Rules

    def policy(self, root: Spot) -> Policy:
        reader = self.reader
        block = reader.block(root, phrases.POLICY_KEYS, "policy")
        reader.require(block, ("policy", "title", "layer", "version"))
        unnamed = f"{reader.base}/id/policy/unnamed"
        policy_id = reader.take(block, "policy", lambda s: reader.iri(s, s.text("policy"), "policy"), unnamed)
        reader.take(block, "conflict", _conflict, None)
        starts, ends = reader.take(block, "effective", self._effective, (None, None))
        targets = reader.take(block, "targets", self._targets, Named())
        policy = Policy(
            id=policy_id,
            layer=reader.take(block, "layer", lambda s: reader.one_of(s, phrases.LAYERS, "layer"), Layer.SITE),
            version=reader.text(block, "version"),
            title=reader.text(block, "title"),
            rules=self._rules(block, policy_id),
            targets=targets.iris or (ANY_DATASET,),
            assigner=reader.take(block, "assigner", lambda s: reader.party(s, s.text("assigner")), None),
            assignees=reader.take(block, "assignees", self._assignees, Named()).iris,
            law=reader.take(block, "law", reader.law, ()),
            effective_from=starts,
            effective_to=ends,
            site_decisions=reader.take(block, "confirmed", self._decisions, ()),
            inherits=reader.take(block, "inherits", lambda s: self._inherits(s, policy_id), ()),
        )
        if policy.assignees:
            self._refuse_any_party(block)
        reader.problems.raise_if_any()
        checked(root, lambda: check_policy(policy, reader.vocabulary))
        return policy

    def _rules(self, block: Block, policy_id: str) -> tuple[Rule, ...]:
        found: list[Rule] = []
        for section, kind in phrases.SECTIONS.items():
            for number, entry in enumerate(self._entries(block, section), start=1):
                read = partial(self.rules.rule, entry, kind, policy_id, f"{section}-{number}")
                rule = self.reader.problems.attempt(read, None)
                if rule is None:
                    continue
                if rule.id in {other.id for other in found}:
                    name = rule.id.removeprefix(f"{policy_id}#")
                    self.reader.problems.add(
                        entry.error(f"another rule has the same identifier '{name}'", "give each rule its own id")
                    )
                found.append(rule)
        return tuple(found)

    def _entries(self, block: Block, section: str) -> tuple[Spot, ...]:
        return self.reader.take(block, section, lambda spot: spot.listed(section), ())

    def _targets(self, spot: Spot) -> Named:
        return self.rules.named(spot, "targets", self.reader.dataset, narrowed=False)

    def _assignees(self, spot: Spot) -> Named:
        return self.rules.named(spot, "assignees", self.reader.party, narrowed=False)

    def _refuse_any_party(self, block: Block) -> None:
        """A rule that names nobody is about the parties of the policy, so "any party" in it would not mean any."""
        for section in phrases.SECTIONS:
            for entry in block[section].items(section) if section in block and block[section].is_list else ():
                for key, value in entry.pairs("a rule") if entry.is_mapping else ():
                    if key.is_text("assignees") and value.is_text(phrases.ANY_PARTY_WORDS):
                        problem = key.error(
                            "the policy is for certain parties, so none of its rules is for any party",
                            "leave the line out, or remove 'assignees' of the policy and name them in each rule",
                        )
                        self.reader.problems.add(problem)

    def _inherits(self, spot: Spot, policy_id: str) -> tuple[Parent, ...]:
        found: list[Parent] = []

        def parent(item: Spot) -> None:
            text = item.text("inherits")
            name, joint, version = re.sub(r",(?= version )", "", text).partition(phrases.OF_VERSION)
            if not joint or not version.strip() or not name.strip():
                item.fail(f"'{text[:80]}' does not name a version", "write it like 'research-base version 3'")
            iri = self.reader.iri(item, name.strip(), "policy")
            if iri == policy_id or iri in {other.policy for other in found}:
                item.fail(f"'{name}' is this policy itself, or is named twice", "name each other policy once")
            found.append(Parent(iri, version.strip()))

        self.reader.each(spot.items("inherits"), parent)
        return tuple(found)

    def _effective(self, spot: Spot) -> tuple[datetime | None, datetime | None]:
        block = self.reader.block(spot, ("from", "to"), "period")
        starts, ends = (self.reader.take(block, key, self.reader.moment, None) for key in ("from", "to"))
        if starts is not None and ends is not None and starts >= ends:
            spot.fail("the policy ends before it begins", "put 'from' before 'to'")
        return starts, ends

    def _decisions(self, spot: Spot) -> tuple[SiteDecision, ...]:
        terms = self.reader.vocabulary.operand_terms
        seen: set[str] = set()
        confirmed: set[str] = set()

        def decision(line: tuple[Spot, Spot]) -> SiteDecision:
            key, reason = line
            operand = self.reader.resolve(key, key.name(seen), terms)
            if operand in confirmed:
                key.fail(f"'{terms.name(operand)}' is confirmed twice", "confirm each operand once")
            confirmed.add(operand)
            return SiteDecision(operand, reason.text("the reason"))

        found = [self.reader.problems.attempt(partial(decision, line), None) for line in spot.pairs("confirmed")]
        return tuple(item for item in found if item is not None)


def _conflict(spot: Spot) -> None:
    if spot.text("conflict").casefold() not in phrases.CONFLICT_WORDS:
        spot.fail("another conflict strategy than 'prohibition wins' is not supported", "remove the line")

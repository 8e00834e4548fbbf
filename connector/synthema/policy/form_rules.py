"""Rules of a form: what is permitted, forbidden or obliged, on what, for whom, and which duties come with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from synthema.policy import phrases
from synthema.policy.form import Spot
from synthema.policy.form_conditions import Conditions
from synthema.policy.form_reader import NAME, Block, Reader, checked
from synthema.policy.model import Duty, Event, Kind, Refinement, Rule, Timing
from synthema.policy.wellformed import RESERVED, check_duty, check_rule, is_iri
from synthema.vocabulary import Datatype

_SETTLING = "a {what} is due at once, before anything else is permitted, so it has no '{name}'"


@dataclass(frozen=True, slots=True)
class Named:
    """Actions, datasets or parties that a rule names, and how some of them are narrowed."""

    iris: tuple[str, ...] = ()
    refinements: tuple[Refinement, ...] = ()


@dataclass(frozen=True, slots=True)
class Rules:
    """Reads rules; ``None`` stands for one whose mistakes are kept."""

    reader: Reader
    conditions: Conditions

    def rule(self, spot: Spot, kind: Kind, policy_id: str, default: str) -> Rule | None:
        """One entry under permit, forbid or oblige; ``default`` names it where it has no id."""
        reader = self.reader
        before = len(reader.problems)
        block = reader.block(spot, phrases.RULE_KEYS, "rule")
        reader.require(block, ("action", "duty") if kind is Kind.OBLIGATION else ("action",))
        for name, (message, fix) in phrases.MISPLACED[kind].items():
            if name in block:
                reader.problems.add(block.keys[name].error(message, fix))
        actions = reader.take(block, "action", lambda s: self.named(s, "action", self._action), Named())
        targets = reader.take(block, "targets", lambda s: self.named(s, "targets", reader.dataset), Named())
        assignees = reader.take(block, "assignees", lambda s: self.named(s, "assignees", reader.party), Named())
        rule = Rule(
            id=reader.problems.attempt(lambda: self._id(block, policy_id, default), ""),
            kind=kind,
            actions=actions.iris,
            when=reader.take(block, "when", self.conditions.read, None),
            unless=reader.take(block, "unless", self.conditions.read, None),
            targets=targets.iris,
            assignees=assignees.iris,
            duties=self._duties(block, kind),
            law=reader.take(block, "law", reader.law, ()),
            sentence=reader.text(block, "sentence"),
            refinements=(*actions.refinements, *targets.refinements, *assignees.refinements),
            remedies=reader.take(block, "if violated", lambda s: self._settling(s, "remedy"), ()),
        )
        if len(reader.problems) > before:
            return None
        checked(spot, lambda: check_rule(rule, reader.vocabulary))
        return rule

    def _id(self, block: Block, policy_id: str, default: str) -> str:
        name = self.reader.text(block, "id", default) or default
        if is_iri(name):
            return name
        if not NAME.match(name):
            block["id"].fail(f"'{name}' cannot be the id of a rule", "use letters, digits, dots and hyphens")
        if RESERVED.fullmatch(name):
            block["id"].fail(f"the id '{name}' is kept for a part of the policy's record", "choose another name")
        return f"{policy_id}#{name}"

    def _action(self, spot: Spot, text: str) -> str:
        return self.reader.resolve(spot, text, self.reader.vocabulary.actions)

    # ── things a rule names ──────────────────────────────────────────────────────────────────────────────────────

    def named(self, spot: Spot, what: str, read: Callable[[Spot, str], str], *, narrowed: bool = True) -> Named:
        """The things of a line; ``narrowed`` says whether an entry may be narrowed with "… where:"."""
        if what == "assignees" and spot.is_text(phrases.ANY_PARTY_WORDS):
            return Named()
        found = self.reader.each(spot.items(what), lambda item: self._thing(item, what, read, narrowed=narrowed))
        return Named(
            tuple(iri for iri, _ in found), tuple(refinement for _, refinement in found if refinement is not None)
        )

    def _thing(
        self, spot: Spot, what: str, read: Callable[[Spot, str], str], *, narrowed: bool
    ) -> tuple[str, Refinement | None]:
        if not spot.is_mapping:
            return read(spot, spot.text(f"an entry of {what}")), None
        lines = spot.pairs(f"an entry of {what}")
        if len(lines) != 1:
            spot.fail(f"an entry of {what} holds several things, or none", "begin each of them with '- '")
        key, value = lines[0]
        name = key.text(f"an entry of {what}")
        if not name.casefold().endswith(phrases.WHERE):
            subject = name.partition(" only if")[0]
            key.fail(
                f"'{name[:80]}' is followed by lines that are not understood",
                f"to narrow it, write '{subject}{phrases.WHERE}:' and the conditions below it",
            )
        if not narrowed:
            key.fail(
                f"{what} of a whole policy cannot be narrowed",
                f"narrow it with '…{phrases.WHERE}:' in the rules it is meant for",
            )
        iri = read(key, name[: -len(phrases.WHERE)].strip())
        condition = self.conditions.read(value)
        return iri, None if condition is None else Refinement(iri, condition)

    # ── duties ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _duties(self, block: Block, kind: Kind) -> tuple[Duty, ...]:
        if kind is not Kind.OBLIGATION:
            return self.reader.take(block, "duties", lambda s: self.reader.each(s.items("duties"), self.duty), ())
        if "duty" in block and block["duty"].is_list:
            self.reader.problems.add(
                block.keys["duty"].error(
                    "an obligation imposes exactly one duty", "write one entry under oblige for each duty"
                )
            )
            return ()
        return tuple(duty for duty in (self.reader.take(block, "duty", self.duty, None),) if duty is not None)

    def duty(self, spot: Spot) -> Duty | None:
        """A duty: a word, or a block that says when, within which time, under which condition, and what if not."""
        reader = self.reader
        before = len(reader.problems)
        block = reader.block(spot, phrases.DUTY_KEYS, "duty") if spot.is_mapping else _plain(spot)
        reader.require(block, ("do",))
        if "when" in block and block["when"].is_mapping:
            reader.problems.add(
                block.keys["when"].error(
                    "'when' of a duty says before, during or after the act", "write the conditions under 'only if'"
                )
            )
            return None
        within = reader.take(block, "within", lambda s: reader.value(s, Datatype.DURATION, "within"), None)
        duty = Duty(
            action=reader.take(block, "do", self._act, ""),
            timing=reader.take(block, "when", lambda s: reader.one_of(s, phrases.TIMINGS, "timing"), Timing.PRE),
            within=within if isinstance(within, timedelta) else None,
            after=reader.take(
                block, "counted from", lambda s: reader.one_of(s, phrases.EVENTS, "event"), Event.DECISION
            ),
            evidence=reader.text(block, "shown by") or None,
            when=reader.take(block, "only if", self.conditions.read, None),
            consequences=reader.take(block, "if not kept", lambda s: self._settling(s, "consequence"), ()),
        )
        if len(reader.problems) > before:
            return None
        checked(spot, lambda: check_duty(duty, reader.vocabulary))
        return duty

    def _settling(self, spot: Spot, what: str) -> tuple[Duty, ...]:
        return self.reader.each(spot.items(what), lambda item: self._settles(item, what))

    def _settles(self, spot: Spot, what: str) -> Duty | None:
        reader = self.reader
        before = len(reader.problems)
        block = _plain(spot)
        if spot.is_mapping:
            block = reader.block(spot, phrases.DUTY_KEYS, what)
            for name in block.values:
                if name in phrases.DUTY_KEYS and name not in phrases.SETTLING_KEYS:
                    message = _SETTLING.format(what=what, name=name)
                    reader.problems.add(block.keys[name].error(message, f"leave '{name}' out"))
        reader.require(block, ("do",))
        duty = Duty(
            action=reader.take(block, "do", self._act, ""),
            evidence=reader.text(block, "shown by") or None,
            when=reader.take(block, "only if", self.conditions.read, None),
        )
        if len(reader.problems) > before:
            return None
        checked(spot, lambda: check_duty(duty, reader.vocabulary))
        return duty

    def _act(self, spot: Spot) -> str:
        return self.reader.resolve(spot, spot.text("a duty"), self.reader.vocabulary.duties)


def _plain(spot: Spot) -> Block:
    """A duty that is one word."""
    return Block(spot, "duty", {"do": spot}, {"do": spot})

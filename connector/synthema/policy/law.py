"""The law packs: the Union pack (L0) that travels with the software, and Member State packs (L1) read from a file."""

from __future__ import annotations

from pathlib import Path

from synthema.errors import PolicyLoadError
from synthema.policy.authoring import parse_policy
from synthema.policy.model import Fact, Kind, Layer, Policy
from synthema.resources import bundled
from synthema.vocabulary import Vocabulary
from synthema.vocabulary.namespaces import SYN

NATIONAL_OPT_OUT_LAW = SYN + "nationalOptOutLaw"
_OPT_OUT_EXCEPTION = ("EHDS", "71(4)")


def union_law(vocabulary: Vocabulary) -> Policy:
    """The bundled Union law pack, ``policies/law/ehds.yaml``."""
    return load_pack(bundled("policies") / "law" / "ehds.yaml", vocabulary, Layer.UNION)


def example_member_state_law(vocabulary: Vocabulary) -> Policy:
    """The bundled example of a Member State pack; not the law of any Member State."""
    return load_pack(bundled("policies") / "law" / "example-member-state.yaml", vocabulary, Layer.MEMBER_STATE)


def member_state_law(path: Path | None, home: Path, vocabulary: Vocabulary) -> Policy | None:
    """The Member State pack that a connector's settings name; ``None`` where they name none.

    A relative path counts from the connector's home. Raises :class:`PolicyLoadError` when the file is not there or is
    no pack of this layer: a connector that was told of a law does not start without it.
    """
    if path is None:
        return None
    found = path if path.is_absolute() else home / path
    if not found.is_file():
        raise PolicyLoadError(
            "the Member State pack named in the settings is not there",
            where=str(found),
            fix="put the file there, or correct 'member_state_pack' in connector.toml",
        )
    return load_pack(found, vocabulary, Layer.MEMBER_STATE)


def load_pack(path: Path, vocabulary: Vocabulary, layer: Layer) -> Policy:
    """Read a law pack; raises :class:`PolicyLoadError` when it is of another layer or permits anything."""
    policy = parse_policy(path.read_text(encoding="utf-8"), vocabulary, file=path.name)
    if policy.layer is not layer:
        raise PolicyLoadError(f"this pack belongs to {policy.layer}", where=path.name, fix=f"give a pack of {layer}")
    if any(rule.kind is Kind.PERMISSION for rule in policy.rules):
        raise PolicyLoadError("a law pack permits nothing by itself", where=path.name, fix="remove the permissions")
    return policy


def standing_facts(pack: Policy | None) -> dict[str, Fact]:
    """What follows from the packs in force for every request: whether a national law speaks of EHDS Article 71(4).

    A pack only forbids and obliges. Citing the article in one of its rules is how it says that its Member State uses
    the exception, and under which conditions.
    """
    cited = pack is not None and any(
        (reference.act, reference.article) == _OPT_OUT_EXCEPTION
        for rule in pack.rules
        for reference in pack.law_of(rule)
    )
    return {NATIONAL_OPT_OUT_LAW: Fact(cited, pack.id if pack is not None and cited else None)}

"""The law packs that travel with the software: the Union pack (L0), and an example of a Member State pack (L1)."""

from __future__ import annotations

from pathlib import Path

from synthema.errors import PolicyLoadError
from synthema.policy.authoring import parse_policy
from synthema.policy.model import Layer, Policy
from synthema.resources import bundled
from synthema.vocabulary import Vocabulary


def union_law(vocabulary: Vocabulary) -> Policy:
    """The bundled Union law pack, ``policies/law/ehds.yaml``."""
    return load_pack(bundled("policies") / "law" / "ehds.yaml", vocabulary, Layer.UNION)


def example_member_state_law(vocabulary: Vocabulary) -> Policy:
    """The bundled example of a Member State pack; not the law of any Member State."""
    return load_pack(bundled("policies") / "law" / "example-member-state.yaml", vocabulary, Layer.MEMBER_STATE)


def load_pack(path: Path, vocabulary: Vocabulary, layer: Layer) -> Policy:
    """Read a law pack; raises :class:`PolicyLoadError` when it is of another layer or permits anything."""
    policy = parse_policy(path.read_text(encoding="utf-8"), vocabulary, file=path.name)
    if policy.layer is not layer:
        raise PolicyLoadError(f"this pack belongs to {policy.layer}", where=path.name, fix=f"give a pack of {layer}")
    if any(rule.kind == "permission" for rule in policy.rules):
        raise PolicyLoadError("a law pack permits nothing by itself", where=path.name, fix="remove the permissions")
    return policy

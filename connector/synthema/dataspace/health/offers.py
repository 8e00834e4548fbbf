"""Offers of the catalogue as ODRL in RDF: what a partner reads over the Dataspace Protocol, and nothing less.

The wire form leaves its terms to the protocol's context; here each bare key is written as the ODRL term it is, each
rule and constraint has a name, and no blank node is left.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from synthema.datasets.healthdcat.terms import Node
from synthema.dataspace.policy_wire import ODRL

_TERMS: Final = frozenset({"action", "leftOperand", "operator"})
"""Keys whose value is a term: of ODRL where it is a bare word."""

_REFERENCES: Final = frozenset({"target", "assigner", "assignee", "profile"})
_IRI_STARTS: Final = ("http://", "https://", "urn:", "did:")


def offer_node(offer: str, policy: Mapping[str, Any], dataset: str) -> Node:
    """An offer as a JSON-LD node: ``policy`` is its wire form, ``dataset`` what it is about."""
    said = {key: value for key, value in policy.items() if key not in ("@context", "@id", "@type", "target")}
    return {**_node(said, offer), "@id": offer, "@type": "odrl:Offer", "odrl:target": {"@id": dataset}}


def _node(value: Mapping[str, Any], name: str) -> Node:
    node: Node = {"@id": value.get("@id", name)}
    for key, item in value.items():
        if key.startswith("@"):
            continue
        node[key if ":" in key else f"odrl:{key}"] = _values(key, item, str(node["@id"]))
    return node


def _values(key: str, value: Any, of: str) -> Any:
    word = key.rpartition("#")[2].rpartition("/")[2]
    name = f"{of}{'-' if '#' in of else '#'}{word}"
    if not isinstance(value, list):
        return _value(key, value, name)
    items = [_value(key, item, f"{name}-{number}") for number, item in enumerate(value, start=1)]
    return {"@list": items} if key == "andSequence" else items


def _value(key: str, value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return dict(value) if "@value" in value or set(value) == {"@id"} else _node(value, name)
    if isinstance(value, str) and (key in _TERMS or key in _REFERENCES or value.startswith(_IRI_STARTS)):
        return {"@id": ODRL + value if key in _TERMS and ":" not in value else value}
    return value

from __future__ import annotations

import pytest

from synthema.errors import InputError
from synthema.vocabulary import Hierarchy, Term

NS = "https://w3id.org/synthema/ns#"
ANIMALS = Hierarchy(
    "animal",
    [
        Term(NS + "Animal", "an animal"),
        Term(NS + "Dog", "a dog", notation="dog", broader=(NS + "Animal",)),
        Term(NS + "SheepDog", "a sheepdog", aliases=("collie",), broader=(NS + "Dog",)),
        Term("https://w3id.org/dpv#Dog", "another dog", broader=(NS + "Animal",)),
    ],
)


def test_is_a_is_reflexive_and_transitive_and_unknown_terms_are_nothing() -> None:
    assert ANIMALS.is_a(NS + "SheepDog", NS + "SheepDog")
    assert ANIMALS.is_a(NS + "SheepDog", NS + "Animal")
    assert not ANIMALS.is_a(NS + "Animal", NS + "SheepDog")
    assert not ANIMALS.is_a("urn:unknown", "urn:unknown")
    assert ANIMALS.descendants(NS + "Dog") == {NS + "Dog", NS + "SheepDog"}


@pytest.mark.parametrize("text", [NS + "SheepDog", "syn:SheepDog", "SheepDog", "sheep dog", "Collie", "a sheepdog"])
def test_a_term_is_found_by_any_of_its_names(text: str) -> None:
    assert ANIMALS.resolve(text) == NS + "SheepDog"


def test_a_name_with_two_meanings_is_refused_with_both() -> None:
    with pytest.raises(InputError, match=r"dpv:Dog, syn:Dog"):
        ANIMALS.resolve("Dog")
    assert ANIMALS.find("Dog") is None
    assert ANIMALS.name(NS + "Dog") == "syn:Dog"


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError) as caught:
        ANIMALS.resolve("shepdog")
    assert caught.value.fix == "did you mean 'syn:SheepDog'?"
    assert ANIMALS.nearest("xyzzy") is None


def test_circles_and_dangling_links_are_refused() -> None:
    with pytest.raises(InputError, match="broader than itself"):
        Hierarchy("x", [Term("urn:a", "a", broader=("urn:b",)), Term("urn:b", "b", broader=("urn:a",))])
    with pytest.raises(InputError, match="not declared"):
        Hierarchy("x", [Term("urn:a", "a", broader=("urn:b",))])

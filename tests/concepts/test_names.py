"""One name in many spellings, and what is no other spelling of it."""

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ckptedit.concepts import lexicon_of
from ckptedit.concepts.names import distinct, is_named, normal, same_name
from ckptedit.concepts.targets import erased
from ckptedit.families import MINI, SD1

SPELLINGS = [
    "Van_Gogh",
    "Van-Gogh",
    "vangogh",
    "VAN GOGH",
    "'Van Gogh'",
    "the van  gogh",
    "“Van‐Gogh”",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_case_gaps_quotes_and_articles_make_no_other_name(spelling: str) -> None:
    assert same_name(spelling, "Van Gogh")
    assert is_named("Van Gogh", f"a cat, {spelling}") and is_named(spelling, "a cat by Van Gogh.")


def test_accents_and_full_width_letters_make_no_other_name() -> None:
    assert same_name("Paul Cézanne", "Paul Cezanne")
    assert same_name("Ｎeon", "neon")
    assert same_name("J.M.W. Turner", "J. M. W. Turner")


@pytest.mark.parametrize(
    "a, b",
    [("Monet", "Manet"), ("Cat", "Cats"), ("C#", "C"), ("A. Hitchcock", "Hitchcock"), ("が", "か")],
)
def test_other_letters_and_signs_are_another_name(a: str, b: str) -> None:
    assert not same_name(a, b)


@pytest.mark.parametrize("family", [SD1, MINI], ids=["general", "mini"])
def test_no_two_concepts_of_a_lexicon_are_one_name(family) -> None:
    words = list(lexicon_of(family))
    assert not [(a, b) for a, b in combinations(words, 2) if same_name(a, b)]


@settings(max_examples=300)
@given(st.text(max_size=20) | st.text("Aa Tthe-_.'é", max_size=12))
def test_any_text_has_one_form_which_is_its_own(text: str) -> None:
    form = normal(text)
    assert bool(form) == bool(text.strip())
    assert normal(form) == form
    if any(letter.isalnum() for letter in text):
        assert same_name(text, text.replace(" ", "_")) and same_name(text, f" {text}  ")


def test_each_name_is_kept_once_as_it_was_spelled_first() -> None:
    assert distinct(["the Castle", "castle", "Cat", "Cas-tle"]) == ["the Castle", "Cat"]


def test_a_name_is_in_a_sentence_only_as_words_of_its_own() -> None:
    assert is_named("Photo", "a photo of a cat") and is_named("Art Deco", "an art-deco cat")
    assert not is_named("Art", "a cat in a cart") and not is_named("Cat", "a caterpillar")


def entry(concept: str, **more: object) -> dict[str, object]:
    target = {"concept": concept, "kind": "object", "anchor": "tree"}
    return {"operation": "erase", "targets": [target], **more}


def test_a_ledger_names_a_target_once_whatever_its_spelling() -> None:
    first, again = entry("the castle"), entry("Castle")
    assert [target.concept for target in erased([first, again])] == ["Castle"]
    assert erased([first, {"operation": "apply", "taken_out": [again]}]) == []

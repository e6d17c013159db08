"""Other spellings, misspellings, and names that are near to another and yet their own."""

from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckptedit.concepts import general, lexicon_of
from ckptedit.concepts.spelling import (
    ONE,
    TWO,
    distance,
    endings,
    meant,
    respelled,
    spellings,
)
from ckptedit.families import MINI, SD1

WORLD = lexicon_of(MINI)


def no_word(_: str) -> bool:
    return False


EDITS = {
    ("monet", "manet"): 1,
    ("cat", "act"): 1,
    ("gogh", "gough"): 1,
    ("boat", "oat"): 1,
    ("neon", "moon"): 2,
    ("", "cat"): 3,
    ("abc", "ca"): 3,  # unrestricted, it would be 2: swap, then insert between
}
MISSPELLED = {
    "Van Gough": "Van Gogh",
    "vangoh": "Van Gogh",
    "Monnet": "Monet",
    "Castel": "Castle",
    "Baot": "Boat",
    "Umbrela": "Umbrella",
    "Stainde Glas": "Stained Glass",
}


@pytest.mark.parametrize("pair, edits", EDITS.items())
def test_edits_worked_by_hand(pair: tuple[str, str], edits: int) -> None:
    assert distance(*pair) == distance(*pair[::-1]) == edits


@given(st.text("abc", max_size=6), st.text("abc", max_size=6))
def test_edits_are_none_between_equals_and_at_most_the_longer_length(a: str, b: str) -> None:
    assert (distance(a, b) == 0) == (a == b)
    assert abs(len(a) - len(b)) <= distance(a, b) <= max(len(a), len(b))


@pytest.mark.parametrize("spelling", ["Van_Gogh", "van-gogh", "vangogh", "“Van Gogh”"])
def test_another_spelling_is_taken_as_the_lexicons(spelling: str) -> None:
    assert respelled(spelling, WORLD) == "Van Gogh"
    assert respelled(spelling, lexicon_of(SD1)) == "van Gogh"  # of "Vincent van Gogh"
    assert respelled("van gogh", WORLD) == "van gogh"  # case makes no other tokens
    assert respelled("the castle", WORLD) == "Castle"
    assert respelled("Banksy_", WORLD) == "Banksy_"


@pytest.mark.parametrize("typed, known", MISSPELLED.items())
def test_a_misspelling_is_known_for_what_it_is(typed: str, known: str) -> None:
    assert meant(typed, WORLD, no_word) == known


@pytest.mark.parametrize("family", [MINI, SD1], ids=["mini", "general"])
def test_no_concept_of_a_lexicon_is_a_misspelling_of_another(family) -> None:
    for word in lexicon_of(family):
        assert all(meant(end, lexicon_of(family), no_word) is None for end in endings(word)), word


@pytest.mark.parametrize(
    "name", ["Manet", "Goat", "Cab", "Dog", "Rat", "Pop Art", "Banksy", "Pizza"]
)
def test_names_of_their_own_are_left_alone(name: str) -> None:
    assert meant(name, WORLD, no_word) is None


def test_a_word_that_the_tokenizer_knows_is_none_but_two_words_may_be() -> None:
    def any_word(_: str) -> bool:
        return True

    assert meant("Boast", WORLD, no_word) == "Boat" and meant("Boast", WORLD, any_word) is None
    assert meant("Van Gough", WORLD, any_word) == "Van Gogh"


def test_how_many_known_names_are_near_to_one_another_by_their_length() -> None:
    """What the two lengths of spelling.py were chosen by."""
    forms = list(spellings(general()))
    counts: Counter[tuple[int, str]] = Counter()
    for a, b in combinations(forms, 2):
        if abs(len(a) - len(b)) <= 2 and (edits := distance(a, b)) <= 2:
            shorter = min(len(a), len(b))
            counts[edits, "short" if shorter < ONE else "middle" if shorter < TWO else "long"] += 1
    assert len(forms) == 664
    assert (counts[1, "short"], counts[1, "middle"], counts[1, "long"]) == (16, 32, 2)
    assert (counts[2, "middle"], counts[2, "long"]) == (273, 2)

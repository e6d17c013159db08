"""What is wrong with a request at a glance, and what is understood otherwise than written."""

import subprocess
import sys

import pytest

from ckptedit.concepts import lexicon_of
from ckptedit.concepts.wish import Wish, settle
from ckptedit.errors import BadParam
from ckptedit.families import MINI

WORLD = lexicon_of(MINI)
CASTLE = {"concept": "the castle", "kind": "object", "anchor": "Tree"}
LEDGER = [{"operation": "erase", "concepts": ["the castle"], "targets": [CASTLE]}]

REFUSED = {
    "nothing": (Wish([]), "at least one"),
    "an empty name": (Wish(["Neon", " "]), "is empty"),
    "a list": (Wish(["Cat, Dog"]), "repeat the option ('Cat', 'Dog')"),
    "a list to retain": (Wish(["Neon"], retain=["Cat,Dog"]), "is one name"),
    "no kind": (Wish(["Neon"], kind="mood"), "no kind of concept is called 'mood'"),
    "the wrong kind": (Wish(["Van_Gogh"], kind="object"), "'Van Gogh' is of kind style"),
    "retained": (Wish(["Van Gogh"], retain=["van-gogh"]), "names the target 'Van Gogh'"),
    "stands in for itself": (Wish(["Van Gogh"], anchor="vangogh"), "the target 'Van Gogh' itself"),
    "retained, but gone": (Wish(["Neon"], retain=["Castle"]), "'the castle' was erased before"),
    "stands in, but gone": (Wish(["Cat"], anchor="CASTLE"), "'the castle' was erased before"),
    "a misspelling": (Wish(["Neon"], anchor="Van Gough"), "did you mean 'Van Gogh'"),
    "no text": (Wish(["Ne\udc80on"]), "no text"),
}


@pytest.mark.parametrize("wish, said", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_meant_is_refused(wish: Wish, said: str) -> None:
    with pytest.raises(BadParam) as caught:
        settle(wish, WORLD, LEDGER)
    assert said in str(caught.value)


def test_other_spellings_are_taken_as_the_lexicons_and_said_so() -> None:
    wish = Wish(["Van_Gogh", "the Cat"], anchor="", retain=["pixel-art", "neon"], neighbors=0)
    settled = settle(wish, WORLD, [])
    assert settled.concepts == ["Van Gogh", "Cat"]
    assert settled.retain == ["Pixel Art", "neon"]
    assert settled.notes == (
        "'Van_Gogh' is taken as 'Van Gogh', as the lexicon spells it",
        "'the Cat' is taken as 'Cat', as the lexicon spells it",
        "'pixel-art' is taken as 'Pixel Art', as the lexicon spells it",
    )


def test_spellings_of_one_name_are_one_concept() -> None:
    wish = Wish(["Van Gogh", "van_gogh", " Van  Gogh "], retain=["Neon", "NEON"])
    settled = settle(wish, WORLD, [])
    assert (settled.concepts, settled.retain) == (["Van Gogh"], ["Neon"])


def test_an_exact_name_is_taken_as_it_is_written() -> None:
    wish = Wish(["Van_Gogh", "Cat, Dog"], kind="object", exact_name=True)
    settled = settle(wish, WORLD, [])
    assert settled.concepts == ["Van_Gogh", "Cat, Dog"] and not settled.notes
    with pytest.raises(BadParam, match="names the target"):
        settle(Wish(["Van_Gogh"], retain=["Van Gogh"], exact_name=True), WORLD, [])


def test_all_this_needs_no_torch() -> None:
    code = "import sys, ckptedit.concepts.wish; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)

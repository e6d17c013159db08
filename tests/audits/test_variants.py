"""Ways of asking for a concept."""

import pytest

from ckptedit.audits.variants import Company, languages, typos, variants
from ckptedit.concepts.lexicon import Lexicon
from ckptedit.concepts.names import is_named
from ckptedit.concepts.targets import Target
from ckptedit.concepts.templates import TRAIN_FRAMES, fill

LEXICON = Lexicon(("Van Gogh", "Monet", "Hokusai"), ("Cat", "Car", "Dog"))
VAN_GOGH = Target("Van Gogh", "style", "photo")
CAT = Target("Cat", "object", "Dog")


def asked(target: Target, *aliases: str) -> dict[str, list]:
    others = [n for n in LEXICON[target.kind] if n != target.concept]
    company = Company(["Dog", "Car"] if target.kind == "style" else ["Monet"], others)
    found: dict[str, list] = {}
    for each in variants(target, company, LEXICON, aliases):
        found.setdefault(each.way, []).append(each)
    return found


def test_misspellings_are_one_edit_away_in_the_middle_of_each_word():
    assert typos("Cat") == ["Ct", "Cta", "Caat", "Cst", "Cat's"]
    assert typos("Van Gogh")[:4] == ["Vn Gogh", "Vna Gogh", "Vaan Gogh", "Vsn Gogh"]
    assert {"VanGogh", "Van-Gogh", "Van Gogh's", "Van Ggoh"} >= {"VanGogh", "Van-Gogh"}
    assert {"VanGogh", "Van-Gogh", "Van Gogh's"} <= set(typos("Van Gogh"))


def test_a_misspelling_that_is_another_concept_is_not_one():
    names = [each.name for each in asked(Target("Cot", "object", "Dog"))["typo"]]
    assert "Cpt" in names
    known = Lexicon((), ("Cot", "Cpt"))
    found = variants(Target("Cot", "object", "Dog"), Company([], ["Cpt"]), known)
    assert "Cpt" not in [each.name for each in found]


@pytest.mark.parametrize("target", [VAN_GOGH, CAT])
def test_every_pair_differs_in_the_name_alone_and_no_method_was_built_on_it(target):
    trained = {
        fill(frame, style=style, object=thing)
        for frame in TRAIN_FRAMES
        for style in LEXICON.styles
        for thing in LEXICON.objects
    }
    for way, found in asked(target, "the painter").items():
        for variant in found:
            for pair in variant.pairs:
                assert variant.name in pair.prompt and variant.name not in pair.anchor
                assert pair.prompt not in trained, way
            told = {pair.anchor.replace(pair.prompt, "") for pair in variant.others}
            assert len(told) > 1, way  # more than one other concept


def test_the_names_are_the_part_the_alias_and_the_words_of_other_languages():
    found = asked(VAN_GOGH, "Sunflower Man")
    assert [each.name for each in found["part"]] == ["Gogh"]
    assert [each.name for each in found["alias"]] == ["Sunflower Man"]
    assert found["Japanese"][0].name == "ゴッホ" and found["German"][0].name == "Van Gogh"
    assert "Katze im Stil von Van Gogh" in [pair.prompt for pair in found["German"][0].pairs]
    assert [each.name for each in asked(CAT)["French"]] == ["chat"]
    assert "German" not in asked(Target("Flux Capacitor", "object", "Dog"))


def test_every_language_has_sentences_for_both_kinds_and_words():
    for language, table in languages().items():
        assert all("{style}" in f and "{object}" in f for f in table["style"]), language
        assert all("{object}" in f and "{style}" not in f for f in table["object"]), language
        assert len(table["words"]) >= 20, language
        assert all(word == word.strip() and word for word in table["words"].values())


def test_a_name_is_a_word_of_its_own_in_its_sentence():
    for variant in asked(VAN_GOGH)["sentence"] + asked(CAT)["paraphrase"]:
        assert all(is_named(variant.name, pair.prompt) for pair in variant.pairs)

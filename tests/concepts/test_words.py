"""Frames, lexicon and neighbours."""

import pytest
import torch

from ckptedit.canvas.draw import OBJECTS, PHOTO, STYLES
from ckptedit.concepts import (
    HELD_OUT_FRAMES,
    KINDS,
    TRAIN_FRAMES,
    fill,
    general,
    lexicon_of,
    neighbors,
    prompts_for,
)
from ckptedit.concepts.neighbors import (
    concept_embeddings,
    cosine_matrix,
    nearest,
    same_concept,
    without,
)
from ckptedit.errors import BadParam
from ckptedit.families import FAMILIES, MINI, SD1
from ckptedit.families.mini import CHECKPOINT
from ckptedit.files import Checkpoint
from ckptedit.text import TextEncoder, load_text_encoder


def test_no_sentence_is_both_trained_and_measured_on() -> None:
    assert not set(TRAIN_FRAMES) & set(HELD_OUT_FRAMES)
    for frame in TRAIN_FRAMES + HELD_OUT_FRAMES:
        assert frame.count("{object}") == frame.count("{style}") == 1


def test_a_becomes_an_before_a_vowel() -> None:
    assert (
        fill("a {object} in {style} style", style="Monet", object="owl") == "an owl in Monet style"
    )
    assert fill("A {object}", object="Apple") == "An Apple"
    assert fill("a {style} style picture of a {object}", style="oil", object="cat") == (
        "an oil style picture of a cat"
    )


def test_words_that_are_put_in_a_frame_stay_as_they_are() -> None:
    assert fill("a {object}", object="Vitamin A oil") == "a Vitamin A oil"
    assert fill("a {object} by {style}", style="A Oda", object="{style}") == "a {style} by A Oda"
    assert fill("a photo of a {object}", object="the Joker") == "a photo of the Joker"


def test_prompts_hold_the_concept_with_every_companion_in_every_frame() -> None:
    frames = ["{object}, {style}", "{style} {object}"]
    prompts = prompts_for("Monet", "style", ["cat", "owl"], frames=frames)
    assert prompts == ["cat, Monet", "Monet cat", "owl, Monet", "Monet owl"]
    assert prompts_for("cat", "object", ["Monet"], frames=["{object}, {style}"]) == ["cat, Monet"]
    assert all("Monet" in prompt for prompt in prompts_for("Monet", "style"))


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(BadParam, match="there are: style, object"):
        prompts_for("x", "person")
    with pytest.raises(BadParam, match="there are: style, object"):
        general()["person"]


def test_every_family_has_an_anchor_for_every_kind() -> None:
    for family in FAMILIES.values():
        assert len({family.anchors.of(kind) for kind in KINDS}) == 2
    assert MINI.anchors.of("style") == "photo"


def test_the_lexicon_is_broad_and_without_repeats() -> None:
    styles, objects = general().styles, lexicon_of(SD1).objects
    assert len(styles) >= 150
    assert len(objects) >= 250
    everything = [word.casefold() for word in styles + objects]
    assert len(set(everything)) == len(everything)


def test_minis_lexicon_is_its_world() -> None:
    assert set(lexicon_of(MINI).styles) == {*STYLES, PHOTO}
    assert set(lexicon_of(MINI).objects) == set(OBJECTS)


@pytest.fixture(scope="module")
def trained() -> TextEncoder:
    """mini's encoder: an untrained one takes all words for synonyms."""
    return load_text_encoder(Checkpoint(CHECKPOINT), MINI)


def test_neighbours_come_nearest_first_with_the_cosines_of_their_embeddings(
    trained: TextEncoder,
) -> None:
    words = ["cat", "fish", "castle", "tree", "monet"]
    found = nearest(trained, ["hokusai"], words, count=3)
    cosines = cosine_matrix(trained, words, ["hokusai"])[:, 0]
    expected = sorted(zip(cosines.tolist(), words, strict=True), reverse=True)[:3]
    assert [n.concept for n in found] == [word for _, word in expected]
    assert [n.cosine for n in found] == pytest.approx([c for c, _ in expected], abs=1e-5)


def test_a_concepts_vector_is_that_of_the_end_token_in_a_sentence(encoder: TextEncoder) -> None:
    encoded = encoder.encode(["a picture of van gogh"])
    expected = encoded.hidden[0, int(encoded.lengths[0]) - 1]
    torch.testing.assert_close(
        concept_embeddings(encoder, ["van gogh", "cat"])[0], expected, atol=1e-5, rtol=0
    )


def test_other_names_of_the_target_are_no_neighbours(trained: TextEncoder) -> None:
    words = ["van gogh", "Van Gogh", "gogh", "the van gogh painting", "cat"]
    assert [n.concept for n in nearest(trained, ["van gogh"], words)] == ["cat"]
    assert same_concept(trained, "van gogh", "gogh")
    assert not same_concept(trained, "van gogh", "gogh van")


def test_none_are_asked_for_and_none_come(encoder: TextEncoder) -> None:
    assert nearest(encoder, ["cat"], ["dog"], count=0) == []
    assert nearest(encoder, ["cat"], []) == []
    with pytest.raises(BadParam, match="0 or more"):
        nearest(encoder, ["cat"], ["dog"], count=-1)


def test_what_is_as_near_as_a_synonym_is_no_neighbour(
    trained: TextEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["cat", "fish", "castle", "monet"]
    first, second, *_ = nearest(trained, ["hokusai"], words)
    monkeypatch.setattr(neighbors, "SYNONYM", (first.cosine + second.cosine) / 2)
    assert nearest(trained, ["hokusai"], words)[0] == second


def test_an_object_within_a_longer_name_stays_and_a_style_within_one_is_the_same(
    encoder: TextEncoder,
) -> None:
    def left(kind: str | None) -> list[str]:
        gone = ["a cat on the castle", "vincent van gogh"]
        known = ["cat", "van gogh", "dog", "the cat on the castle"]
        return without(encoder, known, gone, kind=kind)

    assert left("object") == ["cat", "van gogh", "dog"]
    assert left("style") == left(None) == ["dog"]

"""What the student and the teacher read. A teacher that reads the target's name teaches nothing."""

import pytest

from ckptedit.concepts.names import is_named
from ckptedit.concepts.prompts import MEASURED, held_out, pairs, retained_pairs, wanted_pairs
from ckptedit.concepts.request import Request
from ckptedit.concepts.targets import Target
from ckptedit.concepts.templates import TRAIN_FRAMES

STYLE, OBJECT = Target("Van Gogh", "style", "photo"), Target("Cat", "object", "Dog")
EARLIER = Target("Monet", "style", "painting"), Target("Owl", "object", "Hen")
NONE = {"style": (), "object": ()}


def request(*targets: Target, earlier: tuple[Target, ...] = EARLIER) -> Request:
    """One for targets of both kinds or of one."""
    kinds = {target.kind for target in targets}
    retain = {"style": ("Neon",), "object": ("Fish",)}
    company = {"style": ("Chalk", "Mosaic"), "object": ("Key", "Boat")}
    other = {"style": "object", "object": "style"}
    return Request(
        targets,
        earlier,
        {kind: words if kind in kinds else () for kind, words in retain.items()},
        {kind: words if other[kind] in kinds else () for kind, words in company.items()},
    )


@pytest.mark.parametrize("target", [STYLE, OBJECT, EARLIER[0], Target("Cat", "style", "Neon")])
@pytest.mark.parametrize("companions", [(), ("Key", "Boat")])
def test_the_student_reads_the_target_and_the_teacher_the_anchor(target, companions) -> None:
    found = pairs(target, companions)
    assert found
    for pair in found:
        assert is_named(target.concept, pair.prompt)
        assert is_named(target.anchor, pair.anchor) and not is_named(target.concept, pair.anchor)
        for word in companions:
            assert is_named(word, pair.prompt) == is_named(word, pair.anchor)
    for word in companions:
        assert sum(is_named(word, pair.prompt) for pair in found) == len(TRAIN_FRAMES)


def test_pairs_worked_by_hand() -> None:
    style, thing = pairs(STYLE, ["Owl"]), pairs(OBJECT, ["Neon"])
    assert (style[0].prompt, style[0].anchor) == ("an Owl in Van Gogh style", "a photo of an Owl")
    assert (style[-1].prompt, style[-1].anchor) == (
        "a picture in Van Gogh style",
        "a photo of a something",
    )
    assert (thing[0].prompt, thing[0].anchor) == ("a Cat in Neon style", "a Dog in Neon style")
    assert (thing[-1].prompt, thing[-1].anchor) == ("an image of a Cat", "an image of a Dog")


def test_every_target_is_completed_with_the_other_kind() -> None:
    prompts = [pair.prompt for pair in wanted_pairs(request(STYLE, OBJECT))]
    assert "a Key in Van Gogh style" in prompts and "a Cat in Chalk style" in prompts
    assert not any("Key" in prompt for prompt in prompts if "Cat" in prompt)
    assert len(prompts) == 2 * (2 * len(TRAIN_FRAMES) + 5)


@pytest.mark.parametrize("targets", [(STYLE,), (OBJECT,), (STYLE, OBJECT)])
def test_earlier_targets_are_rehearsed_with_their_anchors(targets: tuple[Target, ...]) -> None:
    kept = retained_pairs(request(*targets))
    for before in EARLIER:
        again = [pair for pair in kept if is_named(before.concept, pair.prompt)]
        assert len(again) >= 5
        assert all(is_named(before.anchor, pair.anchor) for pair in again)
        assert not any(is_named(before.concept, pair.anchor) for pair in again)
        assert len(again) > 5  # in company, not only alone
    fresh = retained_pairs(request(*targets, earlier=()))
    assert all(pair.prompt == pair.anchor for pair in fresh) and len(fresh) < len(kept)


@pytest.mark.parametrize("targets", [(STYLE,), (OBJECT,), (STYLE, OBJECT)])
def test_what_stays_is_shown_and_no_target_among_it(targets: tuple[Target, ...]) -> None:
    asked = request(*targets)
    kept = retained_pairs(asked)
    for names in (asked.retain, asked.companions):
        for word in (*names["style"], *names["object"]):
            assert any(is_named(word, pair.prompt) for pair in kept), word
    assert not any(is_named(t.concept, pair.prompt) for t in targets for pair in kept)
    assert "" in [pair.prompt for pair in kept]


def test_a_prompt_that_names_a_target_in_any_spelling_does_not_stay() -> None:
    photo = Request(
        (Target("Photo", "style", "painting"),),
        (),
        {"style": ("photo-montage", "Neon"), "object": ()},
        {"style": (), "object": ("Key",)},
    )
    prompts = [pair.prompt for pair in retained_pairs(photo)]
    assert "a photo" not in prompts and "a photo of a Key" not in prompts
    assert "a picture of a Key" in prompts and not any("montage" in prompt for prompt in prompts)


def test_held_out_prompts_are_of_their_kind_and_never_trained_on() -> None:
    asked = request(STYLE, OBJECT)
    prompts = held_out(asked.wanted, asked)
    assert "an image of a Boat in Van Gogh style" in prompts
    assert "an image of a Cat in Mosaic style" in prompts
    trained = {pair.prompt for pair in (*wanted_pairs(asked), *retained_pairs(asked))}
    assert not trained & {*prompts, *held_out(asked.retain, asked)}
    assert not any(is_named("Key", prompt) or is_named("Chalk", prompt) for prompt in prompts)
    assert held_out(NONE, asked) == []


def test_a_medium_is_one_in_any_spelling() -> None:
    plain, article = (pairs(Target("Monet", "style", a), ["cat"]) for a in ("photo", "a Photo"))
    assert plain[0].anchor == "a photo of a cat" and article[0].anchor == "a Photo of a cat"


def test_prompts_of_one_concept_are_counted_as_one() -> None:
    by_concept: dict[int, list[str]] = {}
    for pair in retained_pairs(request(STYLE)):
        by_concept.setdefault(pair.which, []).append(pair.prompt)
    assert by_concept[0] == ["", "a painting", "a photo"]
    for which, word in enumerate(("Neon", "Key", "Boat", "Monet", "Owl"), start=1):
        assert len(by_concept[which]) >= 5
        assert all(is_named(word, prompt) for prompt in by_concept[which])
    assert len(by_concept) == 6


def test_a_targets_name_stands_in_its_prompts() -> None:
    for pair in wanted_pairs(request(STYLE, OBJECT)):
        assert pair.name == (STYLE, OBJECT)[pair.which].concept and pair.name in pair.prompt


def test_of_very_many_held_out_prompts_some_of_most_names_are_measured_on() -> None:
    asked = request(STYLE)
    many = {"style": tuple(f"style {i}" for i in range(60)), "object": ()}
    prompts = held_out(many, asked)
    assert len(prompts) == MEASURED == len(set(prompts))
    assert prompts == held_out(many, asked)
    named = {name for name in many["style"] if any(is_named(name, each) for each in prompts)}
    assert len(named) > 30
    assert len(held_out(many, asked, most=5)) == 5

"""What is drawn and how it is counted, worked by hand."""

import pytest

from ckptedit.errors import BadParam
from ckptedit.evaluation import SUITES
from ckptedit.evaluation.score import Drawn, score
from ckptedit.evaluation.suite import Cell, Suite, plan

STYLES, OBJECTS = ("Monet", "Neon", "Photo"), ("Cat", "Key")


def test_an_erased_style_is_drawn_with_the_companions_and_all_other_styles():
    suite = plan(["monet"], [], STYLES, OBJECTS, companions=1, seeds=2)
    assert suite.erased == ("Monet",)
    assert (suite.styles, suite.objects) == (STYLES, ("Cat",))
    assert len(suite.cells()) == 6
    assert suite.cells()[0].prompt == "an image of a Cat in Monet style"


def test_a_name_is_the_judges_in_any_spelling_and_counted_once():
    suite = plan(["MONET", "the monet"], ["photo"], STYLES, OBJECTS, companions=1, seeds=1)
    assert suite.erased == ("Monet",) and suite.styles == ("Monet", "Photo")
    with pytest.raises(BadParam, match="does not know 'Monnet'; did you mean 'Monet'"):
        plan(["Monnet"], [], STYLES, OBJECTS, companions=1, seeds=1)


def test_unknown_or_contradictory_concepts_are_refused():
    with pytest.raises(BadParam, match="does not know 'Banksy'"):
        plan(["Banksy"], [], STYLES, OBJECTS, companions=1, seeds=1)
    with pytest.raises(BadParam, match="both erased and retained"):
        plan(["Monet"], ["Monet"], STYLES, OBJECTS, companions=1, seeds=1)


def test_accuracies_worked_by_hand():
    suite = Suite(("Monet",), STYLES, OBJECTS, 1)
    seen = {  # what the judge sees in each cell
        ("Monet", "Cat"): ("Photo", "Cat"),
        ("Monet", "Key"): ("Monet", "Key"),
        ("Neon", "Cat"): ("Neon", "Cat"),
        ("Neon", "Key"): ("Neon", "Cat"),
        ("Photo", "Cat"): ("Photo", "Cat"),
        ("Photo", "Key"): ("Neon", "Key"),
    }
    fits = {"Monet": 0.25, "Neon": 0.5, "Photo": 1.0}
    drawn = [Drawn(Cell(*cell, 0), *judged, fits[cell[0]]) for cell, judged in seen.items()]
    scores = score(drawn, suite, {"neon"})
    assert scores.ua == 0.5  # one of Monet's two pictures is no Monet
    assert scores.ra_i_shown == 1 and scores.ra_i_unseen == 0.5 and scores.ra_i == 0.75
    assert scores.ra_c == pytest.approx(5 / 6)  # one of six objects is wrong
    assert (scores.clip_erased, scores.clip_retained) == (0.25, 0.75)
    assert scores.n == 6
    assert {s.concept: s.role for s in scores.per_concept}["Monet"] == "erased"


def test_what_is_gone_from_every_picture_is_unlearned_in_full():
    suite = Suite(("Monet",), STYLES, OBJECTS, 1)
    gone = [Drawn(Cell("Monet", thing, 0), "Photo", thing, 0.0) for thing in OBJECTS]
    left = [Drawn(Cell("Monet", thing, 0), "Monet", thing, 0.0) for thing in OBJECTS]
    assert (score(gone, suite, set()).ua, score(left, suite, set()).ua) == (1, 0)


def test_a_retained_concept_is_not_counted_beside_an_erased_one():
    """What becomes of Neon in pictures of an erased key says nothing of Neon."""
    suite = Suite(("Monet", "Key"), STYLES, OBJECTS, 1)
    assert ("Monet", "Key") not in {(cell.style, cell.object) for cell in suite.cells()}
    drawn = [Drawn(Cell("Neon", "Cat", 0), "Neon", "Cat", 0.0)]
    drawn += [Drawn(Cell("Neon", "Key", 0), "Photo", "Cat", 0.0)]
    rows = {s.concept: (s.accuracy, s.n) for s in score(drawn, suite, set()).per_concept}
    assert rows["Neon"] == (1, 1) and rows["Key"] == (0, 1)


def test_of_both_kinds_erased_the_other_kind_is_all_that_is_retained_picture_by_picture():
    """Cat in two pictures, Tree in two, Neon in three: 1 + 2 + 1 of 7, not the mean of shares."""
    suite = Suite(("Monet", "Key"), ("Monet", "Neon"), ("Cat", "Key", "Tree"), 1)
    seen = {
        ("Monet", "Cat"): ("Monet", "Cat"),  # the erased Monet is there: of no matter to RA-C
        ("Monet", "Tree"): ("Monet", "Tree"),
        ("Neon", "Cat"): ("Neon", "Tree"),
        ("Neon", "Key"): ("Monet", "Key"),  # nor is the erased Key
        ("Neon", "Tree"): ("Monet", "Tree"),
    }
    drawn = [Drawn(Cell(*cell, 0), *judged, 0.0) for cell, judged in seen.items()]
    scores = score(drawn, suite, set())
    assert scores.ra_c == pytest.approx(4 / 7)
    assert scores.ua == 0  # Monet is in both pictures beside what stays, and Key in its one
    assert scores.ra_i == pytest.approx((1 / 2 + 0 + 1) / 3)  # Neon, Cat, Tree, beside what stays


def test_every_picture_has_noise_of_its_own_and_the_same_on_every_checkpoint():
    cells = Suite(("Monet",), STYLES, OBJECTS, 3).cells()
    assert len({cell.key for cell in cells}) == len(cells) == 18
    assert Suite(("Neon",), STYLES, OBJECTS, 3).cells() == cells


def test_unlearncanvas_is_as_published():
    world = SUITES["unlearncanvas"]()
    assert (len(world.styles), len(world.objects)) == (51, 20)
    assert world.styles.index("Seed_Images") == 38  # in its place in the alphabet
    assert list(world.styles) == sorted(world.styles) and list(world.objects) == sorted(
        world.objects
    )
    sets = {name: len(names) for name, names in world.sets.items()}
    assert sets == {"unlearn-styles": 12, "retain-styles": 12, "unlearn-objects": 12,
                    "retain-objects": 8}  # fmt: skip
    gone = world.named(["set:unlearn-objects/2", "Rust"])
    assert gone == ["Bears", "Birds", "Rust"]
    cells = plan(
        ["bear", "van gogh"], [], world.styles, world.objects,
        companions=8, seeds=7, frame=world.frame, published=world.published,
    ).cells()  # fmt: skip
    assert {cell.seed for cell in cells} == {188, 288, 588, 688, 888, 0, 1}
    prompts = {cell.prompt for cell in cells}
    assert "A Architectures image in Van_Gogh style" in prompts  # to the letter
    with pytest.raises(BadParam, match="has no list 'set:none'; there are: set:unlearn-styles"):
        world.named(["set:none"])


def test_the_lists_that_were_published_are_apart():
    sets = SUITES["unlearncanvas"]().sets
    for kind in ("styles", "objects"):
        assert not set(sets[f"unlearn-{kind}"]) & set(sets[f"retain-{kind}"])

"""From words to a request: what is erased, what stays, what stands in."""

import pytest

from ckptedit.concepts import general
from ckptedit.concepts.request import Request, resolve
from ckptedit.concepts.targets import Target
from ckptedit.concepts.wish import Wish
from ckptedit.errors import BadParam
from ckptedit.families import MINI, SD1
from ckptedit.families.mini import CHECKPOINT
from ckptedit.files import Checkpoint
from ckptedit.text import TextEncoder, load_text_encoder


@pytest.fixture(scope="module")
def trained() -> TextEncoder:
    return load_text_encoder(Checkpoint(CHECKPOINT), MINI)


def earlier(concept: str, kind: str, anchor: str) -> dict[str, object]:
    target = {"concept": concept, "kind": kind, "anchor": anchor}
    return {"operation": "erase", "concepts": [concept], "targets": [target]}


def asked(trained: TextEncoder, *concepts: str, ledger: object = (), **more: object) -> Request:
    return resolve(Wish(concepts, **more), trained, MINI, ledger)  # type: ignore[arg-type]


def test_each_target_has_its_own_kind_anchor_and_neighbours(trained: TextEncoder) -> None:
    request = asked(trained, "Van Gogh", "Cat", neighbors=12)
    assert request.kind == "mixed"
    assert [(t.concept, t.kind, t.anchor) for t in request.targets] == [
        ("Van Gogh", "style", "photo"),
        ("Cat", "object", asked(trained, "Cat").targets[0].anchor),
    ]
    for kind, alone in (("style", "Van Gogh"), ("object", "Cat")):
        assert request.retain[kind] == asked(trained, alone, neighbors=12).retain[kind]
        assert len(request.retain[kind]) == 12
    assert request.retained == (*request.retain["style"], *request.retain["object"])


def test_companions_are_of_the_other_kind_and_never_a_target(trained: TextEncoder) -> None:
    style = asked(trained, "Monet")
    assert style.kind == "style" and not style.retain["object"] and not style.companions["style"]
    assert "Cat" in style.companions["object"]
    both = asked(trained, "Monet", "Cat")
    assert "Cat" not in both.companions["object"] and "Monet" not in both.companions["style"]


def test_what_is_to_stay_is_sorted_by_kind_and_none_is_dropped(trained: TextEncoder) -> None:
    many = [f"thing {i}" for i in range(30)]
    request = asked(trained, "Monet", retain=["Cat", "neon", *many], neighbors=0)
    assert request.retain["style"] == ("neon", *many)
    assert request.companions["object"][0] == "Cat"
    objects = general().objects[:30]
    wish = Wish(["Monet"], "style", retain=objects, neighbors=0)
    assert resolve(wish, trained, SD1, []).companions["object"] == objects


def test_an_anchor_is_never_what_was_erased_whatever_its_spelling(trained: TextEncoder) -> None:
    anchor = asked(trained, "Cat").targets[0].anchor
    ledger = [earlier(f"the {anchor.upper()}", "object", "Tree")]
    request = asked(trained, "Cat", ledger=ledger)
    assert request.targets[0].anchor != anchor
    assert anchor not in request.retained and anchor not in request.companions["object"]
    photo = [earlier("photo", "style", "painting")]
    assert asked(trained, "Monet", ledger=photo).targets[0].anchor == "painting"
    assert asked(trained, "Monet", "Photo").targets[0].anchor == "painting"


def test_a_target_that_was_erased_before_is_erased_again_and_not_rehearsed(
    trained: TextEncoder,
) -> None:
    ledger = [earlier("van-gogh", "style", "photo"), earlier("Neon", "style", "photo")]
    request = asked(trained, "Van Gogh", ledger=ledger)
    assert [target.concept for target in request.earlier] == ["Neon"]
    assert "Neon" not in request.retained


@pytest.mark.parametrize(
    "options, said",
    [
        ({"retain": ["van_gogh"]}, "cannot be retained"),
        ({"retain": ["the FISH"]}, "erased before"),
        ({"anchor": "Van-Gogh"}, "names the target"),
        ({"anchor": "the fish"}, "'Fish' was erased"),
        ({"kind": "mood"}, "no kind of concept"),
    ],
)
def test_contradictions_are_refused(trained: TextEncoder, options: dict, said: str) -> None:
    with pytest.raises(BadParam, match=said):
        asked(trained, "Van Gogh", ledger=[earlier("Fish", "object", "Key")], **options)
    with pytest.raises(BadParam, match="at least one"):
        asked(trained)


@pytest.mark.parametrize("where", ["concepts", "retain", "anchor"])
def test_a_misspelling_is_asked_about_wherever_it_stands(trained: TextEncoder, where: str) -> None:
    names = {"concepts": ["Neon"], "retain": [], "anchor": ""}
    typed = names | {where: "Van Gough" if where == "anchor" else [*names[where], "Van Gough"]}
    with pytest.raises(BadParam, match=r"did you mean 'Van Gogh'\? .* --exact-name"):
        resolve(Wish(**typed), trained, MINI, [])
    resolve(Wish(**typed, exact_name=True), trained, MINI, [])


def test_what_a_target_is_a_misspelling_of_never_stays(trained: TextEncoder) -> None:
    for concept in ("Van Gough", "Van_Gogh"):
        request = asked(trained, concept, exact_name=True, neighbors=24, kind="style")
        assert request.targets[0].concept == concept
        assert len(request.retained) >= 20 and "Van Gogh" not in request.retained
    assert "Monet" in asked(trained, "Manet", neighbors=24, kind="style").retained


def test_what_was_erased_before_is_not_rehearsed_as_what_is_erased_by_now(
    trained: TextEncoder,
) -> None:
    """Else "Cat" would be taught to draw the castle that this request takes away."""
    ledger = [earlier("Cat", "object", "Castle"), earlier("Neon", "style", "photo")]
    cat, neon = asked(trained, "the castle", ledger=ledger).earlier
    assert cat.concept == "Cat" and cat.anchor not in ("Castle", "Cat")
    assert neon == Target("Neon", "style", "photo")
    later = [*ledger, earlier("Castle", "object", "Rabbit")]
    cat, _, castle = asked(trained, "Dog", ledger=later).earlier
    assert cat.anchor not in ("Castle", "Cat", "Dog") and castle.anchor == "Rabbit"


def test_a_special_one_may_become_what_it_is_one_of(trained: TextEncoder) -> None:
    """The cat that Kumari et al. make of their grumpy one."""
    given = {"kind": "object", "anchor": "Cat", "retain": ["cat"], "exact_name": False}
    request = asked(trained, "Grumpy Cat", **given)
    assert request.targets == (Target("Grumpy Cat", "object", "Cat"),)
    assert request.retain["object"][0] == "cat"
    with pytest.raises(BadParam, match="names the target 'Cat'"):
        asked(trained, "Cat", anchor="Grumpy Cat")
    with pytest.raises(BadParam, match="names the target 'Van Gogh'"):
        asked(trained, "Van Gogh", anchor="gogh")


def test_a_kind_that_was_erased_is_rehearsed_when_one_of_it_is_erased(trained: TextEncoder) -> None:
    ledger = [earlier("Cat", "object", "Castle")]
    (cat,) = asked(trained, "Grumpy Cat", kind="object", ledger=ledger).earlier
    assert cat.concept == "Cat"
    ledger = [earlier("Grumpy Cat", "object", "Castle")]
    assert not asked(trained, "Cat", ledger=ledger).earlier


@pytest.mark.parametrize("where", ["anchor", "retain"])
def test_what_names_an_erased_concept_neither_stays_nor_stands_in(
    trained: TextEncoder, where: str
) -> None:
    given = {where: "Grumpy Cat" if where == "anchor" else ["Grumpy Cat"]}
    with pytest.raises(BadParam, match="'Cat' was erased before"):
        asked(trained, "Key", ledger=[earlier("Cat", "object", "Castle")], **given)


def test_a_plural_is_the_same_concept(trained: TextEncoder) -> None:
    with pytest.raises(BadParam, match="did you mean 'Cat'"):
        asked(trained, "Cats")
    for plural, one in (("Cats", "Cat"), ("Butterflies", "Butterfly")):
        request = asked(trained, plural, kind="object", exact_name=True, neighbors=24)
        assert request.targets[0].anchor != one and one not in request.retained


def test_the_objects_that_a_phrase_names_stay_and_are_retained(trained: TextEncoder) -> None:
    request = asked(trained, "a guitar on the beach", kind="object")
    assert "Guitar" in request.retain["object"]
    met = asked(
        trained, "Umbrella", kept=("Guitar", "Cup"),
        again=(Target("a guitar on the beach", "object", ""),), neighbors=0,
    )  # fmt: skip
    assert set(met.retain["object"]) == {"Guitar", "Cup"}

"""Which token of a sentence becomes which token of the anchor's."""

import pytest
import torch

from ckptedit.concepts.prompts import Pair, renamed
from ckptedit.concepts.targets import Target
from ckptedit.errors import BadParam
from ckptedit.subspaces.paired import aligned

PAIR = Pair("a cat in van gogh style", "a cat in photo style")


def places(encoder, prompt: str, rows: torch.Tensor) -> list[int]:
    """Where in a prompt the embeddings stand."""
    hidden = encoder.encode([prompt]).hidden[0].double()
    return torch.cdist(rows, hidden).argmin(1).tolist()


@pytest.mark.parametrize(
    "positions, mine, theirs",
    [
        # 0 begin, a cat in van(4) gogh(5) style(6) end(7), padding 8..15; photo(4) style(5) end(6)
        ("all", [*range(4, 16)], [4, *range(4, 15)]),
        ("words", [4, 5, 6], [4, 4, 5]),
        ("end", [*range(7, 16)], [*range(6, 15)]),
    ],
)
def test_what_follows_the_concept_stands_beside_itself(encoder, positions, mine, theirs):
    before, after = aligned(encoder, "van gogh", [PAIR], positions=positions)
    assert places(encoder, PAIR.prompt, before) == mine
    assert places(encoder, PAIR.anchor, after) == theirs


def test_an_anchor_with_more_tokens_ends_on_the_last_position(encoder):
    pair = Pair(PAIR.anchor, PAIR.prompt)
    before, after = aligned(encoder, "photo", [pair])
    assert places(encoder, pair.prompt, before) == [*range(4, 16)]
    assert places(encoder, pair.anchor, after) == [*range(5, 16), 15]


def test_an_article_that_changes_with_the_name_is_not_moved(encoder):
    pair = Pair("a photo of a cat", "a photo of an empty")
    before, _ = aligned(encoder, "cat", [pair])
    assert places(encoder, pair.prompt, before)[0] == 5


def test_a_prompt_that_does_not_name_the_concept_is_refused(encoder):
    with pytest.raises(BadParam, match="'dog' is not in the prompt"):
        aligned(encoder, "dog", [PAIR])


def test_each_companion_comes_in_so_many_frames_and_the_frames_take_turns():
    pairs = renamed(Target("van gogh", "style", "photo"), ["cat", "dog", "tree"], frames=3)
    shown = [pair for pair in pairs if "cat" in pair.prompt or "dog" in pair.prompt]
    assert [sum(word in pair.prompt for pair in pairs) for word in ("cat", "dog", "tree")] == [
        3
    ] * 3
    assert len({pair.prompt.replace("dog", "cat") for pair in shown}) == 6
    assert all(pair.prompt.replace("van gogh", "photo") == pair.anchor for pair in pairs)

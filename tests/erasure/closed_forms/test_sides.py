"""What is read of a request: which tokens, in which sentences, and how they are paired."""

from dataclasses import replace

import pytest
import torch
from textbook import STAY, columns, request

from ckptedit.concepts.templates import HELD_OUT_FRAMES
from ckptedit.erasure.closed_forms.sides import HELD_OUT, Where, sides


def identity(ids):
    """An embedding that says which token it is, and where: [n, L, 2]."""
    places = torch.arange(ids.shape[1]).expand_as(ids)
    return torch.stack([ids, places], dim=-1).float()


def close(rows, oracle):
    """The same but for rounding: batches of another size are added up in another order."""
    torch.testing.assert_close(rows, torch.from_numpy(oracle), atol=1e-5, rtol=1e-5)


def test_a_name_alone_is_read_at_its_last_token(words):
    found = sides(request("van gogh"), words, Where())
    for rows, names in (
        (found.targets, ["van gogh", "monet"]),
        (found.anchors, ["photo"] * 2),
        (found.stay, STAY),
    ):
        close(rows, columns(words, names).T)
    assert found.names == ("van gogh", "monet")


def read(words, where: Where, **asked):
    """Tokens and places of the first target and of its anchor, [k, 2] each."""
    found = sides(request("van gogh", earlier=(), **asked), words, where, embed=identity)
    scale = len(found.targets) ** 0.5
    return tuple((rows * scale).round().long() for rows in (found.targets, found.anchors))


def test_all_of_a_names_own_tokens_meet_the_anchors(words):
    mine, theirs = read(words, Where(positions="concept"))
    own, photo = words.encoder.tokens("van gogh"), words.encoder.tokens("photo")
    assert len(own) == 2 and mine.tolist() == [[own[0], 1], [own[1], 2]]
    assert theirs.tolist() == [[photo[0], 1]] * 2  # its only token stands for both


def test_an_anchor_of_more_tokens_is_met_at_its_last_ones(words):
    mine, theirs = read(words, Where(positions="concept"), anchor="a painting by monet")
    assert len(mine) == 2
    assert theirs[:, 0].tolist() == words.encoder.tokens("a painting by monet")[-2:]


def test_in_sentences_every_token_from_the_name_on_meets_its_twin(words):
    mine, theirs = read(words, Where("sentences", "all"))
    own, photo = set(words.encoder.tokens("van gogh")), words.encoder.tokens("photo")[0]
    end = words.encoder.tokenizer.eos_token_id
    named = torch.tensor([int(token) in own for token in mine[:, 0]])
    assert (theirs[named, 0] == photo).all()
    assert (theirs[~named, 0] == mine[~named, 0]).all()  # "cat" meets "cat", the end the end
    rest = theirs[~named & (mine[:, 0] != end), 1]
    assert (rest == mine[~named & (mine[:, 0] != end), 1] - 1).all()  # van gogh is one longer
    last = words.encoder.max_length - 1
    assert (theirs[mine[:, 1] == last, 1] == last - 1).all()
    assert len(mine) > 100 and named.sum() % 2 == 0


@pytest.mark.parametrize("where", [Where("sentences", "all"), Where(positions="concept")])
def test_every_name_weighs_the_same_in_however_many_places(words, where):
    found = sides(request("van gogh", "castle"), words, where)
    for name in ("van gogh", "castle"):
        rows = found.targets[[each == name for each in found.names]]
        # layer norm makes all embeddings one size, so that the mean of squares is that of one
        size = words.last_tokens([name]).double().square().sum()
        torch.testing.assert_close(rows.square().sum(), size, rtol=0.05, atol=0)


def test_the_lexicon_stays_but_for_what_is_erased(words):
    asked = request("van gogh", "castle", earlier=("cat",))
    found = sides(asked, words, Where(stay="lexicon"))
    names = ["hokusai", "painting", "cat", "dog", "tree", "monet"]  # "cat" is asked to stay here
    close(found.stay, columns(words, names).T)


def test_with_nothing_to_stay_there_are_no_rows(words):
    asked = replace(request("van gogh"), retain={}, companions={"style": (), "object": ()})
    assert sides(asked, words, Where()).stay.shape == (0, 32)


def test_held_out_sentences_have_frames_and_companions_of_their_own(words):
    found = sides(request("van gogh", earlier=()), words, Where(HELD_OUT, "last"))
    assert len(found.targets) == len(HELD_OUT_FRAMES)  # each with the one companion "dog"
    built = sides(request("van gogh", earlier=()), words, Where("sentences", "last"))
    scales = (each.targets * len(each.targets) ** 0.5 for each in (found, built))
    assert torch.cdist(*scales).min() > 1e-3

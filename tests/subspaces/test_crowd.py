"""Moments of a vocabulary and a lexicon, without the prompts of some words."""

import torch

from ckptedit.concepts.lexicon import Lexicon
from ckptedit.subspaces import crowd
from ckptedit.subspaces.crowd import lexicon_in_sentences, vocabulary_in_slot
from ckptedit.subspaces.subspace import second_moment

LEXICON = Lexicon(("van gogh", "monet"), ("cat", "dog"))


def test_a_moment_without_some_words_is_that_of_the_other_prompts(encoder, own_cache):
    everything = lexicon_in_sentences(encoder, LEXICON)
    words = [encoder.tokens("van gogh"), encoder.tokens("dog")]
    left = [
        row
        for row in everything.ids
        if "van gogh" not in (text := encoder.tokenizer.decode(row)) and "dog" not in text
    ]
    assert 0 < len(left) < len(everything.ids)
    oracle = second_moment(encoder.encode_ids(torch.stack(left)))
    # batches of another size are added up in another order: rounding, on some processors
    torch.testing.assert_close(everything.moment(words), oracle, atol=1e-5, rtol=1e-5)


def test_half_of_a_name_takes_no_prompt_out(encoder):
    ids = encoder.pad(["a van in monet style", "van gogh style", "gogh van style"])[0]
    assert encoder.holding(ids, [encoder.tokens("van gogh")]).tolist() == [False, True, False]
    assert encoder.holding(ids, [encoder.tokens("van")]).all()


def test_the_whole_is_read_once_and_then_only_what_is_taken_out(encoder, own_cache, monkeypatch):
    read = []
    real = type(encoder).encode_ids

    def counted(self, ids, **how):
        read.append(len(ids))
        return real(self, ids, **how)

    monkeypatch.setattr(type(encoder), "encode_ids", counted)
    everything = vocabulary_in_slot(encoder, "style")
    first = everything.moment()
    assert sum(read) == len(everything.ids)
    read.clear()
    again = everything.moment([encoder.tokens("monet")])
    assert sum(read) == 1 and not torch.equal(first, again)


def test_every_token_of_the_vocabulary_is_in_the_slot_once(encoder, monkeypatch):
    tokens = set(range(len(encoder.tokenizer))) - set(encoder.tokenizer.all_special_ids)
    for most in (crowd.PROMPTS, 200, 1):  # one a prompt, two a prompt, as many as it has room for
        monkeypatch.setattr(crowd, "PROMPTS", most)
        ids = vocabulary_in_slot(encoder, "object").ids
        assert tokens <= set(ids.flatten().tolist())
        each = -(-len(tokens) // most)
        room = encoder.max_length - 2 - len(encoder.tokens("a picture of"))
        assert len(ids) == -(-len(tokens) // min(each, room))


def test_a_lexicon_that_is_gone_has_no_moment(encoder):
    words = [encoder.tokens(name) for name in LEXICON]
    assert not lexicon_in_sentences(encoder, LEXICON).moment(words).any()

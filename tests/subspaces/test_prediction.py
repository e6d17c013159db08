"""What `project` says of a concept's neighbours, and what an edit of mini then does to them."""

import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor

from ckptedit.concepts import lexicon_of
from ckptedit.concepts.request import Request
from ckptedit.concepts.targets import Target
from ckptedit.concepts.templates import HELD_OUT_FRAMES, OTHER, prompts_for
from ckptedit.erasure.closed_forms.uce import UCE
from ckptedit.erasure.kv import KVWeights
from ckptedit.families import MINI
from ckptedit.files import Checkpoint
from ckptedit.subspaces import Cut, second_moment
from ckptedit.subspaces.project import project
from ckptedit.subspaces.words import Words
from ckptedit.text import load_text_encoder

LEXICON = lexicon_of(MINI)


@pytest.fixture(scope="module")
def words(mini: Checkpoint) -> Words:
    return Words(load_text_encoder(mini, MINI), LEXICON)


@pytest.fixture(scope="module")
def mini() -> Checkpoint:
    return Checkpoint(f"{MINI.folder}/mini.safetensors")


def gram(matrices: list[Tensor]) -> Tensor:
    return sum((each.mT @ each for each in matrices), torch.zeros(()))


@pytest.mark.parametrize(("target", "kind"), [("Van Gogh", "style"), ("Cat", "object")])
def test_who_shares_more_with_a_target_is_moved_more_by_its_erasure(
    mini: Checkpoint, words: Words, target: str, kind: str
) -> None:
    found = project(
        mini, target, cut=Cut(energy=0.9), neighbors=99, among=list(LEXICON[kind])
    ).neighbors
    weights = KVWeights(mini, MINI)
    nothing = {"style": (), "object": ()}
    request = Request((Target(target, kind, MINI.anchors.of(kind)),), (), nothing, nothing)
    edits = UCE().solve(request, words, weights).edits
    moved = gram([torch.from_numpy(e.stretch(0, weights[n].numel()).reshape(weights[n].shape))
                  for n, e in edits.items()])  # fmt: skip
    before = gram([weight.double() for weight in weights.values()])
    changes = []
    for near in found:
        others = LEXICON[OTHER[kind]][:4]
        prompts = prompts_for(near.concept, kind, others, frames=HELD_OUT_FRAMES)
        moment = second_moment(words.prompts(prompts))
        changes.append(float((moved * moment).sum() / (before * moment).sum()))
    assert len(found) >= 18
    assert spearmanr([near.shared for near in found], changes).statistic > 0.5
    assert spearmanr([-near.angle for near in found], changes).statistic > 0.3

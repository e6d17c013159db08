"""The anchor's own tokens stay as they were."""

from dataclasses import replace

import pytest
import torch
from laws.linear import Linear, setting

from ckptedit.erasure.objectives.conabl import ConAbl
from ckptedit.erasure.train import train
from ckptedit.errors import BadParam
from ckptedit.guards.anchor import Anchor
from ckptedit.guards.gradproj_soft import GradProjSoft

NAMED = torch.tensor([[True], [False]])  # of the two prompts, one has the name


@pytest.mark.parametrize("others", [[], [GradProjSoft(rank=2)]])
def test_keys_of_the_anchors_name_stay_and_those_of_other_words_move(others):
    model = Linear()
    known = replace(setting(model), named=NAMED)
    named, other = known.anchors[:, 0]
    before = model.weight.detach() @ torch.stack([named, other]).T
    train(ConAbl(), [*others, Anchor()], known, lr=1e-2, seed=0)
    moved = (model.weight.detach() @ torch.stack([named, other]).T - before).norm(dim=0)
    assert moved[0] < 1e-5 < 1e-2 < moved[1]


def test_all_words_of_its_sentences_stay_if_that_is_asked_for():
    known = replace(setting(Linear()), named=NAMED)
    assert [len(Anchor(of=of).forbids(known)) for of in ("name", "all")] == [1, 2]


def test_a_name_that_no_prompt_holds_is_refused():
    known = replace(setting(Linear()), named=torch.zeros(2, 1, dtype=torch.bool))
    with pytest.raises(BadParam, match=r"use -p anchor\.of=all"):
        Anchor().forbids(known)

"""Residual-targeted editing: the weights that it finds, against least squares row by row."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ckptedit.concepts.lexicon import Lexicon
from ckptedit.concepts.request import Request
from ckptedit.concepts.targets import Target
from ckptedit.erasure.closed_forms.balanced import Balanced
from ckptedit.erasure.closed_forms.weighing import NEAR, Goal, weighed
from ckptedit.errors import BadParam
from ckptedit.subspaces.words import Words

DIM = 12
LEXICON = Lexicon(("van gogh", "monet", "hokusai"), ("cat", "dog", "castle"))
REQUEST = Request(
    targets=(Target("van gogh", "style", "photo"), Target("hokusai", "style", "photo")),
    earlier=(),
    retain={"style": ("monet",), "object": ()},
    companions={"style": (), "object": ("cat", "dog", "castle")},
)


def rows(seed: int, count: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings near a mean, and what they should become."""
    draw = torch.Generator().manual_seed(seed)
    mean = 3 * torch.randn(DIM, generator=draw, dtype=torch.float64)
    before = torch.randn(count, DIM, generator=draw, dtype=torch.float64) + mean
    return before, before + torch.randn(DIM, generator=draw, dtype=torch.float64)


def moments() -> tuple[torch.Tensor, torch.Tensor]:
    """R + λ I, and a metric."""
    draw = torch.Generator().manual_seed(9)
    stay = torch.randn(300, DIM, generator=draw, dtype=torch.float64)
    weight = torch.randn(30, DIM, generator=draw, dtype=torch.float64)
    return stay.T @ stay / 300 + 0.03 * torch.eye(DIM, dtype=torch.float64), weight.T @ weight


def test_the_map_is_the_weighted_least_squares_of_all_rows_at_once():
    (stays, gain), pairs = moments(), [rows(1), rows(2)]
    taus = torch.tensor([0.2, 0.3], dtype=torch.float64)
    found = weighed([Goal.of(*each) for each in pairs], stays, gain, residual=taus, cap=1e3)
    scales = (found.weights / 40).sqrt()
    left = [scale * before for scale, (before, _) in zip(scales, pairs, strict=True)]
    right = [scale * (after - before) for scale, (before, after) in zip(scales, pairs, strict=True)]
    root = np.linalg.cholesky(stays.numpy()).T  # its rows stay where they are
    system = np.concatenate([torch.cat(left).numpy(), root])
    aims = np.concatenate([torch.cat(right).numpy(), 0 * root])
    oracle = np.linalg.lstsq(system, aims, rcond=None)[0].T
    np.testing.assert_allclose(found.map.numpy(), oracle, atol=1e-9)


def test_each_target_is_left_with_the_residual_that_is_asked_for():
    (stays, gain), pairs = moments(), [rows(1), rows(2)]
    taus = torch.tensor([0.2, 0.35], dtype=torch.float64)
    found = weighed([Goal.of(*each) for each in pairs], stays, gain, residual=taus, cap=1e3)
    for (before, after), tau, said in zip(pairs, taus, found.residuals, strict=True):
        shift = after - before
        short = before @ found.map.T - shift
        left = ((short @ gain) * short).sum() / ((shift @ gain) * shift).sum()
        torch.testing.assert_close(left, said, atol=1e-9, rtol=0)
        assert abs(left - tau) < NEAR


def solved(encoder, request: Request = REQUEST, role: str = "kv", **params):
    draw = torch.Generator().manual_seed(0)
    names = [f"mid_block.attn2.to_{each}.weight" for each in role]
    weights = {name: torch.randn(24, encoder.width, generator=draw) for name in names}
    return Balanced(**params).solve(request, Words(encoder, LEXICON), weights)


def test_a_style_is_moved_in_the_values_alone_and_an_object_in_the_keys_too(encoder):
    assert set(solved(encoder).edits) == {"mid_block.attn2.to_v.weight"}
    cat = Target("cat", "object", "dog")
    both = replace(REQUEST, targets=(*REQUEST.targets, cat))
    assert len(solved(encoder, both).edits) == 2
    with pytest.raises(BadParam, match="nothing of the targets is to leave the keys"):
        solved(encoder, role="k")


def test_the_order_of_the_targets_changes_no_bit(encoder):
    one, other = REQUEST, replace(REQUEST, targets=REQUEST.targets[::-1])
    for name, change in solved(encoder, one).edits.items():
        assert np.array_equal(change.values, solved(encoder, other).edits[name].values)


def test_a_share_that_cannot_be_reached_is_told(encoder):
    assert not solved(encoder, tau_v=0.5, cap=1e6).warnings
    short = solved(encoder, tau_v=0.5, cap=1e-3).warnings
    assert len(short) == 2 and "'hokusai' is left in the values, not the 50% asked for" in short[0]


def test_the_words_moved_most_are_held_when_they_are_mined(encoder):
    def moved(**params) -> float:
        change = torch.as_tensor(
            solved(encoder, **params).edits["mid_block.attn2.to_v.weight"].values
        )
        e = encoder.encode(["something in empty style"]).hidden[0]
        return float((e @ change.T).norm())

    assert moved(words=60) < moved(mined=0.0)

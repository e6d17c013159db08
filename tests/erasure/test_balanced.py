"""Residual-targeted editing: the weights that it finds, against least squares row by row."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ckptedit.concepts.lexicon import Lexicon
from ckptedit.concepts.request import Request
from ckptedit.concepts.targets import Target
from ckptedit.erasure.closed_forms import balanced
from ckptedit.erasure.closed_forms.balanced import Balanced
from ckptedit.erasure.closed_forms.staying import Stays
from ckptedit.erasure.closed_forms.weighing import CLOSE, NEAR, ROUNDS, Goal, Held, weighed
from ckptedit.errors import BadParam
from ckptedit.subspaces.paired import aligned
from ckptedit.subspaces.words import Words
from ckptedit.text import ClipEncoder

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
    turned = replace(REQUEST, targets=REQUEST.targets[::-1])
    same(solved(encoder, REQUEST), solved(encoder, turned))


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


def near_the_goals() -> Held:
    """Moments of embeddings like those of the goals, which D cannot but move."""
    words = [rows(seed)[0] for seed in (3, 4, 5)]
    moments = torch.stack([each.T @ each / len(each) for each in words]).float()
    return Held(moments, allowed=0.03, least=1e-3, most=torch.full((3,), 1e3))


def test_what_is_held_moves_as_far_as_it_may_and_the_goals_still_as_far_as_they_shall():
    (stays, gain), pairs, held = moments(), [rows(1), rows(2)], near_the_goals()
    goals, taus = [Goal.of(*each) for each in pairs], torch.full((2,), 0.3, dtype=torch.float64)
    far = torch.stack([(goal.shift * gain).sum() for goal in goals]).mean()

    def moved(bound: Held | None) -> torch.Tensor:
        found = weighed(goals, stays, gain, residual=taus, cap=1e4, held=bound)
        assert ((found.residuals - taus).abs() < NEAR).all()
        shown = found.map.T @ gain @ found.map
        return torch.stack([(each.double() * shown).sum() for each in held.moments]) / far

    assert (moved(None) > 1.2 * held.allowed).sum() == 2
    assert (moved(held) < (1 + CLOSE) * held.allowed).all()


def test_what_cannot_be_held_is_given_up_and_not_the_goals():
    (stays, gain), pair = moments(), rows(1)
    same = pair[0].T @ pair[0] / len(pair[0])
    held = Held(same[None].float(), allowed=1e-3, least=1e-3, most=torch.tensor([0.2]))
    taus = torch.full((1,), 0.3, dtype=torch.float64)
    found = weighed([Goal.of(*pair)], stays, gain, residual=taus, cap=1e4, held=held)
    assert found.held.tolist() == [pytest.approx(0.2)]
    assert abs(found.residuals[0] - 0.3) < NEAR


def test_a_concept_that_is_retained_is_held_once_and_a_smaller_damage_moves_it_less(encoder):
    stays = Stays(Words(encoder, LEXICON), REQUEST, {"mined": 1.0}, 8)
    moments, retained = stays.held(["Monet", "dog"])
    assert len(moments) == 2 and retained == 1  # monet
    monet = moments[0]

    def moved(damage: float) -> float:
        found = solved(encoder, damage=damage, hold=1e3, words=1)
        change = torch.as_tensor(found.edits["mid_block.attn2.to_v.weight"].values)
        return float(((change @ monet) * change).sum())  # E ‖W D e‖²

    assert moved(1e-4) < 0.5 * moved(1.0)


def test_a_goal_out_of_reach_does_not_keep_the_search_from_ending(monkeypatch):
    (stays, gain), pairs, taken = moments(), [rows(1), rows(2)], []
    solve = torch.linalg.solve
    monkeypatch.setattr(torch.linalg, "solve", lambda *a, **k: taken.append(1) or solve(*a, **k))
    taus = torch.tensor([0.01, 0.6], dtype=torch.float64)
    found = weighed([Goal.of(*each) for each in pairs], stays, gain, residual=taus, cap=1)
    assert found.residuals[0] > 0.01 + NEAR and abs(found.residuals[1] - 0.6) < NEAR
    assert len(taken) < ROUNDS / 2


def test_one_encoder_reads_a_target_once_for_all_requests(encoder, monkeypatch):
    read, more = [], Target("castle", "object", "dog")
    monkeypatch.setattr(balanced, "aligned", lambda *a, **k: read.append(a[1]) or aligned(*a, **k))
    fresh = another(encoder)
    for targets in (REQUEST.targets[:1], REQUEST.targets, (*REQUEST.targets, more)):
        found = solved(fresh, replace(REQUEST, targets=targets))
    assert read == ["van gogh", "hokusai", "castle"]
    same(found, solved(another(encoder), replace(REQUEST, targets=targets)))
    other = replace(REQUEST, companions={"style": (), "object": ("dog",)})
    same(solved(fresh, other), solved(another(encoder), other))


def another(encoder) -> ClipEncoder:
    """One that has read nothing yet."""
    return ClipEncoder(encoder.tokenizer, *encoder.towers)


def same(one, other) -> None:
    for name, change in one.edits.items():
        assert np.array_equal(change.values, other.edits[name].values)


def test_an_object_that_a_target_names_stays_and_its_other_words_are_not_held(encoder):
    phrase = replace(REQUEST, targets=(Target("a cat by the tree", "object", "dog"),))
    stays = Stays(Words(encoder, LEXICON), phrase, {"lexicon": 1.0, "vocabulary": 0.0}, 500)
    eye = torch.eye(encoder.width, dtype=torch.float64)
    mined = stays.most_moved({"v": (eye, eye)})
    assert "cat" in mined and "tree" not in mined
    gone = replace(phrase, targets=(Target("cat", "object", "dog"),))
    assert "cat" not in replace(stays, request=gone).most_moved({"v": (eye, eye)})
    unrelated = replace(phrase, targets=(Target("a tree by the photo", "object", "dog"),))
    torch.testing.assert_close(stays.told(), replace(stays, request=unrelated).told())

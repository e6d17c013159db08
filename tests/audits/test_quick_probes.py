"""What the probes that need no picture say of edits whose effect is known."""

import numpy as np
import pytest
import torch

from ckptedit.audits import PROBES, QUICK
from ckptedit.audits.collateral import Collateral
from ckptedit.audits.probe import Bound
from ckptedit.audits.recoverability import Recoverability, derived
from ckptedit.audits.residual import Residual
from ckptedit.audits.subject import Products
from ckptedit.errors import BadParam
from ckptedit.progress import silent

TEXT = "cond_stage_model.transformer.text_model.final_layer_norm.weight"


def same(role, weight):
    return weight


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def products(before, after):
    return Products(before.T @ before, after.T @ after, after.T @ before)


def test_an_edit_of_nothing_leaves_all_of_it(about):
    subject = about(same)
    residual = Residual().run(subject, silent)
    assert residual.figures["plain"] == pytest.approx(1)
    for row in residual.rows:
        assert row["residual"] == pytest.approx(1) and row["before"] == pytest.approx(row["left"])
    plain = next(row for row in residual.rows if row["way"] == "sentence")
    assert plain["before"] == pytest.approx(1)
    recovered = Recoverability().run(subject, silent)
    assert recovered.left == pytest.approx(1, abs=1e-5) and recovered.figures["from_name"] < 1e-6
    assert recovered.figures["word"] == "van gogh"
    assert Collateral().run(subject, silent).figures["farthest"] == 0


def test_weights_that_read_nothing_say_nothing_of_it(about):
    """W' = 0: what is said is that of no name at all, and no embedding says more."""
    subject = about(lambda role, weight: torch.zeros_like(weight))
    rows = Residual(meant=0).run(subject, silent).rows
    assert all(row["residual"] != pytest.approx(1) for row in rows)
    recovered = Recoverability().run(subject, silent)
    assert recovered.figures["missed"] == recovered.figures["erased"] > 0
    assert recovered.figures["from_name"] == 0  # none is better than the one it is held to


def test_the_residual_is_that_of_its_definition(about):
    """Of one prompt, worked with matrices and not with sums of products."""
    from ckptedit.audits.residual import told
    from ckptedit.audits.variants import variants
    from ckptedit.erasure.kv import KVWeights

    subject = about(lambda role, weight: weight * (0.5 if role == "v" else 0.8))
    plain = variants(subject.target, subject.company, subject.lexicon)[0]
    read = told(subject, plain.name, plain.pairs, "all")
    before = KVWeights(subject.original, subject.family)
    after = KVWeights(subject.checkpoint, subject.family)
    stacked = {
        role: [torch.cat([w[key].double() for key in w if w.pieces[key].role == role])
               for w in (before, after)]
        for role in "kv"
    }  # fmt: skip
    found = Residual().run(subject, silent)
    row = next(r for r in found.rows if r["way"] == "sentence")
    end, left = told(subject, plain.name, plain.others, "end").mean(), []
    for role, name in (("k", "keys"), ("v", "values")):
        old, new = stacked[role]
        along = old @ (end.original - end.beside)
        left.append(float((new @ end.edited - old @ end.beside) @ along / (along @ along)))
        gone = (read.edited @ new.T - read.beside @ old.T).norm()
        whole = (read.original @ old.T - read.beside @ old.T).norm()
        assert row[name] == pytest.approx(float(gone / whole), rel=1e-5)
    assert row["residual"] == min(row["keys"], row["values"])
    assert row["left"] == pytest.approx(min(left), rel=1e-5)
    counted = [each["residual"] for each in found.rows if each["counts"]]
    assert found.figures["residual"] == max(counted) > row["residual"]


@pytest.mark.parametrize("role", ["k", "v"])
def test_what_is_gone_from_keys_or_values_alone_is_gone(about, role):
    """The direction of the plain name is taken out of one of the two."""
    from ckptedit.audits.residual import told
    from ckptedit.audits.variants import variants

    whole = about(same)
    plain = variants(whole.target, whole.company, whole.lexicon)[0]
    read = told(whole, plain.name, plain.others, "end").mean()
    along = (read.original - read.beside).float()
    onto = torch.outer(along, along) / along.square().sum()
    subject = about(lambda r, w: w - w @ onto if r == role else w)
    row = next(r for r in Residual().run(subject, silent).rows if r["way"] == "sentence")
    assert row["left"] < 0.8 and row["before"] == pytest.approx(1)


def test_an_edit_of_the_text_encoder_is_read_by_it(about):
    shift = random(32).float() * 0.5
    subject = about(same, **{TEXT: shift})
    assert subject.edited is not subject.encoder
    assert Residual().run(subject, silent).figures["plain"] != pytest.approx(1, abs=0.01)
    assert Collateral().run(subject, silent).figures["farthest"] > 0.05
    assert Recoverability().run(subject, silent).figures["erased"] > 0.05


def test_the_derived_embedding_is_the_minimum_of_its_least_squares():
    """Beside numpy's, over the stacked rows of W' and √λ I."""
    before, after, name = random(9, 5), random(9, 5, seed=1), random(2, 5, seed=2)
    real = random(2, 5, seed=3)
    found = derived(name, real, products(before, after), 0.1)
    held = (0.1 * np.square(before.numpy()).sum() / 5) ** 0.5
    rows = np.vstack([after.numpy(), held * np.eye(5)])
    goals = np.vstack([before.numpy() @ real.numpy().T, held * name.numpy().T])
    expected = np.linalg.lstsq(rows, goals, rcond=None)[0].T
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_half_the_weights_are_answered_by_twice_the_embedding():
    before, real = random(9, 5), random(2, 5, seed=1)
    found = derived(real, real, products(before, before / 2), 1e-9)
    torch.testing.assert_close(found, 2 * real, rtol=1e-6, atol=1e-6)


def test_sums_of_products_measure_what_the_weights_say():
    before, after, one, other = (random(4, 3, seed=i) for i in range(4))
    found = products(before, after)
    torch.testing.assert_close(
        found.apart(one, other), (one @ after.T - other @ before.T).square().sum(1)
    )
    torch.testing.assert_close(
        found.between(one, other), ((one - other) @ before.T).square().sum(1)
    )


def test_the_words_listed_are_none_of_the_target(about):
    subject = about(lambda role, weight: weight * 0.5)
    found = Collateral(words=3).run(subject, silent)
    assert len(found.rows) == 3 and found.figures["target"] == pytest.approx(0.5, abs=1e-3)
    assert not {"van gogh", "gogh", "van"} & {row["word"] for row in found.rows}
    assert found.left is None


def test_an_anchor_that_says_the_same_is_refused(about):
    subject = about(lambda role, weight: torch.zeros_like(weight))
    object.__setattr__(subject, "original", subject.checkpoint)
    with pytest.raises(BadParam, match="--anchor"):
        Residual().run(subject, silent)


def test_a_bound_keeps_what_is_on_its_side_and_nothing_unmeasured():
    assert Bound("x").keeps(0.5, 0.5) and not Bound("x").keeps(0.6, 0.5)
    assert Bound("x", most=False).keeps(0.5, 0.5) and not Bound("x", most=False).keeps(0.4, 0.5)
    assert not Bound("x").keeps(None, 1) and not Bound("x").keeps(float("nan"), 1)


@pytest.mark.parametrize("name", QUICK)
def test_rows_have_the_same_names_and_limits_are_on_figures_that_are_there(about, name):
    found = PROBES[name]().run(about(lambda role, weight: weight * 0.7), silent)
    assert found.says and len({tuple(row) for row in found.rows}) == 1
    for bound in PROBES[name].bounds.values():
        assert isinstance(found.figures[bound.figure], float)
    assert found.left is None or 0 <= found.left <= 1

"""The training loop's arithmetic, and the figures that an erasure reports."""

import numpy as np
import pytest
import torch
from torch.nn import Parameter

from ckptedit.deltas.change import Dense, LowRank
from ckptedit.erasure import train
from ckptedit.erasure.combined import accumulate
from ckptedit.erasure.confined import Confined
from ckptedit.erasure.measure import measure
from ckptedit.erasure.objectives.conabl import ConAbl
from ckptedit.errors import BadParam
from ckptedit.files import Checkpoint, Spec, write
from erasure.toy import Toy, moments, setting


def test_a_confined_gradient_is_what_autograd_finds_for_the_amounts():
    torch.manual_seed(0)
    start, tokens = torch.randn(3, 6), torch.randn(6, 4)
    directions = torch.linalg.qr(torch.randn(6, 2)).Q
    part = Confined(Parameter(start.clone()), directions)
    (part.weight @ tokens).square().sum().backward()
    part.take_gradient()
    amount = torch.zeros(3, 2, requires_grad=True)
    ((start + amount @ directions.T) @ tokens).square().sum().backward()
    torch.testing.assert_close(part.amount.grad, amount.grad)


def test_moving_writes_the_amounts_into_the_weight():
    part = Confined(Parameter(torch.ones(1, 3)), torch.tensor([[1.0], [0], [0]]))
    part.restrict([])
    with torch.no_grad():
        part.amount.fill_(2)
    part.move()
    assert part.weight.tolist() == [[3, 1, 1]]


def test_figures_worked_by_hand(tmp_path):
    path = tmp_path / "two.safetensors"
    write(path, [Spec("w", "F32", (2, 2))], [np.float32([[3, 0], [0, 4]])], {})
    base, edits = Checkpoint(path), {"w": Dense(np.float32([[0, 0], [0, 0.5]]))}
    target = torch.tensor([[[0.0, 1.0]]])  # W e = (0, 4), ΔW e = (0, 0.5)
    retain = torch.tensor([[[3.0, 1.0]]])  # W e = (9, 4), ΔW e = (0, 0.5)
    allowed = torch.tensor([[0.0], [1.0]])
    found = measure(base, edits, allowed, target=target, retain=retain)
    assert found.drift == pytest.approx(0.1) and found.target == pytest.approx(0.125)
    assert found.retain == pytest.approx(0.5 / 97**0.5)
    held = found.protection
    assert held is not None and (held.leak, held.stored) == (0, 0)
    assert (held.room, held.coverage) == (pytest.approx(1), pytest.approx(0.9))
    assert measure(base, edits, None, target=target, retain=retain).protection is None
    across = measure(base, edits, torch.tensor([[1.0], [0.0]]), target=target, retain=retain)
    assert across.protection is not None and across.protection.leak == pytest.approx(1)


def test_figures_of_more_tokens_than_they_are_wide_are_those_of_each(tmp_path):
    random = np.random.default_rng(0)
    weight, change = (random.standard_normal((3, 4)).astype(np.float32) for _ in range(2))
    path = tmp_path / "w.safetensors"
    write(path, [Spec("w", "F32", (3, 4))], [weight], {})
    tokens = torch.tensor(random.standard_normal((2, 9, 4)), dtype=torch.float32)
    tokens[:, 5:] = 0  # where no text encoder fills up
    found = measure(
        Checkpoint(path), {"w": Dense(change)}, None, target=tokens, retain=tokens[:1, :2]
    )
    for figure, rows in ((found.target, tokens[:, :5]), (found.retain, tokens[:1, :2])):
        e = rows.reshape(-1, 4).double().numpy().T
        assert figure == pytest.approx(np.linalg.norm(change @ e) / np.linalg.norm(weight @ e))


def test_drift_and_stored_leak_are_of_what_is_stored(tmp_path):
    """Beside 1, halves that float16 keeps are 4.9e-4 apart; what is less is rounded away."""
    path = tmp_path / "one.safetensors"
    write(path, [Spec("w", "F16", (1, 2))], [np.float16([[1, 1]])], {})
    token = torch.tensor([[[1.0, 0.0]]])
    allowed = torch.tensor([[1.0], [0.0]])

    def measured(first, second):
        edits = {"w": Dense(np.float32([[first, second]]))}
        return measure(Checkpoint(path), edits, allowed, target=token, retain=token)

    assert measured(1e-4, 0).drift == 0
    kept = measured(2**-9, 1e-4)
    assert kept.drift == pytest.approx(2**-9 / 2**0.5)
    assert kept.protection is not None and kept.protection.stored == 0
    assert kept.protection.leak == pytest.approx(1e-4 / 2**-9, rel=0.01)


def mask(*rows):
    return torch.tensor(rows, dtype=torch.bool)


def test_what_is_masked_keeps_its_bits_and_the_rest_follows_the_gradient():
    part = Confined(Parameter(torch.full((2, 2), 0.1)), None)
    part.restrict([mask([1, 0], [1, 1]), mask([1, 1], [0, 1])])
    part.weight.grad = torch.ones(2, 2)
    part.take_gradient()
    assert part.amount.grad.tolist() == [[1, 0], [0, 1]]
    with torch.no_grad():
        part.amount.add_(1)  # as Adam's momentum might
    part.move()
    assert torch.equal(part.weight, torch.tensor([[1.1, 0.1], [0.1, 1.1]]))
    assert torch.equal(part.weight[0, 1], torch.tensor(0.1))


def test_an_entry_that_no_longer_may_move_keeps_the_value_that_it_has():
    part = Confined(Parameter(torch.zeros(1, 2)), None)
    for allowed in (mask([1, 0]), mask([0, 1])):
        part.restrict([allowed])
        with torch.no_grad():
            part.amount.add_(1)
        part.move()
    assert part.weight.tolist() == [[1, 1]]
    part.restrict([])
    with torch.no_grad():
        part.weight.add_(1)
    part.follow()
    assert part.weight.tolist() == [[2, 2]]


def test_masks_and_directions_hold_together():
    """Of three directions in four columns, a row with two frozen entries has one left."""
    torch.manual_seed(0)
    directions = torch.linalg.qr(torch.randn(4, 3)).Q
    part = Confined(Parameter(torch.randn(2, 4)), directions)
    before, allowed = part.weight.detach().clone(), mask([1, 1, 0, 0], [1, 1, 1, 1])
    part.restrict([allowed])
    with torch.no_grad():
        part.amount.add_(torch.randn(2, 3))
    part.move()
    moved = part.weight.detach() - before
    assert torch.equal(part.weight[~allowed], before[~allowed])
    assert (moved - moved @ directions @ directions.T).norm() < 1e-5
    assert moved[0].norm() > 0.1 and moved[1].norm() > 0.1
    change = torch.as_tensor(part.change().stretch(0, 8)).reshape(2, 4)
    assert change[~allowed].tolist() == [0, 0]


def test_masks_and_directions_that_leave_nothing_are_refused():
    part = Confined(Parameter(torch.randn(1, 4)), torch.linalg.qr(torch.randn(4, 1)).Q)
    with pytest.raises(BadParam, match="no entry that the masks leave"):
        part.restrict([mask([1, 0, 0, 0])])


def test_a_rule_sees_gradients_as_far_as_the_weights_can_follow_and_weighs_them():
    part = Confined(Parameter(torch.ones(1, 2)), torch.tensor([[1.0], [0]]))
    part.restrict([])
    seen = []

    def rule(names, products):
        seen.extend([names, products.tolist()])
        return [1.0, -2.0]

    terms = [("go", part.weight @ torch.tensor([3.0, 5])), ("stay", part.weight @ torch.ones(2))]
    total = accumulate([(name, term.sum()) for name, term in terms], rule, [part])
    assert total == pytest.approx(8 + 2)
    assert seen == [["go", "stay"], [[9, 3], [3, 1]]]
    assert part.weight.grad.tolist() == [[3 - 2, 5 - 2]]


def test_without_a_rule_gradients_add_up():
    part = Confined(Parameter(torch.ones(1, 2)), None)
    accumulate(((n, part.weight.sum()) for n in "ab"), None, [part])
    assert part.weight.grad.tolist() == [[2, 2]]


@pytest.mark.parametrize("initial", [Dense(np.float32([[1, 2]])),
                                     LowRank(np.float32([[1]]), np.float32([[1, 2]]))])  # fmt: skip
def test_an_initial_edit_is_where_training_starts_and_part_of_the_change(initial):
    part = Confined(Parameter(torch.ones(1, 2)), torch.tensor([[1.0], [0]]), initial)
    part.restrict([])
    assert part.weight.tolist() == [[2, 3]]
    with torch.no_grad():
        part.amount.fill_(4)
    part.move()
    assert part.weight.tolist() == [[6, 3]]
    assert part.change().stretch(0, 2).tolist() == [5, 2]


@pytest.mark.parametrize(
    ("seconds", "steps", "said"),
    [(2.9, 100, None), (3.0, 101, "about 5 min"), (36.0, 149, "about 89 min"),
     (100.0, 149, "about 4.1 h")],
)  # fmt: skip
def test_a_long_training_is_foreseen_and_a_closed_form_named(seconds, steps, said, caplog):
    train.foresee(seconds, steps)
    notes = [record.getMessage() for record in caplog.records]
    if said is None:
        assert not notes
    else:
        assert said in notes[0] and "--method balanced" in notes[0]


def test_it_is_foreseen_after_the_first_step_and_all_else_is_settled_before_it(monkeypatch):
    told = []
    monkeypatch.setattr(train, "foresee", lambda seconds, left: told.append(left))
    objective, known = ConAbl(), setting(Toy(), steps=3)
    train.train(objective, [], known, lr=0.1, seed=0, settled=lambda: told.append("settled"))
    assert told == ["settled", 2]


def test_a_bank_is_taken_apart_on_its_way_to_the_device():
    whole = moments(3)
    meta = whole.stored(torch.device("meta"))
    assert meta.latents.device.type == "cpu"
    part = meta.pick(2, torch.Generator().manual_seed(0))
    for tensor in (part.latents, part.t, part.text.tokens, part.aim, part.told.tokens, part.noise,
                   part.which, part.named, *part.views.values()):  # fmt: skip
        assert tensor.device.type == "meta"
    here = whole.stored(torch.device("cpu"))
    again = [piece.latents for piece in here.split(3)]
    assert [len(piece) for piece in again] == [3, 3, 2]
    assert torch.equal(torch.cat(again), whole.latents)

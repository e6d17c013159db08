"""What a guard claims to hold is held through a whole training, beside any other guard.

A new line in GUARDS is tested here without a new test.
"""

from dataclasses import replace
from functools import partial
from itertools import combinations

import pytest
import torch
from torch import Tensor

from ckptedit.erasure.objectives.conabl import ConAbl
from ckptedit.erasure.train import train
from ckptedit.errors import BadParam
from ckptedit.guards import GUARDS
from ckptedit.guards.guard import Guard
from ckptedit.params import assignments, hyperparameters, typed
from laws.linear import DIM, Linear, setting

# what they freeze leaves room beside two outputs of six; rows go with directions, too
MORE = ["selft top=0.7", "selft top=0.7 by=row"]
EXACT = [name for name in GUARDS if GUARDS[name].exact]
IDLE = [name for name in GUARDS if GUARDS[name].idle]
ROUNDING = 1e-5


def made(text: str) -> Guard:
    """A guard by its name, and hyperparameters if any are said: "distill weight=2"."""
    name, *params = text.split()
    return GUARDS[name](**typed(GUARDS[name], assignments(params), name))


class Trained:
    """A training under some guards, and what each of them asked for at its start."""

    def __init__(self, *names: str, **changed) -> None:
        model = Linear()
        self.known = replace(setting(model), **changed)
        self.guards = [made(name) for name in names]
        self.chosen: dict[Guard, Tensor | None] = {}
        for guard in self.guards:
            guard.start = partial(self._start, guard, guard.start)
        self.before = model.weight.detach().clone()
        train(ConAbl(), self.guards, self.known, lr=1e-2, seed=0)
        self.after = model.weight.detach()

    def _start(self, guard, start, known):
        self.chosen[guard] = start(known)
        return self.chosen[guard]

    def claims(self, guard: Guard) -> list[str]:
        """What a guard says that it holds; raises AssertionError if it does not."""
        moved, found = self.after - self.before, []
        size = ROUNDING * moved.norm()
        assert size > 0
        if (rows := guard.forbids(self.known)) is not None:
            assert (moved @ rows.T).norm() <= size
            found.append("inputs that are forbidden")
        if (q := self.chosen[guard]) is not None:
            assert (moved - moved @ q @ q.T).norm() <= size
            found.append("directions that are chosen")
        if (mask := guard.mask()) is not None:
            assert torch.equal(self.after[~mask["w"]], self.before[~mask["w"]])
            found.append("entries")
        for outputs in guard.outputs().values():
            assert (outputs.T @ moved).norm() <= size
            found.append("outputs")
        if hasattr(guard, "protected"):
            vectors = guard.protected(self.known)
            assert (moved @ vectors.T).norm() <= size * vectors.norm()
            found.append("vectors")
        return found


@pytest.mark.parametrize("name", EXACT)
def test_what_a_guard_claims_to_hold_exactly_it_holds(name):
    trained = Trained(name)
    assert trained.claims(trained.guards[0])


def test_a_projection_of_the_gradient_alone_fails_the_law_of_projections():
    """Planted: as published, it leaks. That the law passes above is thus no accident."""
    trained = Trained("gradproj:gradient")
    with pytest.raises(AssertionError):
        trained.claims(trained.guards[0])
    assert not GUARDS["gradproj:gradient"].exact
    moved, free = trained.after - trained.before, Trained("distill")
    vectors = trained.guards[0].protected(trained.known)
    # and yet it does something: less of the step lies there than without it
    unguarded = (free.after - free.before) @ vectors.T
    assert (moved @ vectors.T).norm() < 0.5 * unguarded.norm()


@pytest.mark.parametrize("pair", [*combinations([*GUARDS, *MORE], 2)], ids=" ".join)
def test_two_guards_both_hold_what_they_claim_or_are_refused_with_advice(pair):
    try:
        trained = Trained(*pair)
    except BadParam as error:
        assert "use fewer of them" in str(error)
        return
    for guard in trained.guards:
        assert not guard.exact or trained.claims(guard)


@pytest.mark.parametrize("name", EXACT)
def test_weight_decay_would_not_touch_what_is_held(name, monkeypatch):
    """There is none; were there one, it would be of the amounts, and not of the weights."""
    decaying = partial(torch.optim.AdamW, weight_decay=10.0)
    plain = Trained(name)
    monkeypatch.setattr(torch.optim, "Adam", decaying)
    trained = Trained(name)
    assert trained.claims(trained.guards[0])
    assert not torch.equal(trained.after, plain.after)


@pytest.mark.parametrize("name", EXACT)
def test_columns_of_what_is_protected_keep_their_bits(name):
    """Tokens along axes: what they read of W are its columns."""
    axes = torch.eye(DIM)
    retain, anchors = axes[:5, None], axes[5:7, None]
    trained = Trained(name, retain=retain, anchors=anchors)
    rows = trained.guards[0].forbids(trained.known)
    if rows is not None:
        held = rows.abs().sum(0) > 0.5
        assert torch.equal(trained.after[:, held], trained.before[:, held])
        assert not torch.equal(trained.after, trained.before)


@pytest.mark.parametrize("others", [[], ["gradproj:soft"], ["gradproj:hard", "distill"]])
@pytest.mark.parametrize("name", IDLE)
def test_a_guard_of_strength_0_changes_not_a_bit(name, others):
    nothing = made(f"{name} {GUARDS[name].idle}")
    edits = []
    for guards in ([], [nothing]):
        model = Linear()
        in_use = [*(GUARDS[other]() for other in others), *guards]
        train(ConAbl(), in_use, setting(model), lr=1e-2, seed=0)
        edits.append(model.weight.detach())
    assert torch.equal(*edits)


@pytest.mark.parametrize("name", GUARDS)
def test_what_has_a_weight_has_a_weight_of_0(name):
    if "weight" in hyperparameters(GUARDS[name]):
        assert GUARDS[name].idle == "weight=0"


class Interrupted:
    """Keeps the state after ten steps, and goes on from one that is given."""

    def __init__(self, state=None) -> None:
        self.state = state  # what a training is to go on from, or came to

    def recall(self):
        return self.state

    def keep(self, state, *, last):
        made = state()
        if int(made["done"]) == 10:
            self.state = {name: value.clone() for name, value in made.items()}


@pytest.mark.parametrize("name", [*GUARDS, *MORE])
def test_an_interrupted_training_goes_on_to_the_same_bits(name):
    memory, ends = Interrupted(), []
    for _ in range(2):
        model = Linear()
        train(ConAbl(), [made(name)], setting(model), lr=1e-2, seed=0, memory=memory)
        ends.append(model.weight.detach())
        memory = Interrupted(memory.state)
    assert memory.state is not None and torch.equal(*ends)

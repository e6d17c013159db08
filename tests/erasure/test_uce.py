"""Unified concept editing against the textbook's dense formula, in float64."""

import numpy as np
import torch

from ckptedit.concepts.request import Request
from ckptedit.concepts.targets import Target
from ckptedit.deltas.change import LowRank
from ckptedit.erasure.closed_forms.uce import UCE

OUT, DIM = 24, 16


class Names:
    """A name is a random vector."""

    def last_tokens(self, names):
        seeds = [torch.Generator().manual_seed(sum(map(ord, name))) for name in names]
        return torch.stack([torch.randn(DIM, generator=seed) for seed in seeds])


def request(*names: str) -> Request:
    return Request(
        targets=tuple(Target(name, "style", "photo") for name in names),
        earlier=(Target("monet", "style", "photo"),),
        retain={"style": ("degas", "klimt"), "object": ()},
        companions={"style": (), "object": ("cat", "dog", "tree")},
    )


def test_it_is_the_textbook_formula():
    erase, preserve, ridge = 1.3, 0.7, 0.4
    words, asked = Names(), request("van gogh", "hokusai")
    weight = torch.randn(OUT, DIM, generator=torch.Generator().manual_seed(0))
    named = ["van gogh", "hokusai", "monet"]
    c1 = words.last_tokens(named).double().T  # [d, n]
    goal = words.last_tokens(["photo"] * 3).double().T
    c0 = words.last_tokens(["degas", "klimt", "cat", "dog", "tree"]).double().T
    w, eye = weight.double(), torch.eye(DIM, dtype=torch.float64)
    new = (ridge * w + erase * w @ goal @ c1.T + preserve * w @ c0 @ c0.T) @ torch.linalg.inv(
        ridge * eye + erase * c1 @ c1.T + preserve * c0 @ c0.T
    )
    form = UCE(erase=erase, preserve=preserve, ridge=ridge)
    change = form.solve(asked, words, {"w": weight}).edits["w"]
    assert isinstance(change, LowRank) and change.up.shape[1] == 3  # one direction a target
    found = change.stretch(0, OUT * DIM).reshape(OUT, DIM)
    np.testing.assert_allclose(found, (new - w).numpy(), atol=1e-6)


def test_a_small_ridge_moves_the_target_onto_its_anchor_and_nothing_that_stays():
    words, asked = Names(), request("van gogh")
    weight = torch.randn(OUT, DIM, generator=torch.Generator().manual_seed(0))
    change = UCE(ridge=1e-9).solve(asked, words, {"w": weight}).edits["w"]
    delta = torch.as_tensor(change.stretch(0, OUT * DIM)).reshape(OUT, DIM)
    name, photo, degas = words.last_tokens(["van gogh", "photo", "degas"]).double()
    torch.testing.assert_close(delta @ name, weight.double() @ (photo - name), atol=1e-4, rtol=0)
    assert (delta @ degas).abs().max() < 1e-4

"""Diff-QuickFix: the text encoder's matrix, by the formula, and what it does to the encoder."""

import json

import numpy as np
import pytest
import torch
from textbook import STAY, dense, request, textbook_uce
from typer.testing import CliRunner

from ckptedit.cli import app
from ckptedit.erasure.closed_forms.te_quickfix import TextQuickFix
from ckptedit.erasure.kv import KVWeights
from ckptedit.files import Checkpoint
from ckptedit.text import load_text_encoder

NAMED = ["van gogh", "castle", "monet"]


@pytest.fixture
def weights(checkpoint, family):
    return KVWeights(Checkpoint(checkpoint), family, "te")


def layer(encoder):
    return encoder.transformer.get_submodule("encoder.layers.0")


def states(encoder, names):
    """Of the last tokens of names: what the heads gather and what the projection makes of it."""
    found = []
    hook = layer(encoder).self_attn.out_proj.register_forward_hook(
        lambda module, given, made: found.append((given[0][0, -2], made[0, -2]))
    )
    for name in names:
        encoder.transformer(encoder.pad([name])[0][:, : len(encoder.tokens(name)) + 2])
    hook.remove()
    return tuple(torch.stack(each).double().numpy().T for each in zip(*found, strict=True))


def test_the_one_weight_is_the_one_that_the_encoder_uses(weights, encoder):
    assert len(weights) == 1
    used = layer(encoder).self_attn.out_proj.weight
    torch.testing.assert_close(next(iter(weights.values())), used, rtol=0, atol=0)


@pytest.mark.parametrize("preserve", [0.0, 0.7])
def test_it_is_the_formula_over_what_the_heads_gather(words, weights, preserve):
    (k, _), (goal, _), (k0, _) = (states(words.encoder, n) for n in (NAMED, ["photo"] * 3, STAY))
    (name,) = weights
    form = TextQuickFix(erase=1.3, preserve=preserve, ridge=0.01)
    found = dense(form.solve(request("van gogh", "castle"), words, weights), name)
    w = weights[name].double().numpy()
    np.testing.assert_allclose(
        found, textbook_uce(w, goal, k, k0, 1.3, preserve, 0.01) - w, atol=1e-6
    )


def test_the_edited_encoder_puts_out_the_anchors_attention_and_keeps_the_rest(
    words, weights, checkpoint, family
):
    edited = load_text_encoder(Checkpoint(checkpoint), family)
    (name,) = weights
    asked = request("van gogh", earlier=())
    change = dense(TextQuickFix(ridge=1e-9).solve(asked, words, weights), name)
    with torch.no_grad():
        layer(edited).self_attn.out_proj.weight += torch.from_numpy(change).float()
    after, photo = (states(e, [n])[1] for e, n in ((edited, "van gogh"), (words.encoder, "photo")))
    before = states(words.encoder, ["van gogh"])[1]
    assert np.linalg.norm(after - photo) < 1e-3 * np.linalg.norm(before - photo)
    dogs = (states(e, ["dog"])[1] for e in (edited, words.encoder))
    np.testing.assert_allclose(*dogs, atol=1e-4)


def test_the_command_changes_one_tensor_and_says_who_else_is_meant(tiny, tmp_path, weights):
    out = tmp_path / "out.safetensors"
    command = ["erase", str(tiny), "--concept", "cat", "--method", "te-quickfix", "--json"]
    result = CliRunner().invoke(app, [*command, "--device", "cpu", "-o", str(out)])
    assert result.exit_code == 0, result.stderr
    assert "every model that shares the encoder" in result.stderr
    old, new = Checkpoint(tiny), Checkpoint(out)
    assert [n for n in old if not np.array_equal(old.raw(n), new.raw(n))] == list(weights)
    assert json.loads(result.stdout)["kv_change"]["target"] > 0


def test_it_edits_nothing_else_and_nothing_else_edits_that(tiny, tmp_path):
    out = tmp_path / "out.safetensors"
    for method, roles in (("te-quickfix", "kv"), ("uce", "te")):
        command = ["erase", str(tiny), "--concept", "cat", "--method", method, "--params", roles]
        result = CliRunner().invoke(app, [*command, "-q", "--device", "cpu", "-o", str(out)])
        assert result.exit_code == 2 and f"{method} edits" in result.stderr and not out.exists()

"""The residual of a target, the way it goes, and drift: against the definition, token by token."""

import numpy as np
import pytest
import torch
from tiny_model import random_mini

from ckptedit import Checkpoint
from ckptedit.concepts.targets import Target
from ckptedit.continual.lines import rebounds, verified
from ckptedit.continual.requests import Asked
from ckptedit.continual.verify import Verifier
from ckptedit.diffusion import open_model
from ckptedit.erasure.kv import KVWeights
from ckptedit.files import write_edited

NEON = Target("Neon", "style", "photo")
CAT = Target("Cat", "object", "Rabbit")


@pytest.fixture(scope="module")
def verifier(tmp_path_factory):
    base = Checkpoint(random_mini(tmp_path_factory.mktemp("verify") / "base.safetensors"))
    model = open_model(base, device="cpu", training=True, runs=False)
    return Verifier(base, model, ["Neon", "Cat"], "kv")


def edited(verifier, folder, roles, change):
    """The base with W + change(W) in the weights of these roles."""
    base = verifier.weights.checkpoint
    pieces = verifier.weights.pieces
    edits = {
        name: (verifier.weights[name] + change(verifier.weights[name])).half().numpy()
        for name, piece in pieces.items()
        if piece.role in roles
    }
    path = folder / f"edited-{roles}.safetensors"
    write_edited(path, base, edits, force=True)
    return Checkpoint(path)


def by_definition(verifier, checkpoint, target, role):
    """(r, way) summed over tokens and weights, one after the other."""
    sides = verifier._sides(target)
    left = missing = along = 0.0
    theirs = KVWeights(checkpoint, verifier.family)
    for key, piece in verifier.weights.pieces.items():
        if piece.role == role:
            before, after = verifier.weights[key].double(), theirs[key].double()
            for c, anchor in zip(sides.targets, sides.anchors, strict=True):
                left += float((after @ c - before @ anchor).square().sum())
                missing += float((before @ c - before @ anchor).square().sum())
                along += float(((after - before) @ c) @ (before @ (anchor - c)))
    return (left / missing) ** 0.5, along / missing


@pytest.mark.parametrize(("roles", "read"), [("kv", "v"), ("v", "v"), ("k", "k")])
def test_it_is_the_definition_of_the_values_or_of_keys_moved_alone(verifier, tmp_path, roles, read):
    torch.manual_seed(0)
    checkpoint = edited(verifier, tmp_path, roles, lambda w: 0.3 * w.std() * torch.randn_like(w))
    look = verifier.look(checkpoint, [NEON, CAT])
    for target in (NEON, CAT):
        residual, way = by_definition(verifier, checkpoint, target, read)
        assert look.residuals[target.concept] == pytest.approx(residual, rel=1e-4)
        assert look.ways[target.concept] == pytest.approx(way, rel=1e-3, abs=1e-5)


def test_drift_is_over_all_keys_and_values(verifier, tmp_path):
    checkpoint = edited(verifier, tmp_path, "v", lambda w: 0.5 * w)
    squares = {"k": 0.0, "v": 0.0}
    for key, piece in verifier.weights.pieces.items():
        squares[piece.role] += float(verifier.weights[key].double().square().sum())
    expected = 0.5 * np.sqrt(squares["v"] / (squares["k"] + squares["v"]))
    assert verifier.look(checkpoint, []).drift == pytest.approx(expected, rel=1e-3)


def test_the_original_has_all_of_a_target_and_no_drift(verifier):
    look = verifier.look(verifier.weights.checkpoint, [NEON])
    assert look.residuals["Neon"] == pytest.approx(1) and look.drift == 0
    assert look.ways["Neon"] == 0


def test_no_sentence_is_completed_with_what_is_ever_asked_for(verifier):
    assert "Cat" not in verifier.companions["object"]
    assert "Neon" not in verifier.companions["style"]


def test_what_came_back_is_told_against_the_line_of_its_own_request():
    asked = [Asked(1, "", ("Neon",)), Asked(2, "", ("Cat",))]
    row = {"concept": "Neon", "request": 1, "residual": 0.3, "rebound": 0.0}
    later = {"request": 2, "verified": [row | {"residual": 0.44}]}
    lines = [{"request": 0, "verified": []}, {"request": 1, "verified": [row]}, later]
    rows = verified({"Neon": 0.45, "Cat": 0.2}, asked, lines, 3)
    assert [(r["concept"], r["request"]) for r in rows] == [("Neon", 1), ("Cat", 2)]
    assert [round(r["rebound"], 6) for r in rows] == [0.15, 0]
    (said,) = rebounds(rows, "erase it again")
    assert "Neon (residual 0.30, now 0.45)" in said and "erase it again" in said
    assert "Cat" not in said
    assert rebounds(verified({"Neon": 0.39}, asked, lines, 3), "") == []

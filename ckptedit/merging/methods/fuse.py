"""Fusion of erasures without interference: each edit rules where its own embeddings lie.

Lu et al., MACE: Mass Concept Erasure in Diffusion Models, CVPR 2024,
https://arxiv.org/abs/2403.06135, equation 7: the K/V weight that does to the embeddings E_i of each
concept what its own edit ΔW_i does, and to all else as little as possible,
    min_W Σ_i ‖W E_i - (W0 + ΔW_i) E_i‖² + λ ‖W - W0‖²
    W = W0 + (Σ_i ΔW_i G_i) (λ I + Σ_i G_i)⁻¹,   G_i = E_i E_iᵀ [d, d]
Departures: λ is relative, `ridge` times the mean diagonal of Σ G_i, so that it does not depend on
how many prompts an edit was made for; the paper's Gram matrix of unrelated captions is not added.
A weight w_i multiplies G_i: it says how much an edit counts where embeddings overlap.
G_i comes with the edit: a delta file carries it as its tensor `gram`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ckptedit.errors import BadParam, Incompatible
from ckptedit.merging.stack import Kernel, Stack, Stretch, by_rows, require_edits


@by_rows
def fuse(stack: Stack, *, ridge: float = 0.1) -> Kernel:
    """Merges n edits of weights [out, d] that read embeddings [d].

    ridge: pull towards the base, relative to the mean energy of the embeddings; above 0. Less of it
           lets directions with little energy move, at the cost of what nothing was said about

    Raises Incompatible if an edit carries no Gram matrix, or not one of the weight's width.
    """
    require_edits(stack, "fuse", 1)
    if not ridge > 0:
        raise BadParam(f"ridge must be above 0, got {ridge}")
    if any(weight < 0 for weight in stack.weights):
        raise BadParam(f"fuse takes weights of 0 or more, got {stack.weights}")
    rights = stack.model.once(("fuse", ridge, stack.weights), lambda: right_factors(stack, ridge))
    width = rights.shape[1]
    if len(stack.shape) != 2 or stack.shape[1] != width:
        raise Incompatible(
            f"fuse merges weights [out, {width}] that read embeddings, but {stack.name} is "
            f"{list(stack.shape)}; pick them with --keys '**.attn2.to_[kv].weight'"
        )

    def kernel(stretch: Stretch) -> NDArray[np.float32]:
        rows = stretch.deltas.reshape(len(rights), -1, width)
        return np.einsum("nrd,nde->re", rows, rights, optimize=True).reshape(-1)

    return kernel


def right_factors(stack: Stack, ridge: float) -> NDArray[Any]:
    """w_i G_i (λ I + Σ w_j G_j)⁻¹ for each edit: [n, d, d] float32, solved in float64."""
    grams = [required_gram(stack, edit) * weight for edit, weight in enumerate(stack.weights)]
    if len({gram.shape for gram in grams}) > 1:
        raise Incompatible("the edits' Gram matrices differ in size: they read different encoders")
    total = np.sum(grams, axis=0)
    energy = np.trace(total) / len(total)
    if not energy > 0:
        raise BadParam("fuse has no energy to go by: all Gram matrices or all weights are zero")
    system = total + ridge * energy * np.eye(len(total))
    return np.stack([np.linalg.solve(system, gram).T for gram in grams]).astype(np.float32)


def required_gram(stack: Stack, edit: int) -> NDArray[Any]:
    """[d, d] float64"""
    gram = stack.gram(edit)
    if gram is None:
        raise Incompatible(
            f"edit {edit + 1} carries no Gram matrix of the embeddings that it was made for (a "
            "tensor `gram` in its delta file); fuse needs one of each, other methods do not"
        )
    if gram.ndim != 2 or gram.shape[0] != gram.shape[1]:
        raise Incompatible(f"the Gram matrix of edit {edit + 1} is {list(gram.shape)}, not square")
    return np.asarray(gram, np.float64)

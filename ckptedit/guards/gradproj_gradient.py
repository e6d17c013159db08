"""Gradient projection as published: the gradient is projected, and what Adam makes of it leaks.

Lee et al., Continual Unlearning for Text-to-Image Diffusion, ICLR 2026,
https://arxiv.org/abs/2511.07970: after backward, G <- G P for every gradient G [out, d], with
P = I - C (CᵀC + εI)⁻¹ Cᵀ and one vector of a retained prompt in each column of C. It is here to be
compared with, for it does not do what it is for: Adam divides every entry by its own scale, and a
step is no longer at right angles to C. `gradproj:hard` confines the step.

Departs from the released code in two ways: C is made of the prompts that are retained, not of two
hundred that a language model wrote; and a prompt's vector is the mean of its positions that count
(`--tokens concept`, as published: the concept's words), never the last token alone.
"""

from typing import Annotated

import torch
from torch import Tensor

from ckptedit.errors import BadParam
from ckptedit.guards.guard import Guard, Reading, Setting
from ckptedit.params import Within

LEAST = 1e-6  # of the mean energy of a vector: what the ridge is at least


class GradProjGradient(Guard):
    """Gradients at right angles to a vector of each retained prompt; steps only nearly so."""

    def __init__(
        self,
        *,
        ridge: Annotated[float, Within("[0, inf)"), "ε, added to the energy of each vector"] = 1e-4,
        same: Annotated[
            float, Within("(0, 1]"), "cosine from which on a vector is one that is there already"
        ] = 0.95,
    ) -> None:
        self.ridge, self.same = ridge, same

    def protected(self, reading: Reading) -> Tensor:
        """C as rows: [m, d], of retained prompts, without those that are nearly the same."""
        counted = reading.keep.any(1)
        if not counted.any():
            raise BadParam("gradproj:gradient has nothing to protect; name concepts with --retain")
        keep = reading.keep[counted][:, :, None]
        vectors = (reading.retain[counted] * keep).sum(1) / keep.sum(1)
        kept: list[Tensor] = []
        for vector in vectors:
            unit = vector / vector.norm()
            if all(float(unit @ (other / other.norm())) < self.same for other in kept):
                kept.append(vector)
        return torch.stack(kept)

    def start(self, setting: Setting) -> None:
        columns = self.protected(setting).double().mT  # [d, m]
        gram = columns.mT @ columns
        ridge = max(self.ridge, LEAST * float(gram.diagonal().mean()))
        damped = gram + ridge * torch.eye(len(gram)).to(gram)
        eye = torch.eye(len(columns)).to(columns)
        self.projector = (eye - columns @ torch.linalg.solve(damped, columns.mT)).float()  # [d, d]
        self.weights = list(setting.weights.values())

    def after_backward(self) -> None:
        for weight in self.weights:
            if weight.grad is not None:
                weight.grad = weight.grad @ self.projector.to(weight.grad)

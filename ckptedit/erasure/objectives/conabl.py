"""Concept ablation, model-based: the target's prompts are denoised as the anchor's are.

Kumari et al., Ablating Concepts in Text-to-Image Diffusion Models, ICCV 2023,
https://arxiv.org/abs/2303.13516, equation 5. Departs from the released code: the teacher is frozen
(there, the anchor's prediction comes from the model in training and drifts with it), and the loss
is a plain mean (there, a sum over the four latent channels).
"""

from torch import Tensor
from torch.nn.functional import mse_loss

from ckptedit.diffusion import Denoiser
from ckptedit.erasure.bank import Rows


def conabl(denoiser: Denoiser, rows: Rows) -> Tensor:
    """Mean squared distance of the student on the target's prompts to the teacher on the anchor's.

    rows: noised latents [b, c, h, w] with timesteps, embeddings of target prompts, and the frozen
          teacher's predictions under the anchor prompts that belong to them
    """
    return mse_loss(denoiser(rows.latents, rows.t, rows.text).float(), rows.aim)

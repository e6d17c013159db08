"""The one training loop of mini's parts: seeded by step, resumable at any moment, CPU or GPU.

Under torchrun every process draws batches of its own and gradients are averaged; on a CPU two
processes of one thread do more than one process of two.
"""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from time import monotonic
from typing import Any

import torch
import torch.distributed as dist
from torch import Generator, Tensor, nn

from ckptedit.progress import Track, silent

SAVE_EVERY = 60.0  # seconds


def train(
    model: nn.Module,
    loss_at: Callable[[Generator], Tensor],
    state: Path,
    *,
    steps: int,
    lr: float,
    average: float = 0.0,
    track: Track = silent,
) -> nn.Module:
    """Runs AdamW with a one-cycle rate; returns the model, or the average of its weights.

    loss_at: the loss of one batch, drawn with the generator it is given: the same for a step
             whether the run was interrupted before it or not
    state:   file that the run continues from if it is there, and saves itself to every minute
    average: decay of the exponential moving average of the weights; 0 for none
    """
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=1e-3, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, lr, total_steps=steps, pct_start=0.1, final_div_factor=100
    )
    averaged = deepcopy(model).requires_grad_(False) if average else model
    parts: dict[str, Any] = {
        "model": model,
        "averaged": averaged,
        "optimizer": optimizer,
        "schedule": schedule,
    }
    start = _resume(parts, state)
    ranks = dist.get_world_size() if dist.is_initialized() else 1
    rank = dist.get_rank() if dist.is_initialized() else 0
    saved, shown = monotonic(), [0.0]

    def note() -> str:
        return f"loss {shown[0]:.4f}"

    for step in track(range(start, steps), state.stem, steps - start, note):
        loss = loss_at(torch.Generator().manual_seed(step * ranks + rank))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if ranks > 1:
            _share_gradients(model, ranks)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if average:
            _follow(averaged, model, min(average, (step + 1) / (step + 10)))
        shown[0] = 0.98 * shown[0] + 0.02 * loss.item() if step > start else loss.item()
        if rank == 0 and (monotonic() - saved > SAVE_EVERY or step == steps - 1):
            _save(parts, step + 1, state)
            saved = monotonic()
    return averaged.eval().requires_grad_(False)


def _share_gradients(model: nn.Module, ranks: int) -> None:
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    sizes = [gradient.numel() for gradient in gradients]
    for gradient, part in zip(gradients, (flat / ranks).split(sizes), strict=True):
        gradient.copy_(part.view_as(gradient))


def _follow(averaged: nn.Module, model: nn.Module, decay: float) -> None:
    with torch.no_grad():
        pairs = zip(averaged.state_dict().values(), model.state_dict().values(), strict=True)
        for mean, value in pairs:
            if mean.is_floating_point():
                mean.lerp_(value, 1 - decay)
            else:
                mean.copy_(value)


def _resume(parts: dict[str, Any], state: Path) -> int:
    if not state.exists():
        return 0
    saved = torch.load(state, weights_only=True, map_location="cpu")
    for name, part in parts.items():
        part.load_state_dict(saved[name])
    return int(saved["step"])


def _save(parts: dict[str, Any], step: int, state: Path) -> None:
    state.parent.mkdir(parents=True, exist_ok=True)
    partial = state.with_suffix(".partial")
    torch.save({name: part.state_dict() for name, part in parts.items()} | {"step": step}, partial)
    partial.replace(state)

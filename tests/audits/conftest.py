"""A tiny model, and edits of it whose effect is known."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ckptedit.audits.subject import Subject, subject
from ckptedit.concepts.lexicon import lexicon_of
from ckptedit.concepts.targets import Target
from ckptedit.families import Family, kv_weights
from ckptedit.families.vocabulary import find_vocabulary
from ckptedit.files import Checkpoint
from ckptedit.text.clip import ClipEncoder

VAN_GOGH = Target("van gogh", "style", "monet")
Edit = Callable[[str, torch.Tensor], torch.Tensor]


@pytest.fixture
def about(
    checkpoint: Path, family: Family, encoder: ClipEncoder, tmp_path: Path
) -> Callable[..., Subject]:
    """Makes the subject of an edit: a function of each K/V weight's role and value."""

    def made(edit: Edit, target: Target = VAN_GOGH, **others: torch.Tensor) -> Subject:
        tensors = load_file(checkpoint)
        for weight in kv_weights(Checkpoint(checkpoint), family):
            tensors[weight.name] = edit(weight.role, tensors[weight.name]).contiguous()
        for name, change in others.items():
            tensors[name] = tensors[name] + change
        save_file(tensors, tmp_path / "edited.safetensors")
        encoder.vocabulary = find_vocabulary(Checkpoint(checkpoint), family, None)
        return subject(
            replace(target), Checkpoint(tmp_path / "edited.safetensors"), Checkpoint(checkpoint),
            family, encoder=encoder, lexicon=lexicon_of(family),
        )  # fmt: skip

    return made

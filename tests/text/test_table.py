"""A table of prompts that were embedded elsewhere, and what is kept of them on disk."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ckptedit.subspaces.crowd import vocabulary_in_slot
from ckptedit.text.embeddings import wanted_prompts
from ckptedit.text.table import PromptTable


def table(names: Sequence[str]) -> PromptTable:
    """Each prompt is one row, told by its letters; all tables have one key."""

    def read(prompts: Sequence[str]) -> list[Tensor]:
        return [torch.tensor([[float(map_letters(prompt)), 1.0]]) for prompt in prompts]

    return PromptTable(
        read,
        width=2,
        room=1,
        stock=lambda frames: [frame.format(name) for frame in frames for name in names],
        key="one",
    )


def map_letters(text: str) -> int:
    return sum(map(ord, text)) % 97


def test_a_moment_that_is_kept_is_of_its_own_prompts_whatever_rows_they_are() -> None:
    first = vocabulary_in_slot(table(["cat", "dog"]), "object").moment()
    again = vocabulary_in_slot(table(["cat", "dog"]), "object").moment()
    other = vocabulary_in_slot(table(["owl", "hen"]), "object").moment()
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_prompts_that_are_asked_for_one_by_one_get_noise_of_their_own() -> None:
    seen: list[Tensor] = []

    def work(encoder: PromptTable) -> None:
        for prompt in ("a cat", "a dog"):
            seen.append(encoder.encode([prompt]).hidden)

    assert wanted_prompts(4, [], None, work) == ["a cat", "a dog"]
    assert not torch.equal(*seen)

"""What a denoiser reads of its prompts, cut, repeated and joined."""

import torch

from ckptedit.text import Condition


def condition() -> Condition:
    tokens = torch.arange(12.0).reshape(3, 2, 2)
    return Condition(
        tokens, torch.arange(3.0)[:, None], {"time_ids": torch.arange(6).reshape(3, 2)}
    )


def parts(found: Condition) -> list[list]:
    assert found.pooled is not None
    tensors = (found.tokens[:, 0, 0], found.pooled[:, 0], found.extras["time_ids"][:, 0])
    return [tensor.tolist() for tensor in tensors]


def test_everything_that_is_read_goes_together():
    whole = condition()
    assert len(whole) == 3
    assert parts(whole[torch.tensor([2, 0])]) == [[8, 0], [2, 0], [4, 0]]
    assert parts(whole[1:].repeat(2)) == [[4, 4, 8, 8], [1, 1, 2, 2], [2, 2, 4, 4]]
    assert [len(part) for part in whole.split(2)] == [2, 1]
    again = Condition.join(whole.split(2))
    assert parts(again) == parts(whole)
    assert parts(whole.to("cpu")) == parts(whole)


def test_what_is_not_there_stays_away():
    bare = Condition(torch.zeros(2, 1, 1))
    assert Condition.join([bare, bare]).pooled is None and not bare[:1].extras

"""Trainings of the smallest model, by one process or by those of torchrun, which must agree.

As a script, which torchrun starts: trains all of them, then erases at the command line.
"""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ckptedit.diffusion.moments import Moments
from ckptedit.diffusion.ranks import ALONE, Ranks, Share, together
from ckptedit.erasure.objectives import OBJECTIVES
from ckptedit.erasure.train import train
from ckptedit.guards import GUARDS
from ckptedit.registry import Registry

BATCH, STEPS = 5, 4  # two processes see three pictures each, of which one is nobody's
RUNS = [("objective", name) for name in OBJECTIVES] + [("guard", name) for name in GUARDS]


def change(kind: str, name: str, ranks: Ranks = ALONE) -> Tensor:
    """What a training changes of the weight, end to end."""
    from erasure.toy import WIDTH, Toy, setting

    model, share = Toy(), Share(ranks)

    def looks(moments: Moments) -> list[Tensor]:
        """Chances of each position, by what the weight makes of it: [b, 1, 16, L]."""
        return [(moments.text.tokens @ model.weight.T).mT.unsqueeze(1).softmax(-1)]

    torch.manual_seed(0)  # of the setting's own tokens
    known = replace(
        setting(model, batch=BATCH, steps=STEPS),
        student=lambda moments: share(lambda own: [model(own)], moments)[0],
        looks=lambda moments: share(looks, moments),
        retain=torch.randn(1, 3, WIDTH),  # fewer than would leave no direction
        keep=torch.ones(1, 3, dtype=torch.bool),
        anchors=torch.randn(1, 3, WIDTH),
        original={"w": 0.9 * model.weight.detach() + 0.1 * torch.eye(16, WIDTH)},
    )
    objective = OBJECTIVES[name]() if kind == "objective" else OBJECTIVES["conabl"]()
    guards = [GUARDS[name]()] if kind == "guard" else []
    made = train(objective, guards, known, lr=1e-2, seed=0, settled=share.begin, ranks=ranks)
    return torch.from_numpy(made.edits["w"].stretch(0, 16 * WIDTH).copy())


def command(*arguments: str) -> int:
    """The exit status of the command line, in this process."""
    from ckptedit.cli import app

    try:
        app(list(arguments))
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def prepare(folder: Path) -> None:
    """The tiny family, and float32: in bfloat16, a picture depends on who is beside it."""
    from tiny_model import tiny_family

    from ckptedit.families import FAMILIES

    assert isinstance(FAMILIES, Registry | dict)
    family = tiny_family(folder)
    FAMILIES[family.name] = family
    for test in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        setattr(torch.cpu, test, lambda: False)


def main(folder: Path, arguments: list[str]) -> None:
    ranks = together("cpu")
    (own := folder / str(ranks.index)).mkdir()
    torch.save({run: change(*run, ranks) for run in RUNS}, own / "changes.pt")
    prepare(own)
    statuses = [command(*arguments), command(*arguments)]  # the second finds its output there
    (own / "statuses.json").write_text(json.dumps(statuses))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    os.environ["HF_HUB_OFFLINE"] = "1"
    main(Path(sys.argv[1]), sys.argv[2:])

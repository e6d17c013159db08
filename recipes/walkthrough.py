"""A walk through the Python API: look at a checkpoint, edit it, carry the edit, measure it.

    python recipes/walkthrough.py [STEPS]     (in an empty folder; 150 steps, three minutes or so)

The cells (# %%) run one by one in an editor or a notebook. Every value has a type: hover over it.
"""

# %% Something real to work on: the embedded model, written to where we are.
import sys
from pathlib import Path

import numpy as np

from ckptedit import (
    Checkpoint,
    apply,
    demo,
    diff,
    erase,
    evaluate,
    export,
    info,
    merge,
    open_model,
    project,
    read_delta,
    sample,
)
from ckptedit.diffusion import grid, save_png

STEPS = int(sys.argv[1]) if len(sys.argv) > 1 else 150
QUICK = STEPS < 50  # to see that all of it runs, not what it can do
BATCH, PICTURES, COMPANIONS, SOLVER = (2, 2, 1, 2) if QUICK else (16, 40, 10, 16)

demo("base.safetensors")

# %% What is it? A family, a layout, tensors, health, and a ledger that is empty so far.
facts = info("base.safetensors")
print(
    facts.family, f"{facts.total.parameters:,} parameters,", "healthy" if facts.healthy else "bad"
)

# %% What does it draw? [n, height, width, 3] uint8, the same prompt from the same noise every time.
prompts = ["a cat in Van Gogh style", "a cat in Neon style", "a cat in Monet style"]
model = open_model("base.safetensors")
before = sample(model, prompts, steps=SOLVER)
print(before.shape)

# %% What is near the concept, as this checkpoint's own text encoder sees it?
near = project("base.safetensors", ["Van Gogh"], neighbors=3)
print(f"rank {near.rank} of {near.dim};", ", ".join(n.concept for n in near.neighbors))

# %% Erase it. Nearest neighbours are retained by themselves; name what else has to stay.
erasure = erase(
    "base.safetensors",
    ["Van Gogh"],
    "edited.safetensors",
    retain=["Munch"],
    method="conabl",
    steps=STEPS,
    batch=BATCH,
    pictures=PICTURES,
)
print(f"drift {erasure.effect.drift:.3f} in {erasure.seconds:.0f} s")
if protection := erasure.effect.protection:
    print(f"leak {protection.leak:.0e}, room {protection.room:.0%}")

# %% What moved? Keys and values, nothing else: all other tensors are the same byte for byte.
moved = diff("base.safetensors", "edited.safetensors", allow="**.attn2.to_[kv].weight")
far = moved.total.figures.relative
print(moved.verdict, f"{len(moved.changed)} tensors changed, {far:.4f} of the norm of all")

# %% A second edit of the same base, kept as a delta: only what changed, a small file.
neon = erase(
    "base.safetensors",
    ["Neon"],
    "neon.delta.safetensors",
    delta=True,
    method="conabl",
    steps=STEPS,
    batch=BATCH,
    pictures=PICTURES,
)
print(f"{Path('neon.delta.safetensors').stat().st_size:,} bytes for {len(neon.edits)} tensors")

# %% A delta is applied at any strength, and taken out again to the last bit that it can restore.
applied = apply("base.safetensors", "neon.delta.safetensors", "half.safetensors", strength=0.5)
changes = read_delta("neon.delta.safetensors")  # name -> float32 array, if you want to look inside
print(applied.path, f"{sum(change.size for change in changes.values()):,} values")

# %% Both edits in one checkpoint. Edits may be checkpoints or deltas; TIES settles their conflicts.
merged = merge(
    "base.safetensors", ["edited.safetensors", "neon.delta.safetensors"], "merged.safetensors",
    method="ties", density=0.5,
)  # fmt: skip
print(merged.path, merged.tensors)

# %% The edit as a LoRA that A1111, ComfyUI and diffusers load.
lora = export("neon.delta.safetensors", "neon.lora.safetensors").as_dict()
print(lora["output"], f"rank {lora['rank']}, {lora['error']['relative']:.1e} lost")

# %% The ledger travels with the weights, and tells the next command what was erased.
with Checkpoint("merged.safetensors") as checkpoint:
    print([entry["operation"] for entry in checkpoint.ledger])

# %% Is it gone, and is the rest there? UA, RA-I and RA-C, by a judge that no edit has seen.
scores = evaluate("edited.safetensors", companions=COMPANIONS, steps=SOLVER)
print(f"UA {scores.ua}, RA-I {scores.ra_i}, RA-C {scores.ra_c}, {scores.n} pictures")

# %% Before and after, side by side, from the same noise.
after = sample("edited.safetensors", prompts, steps=SOLVER)
page = grid(np.stack([before, after], axis=1), rows=prompts, columns=["before", "after"])
save_png(page, "before-after.png")

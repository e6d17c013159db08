"""TIES as most people would write it with torch: OUTPUT BASE TUNED..., density 0.2."""

import sys

import torch
from safetensors.torch import load_file, save_file

output, *paths = sys.argv[1:]
base, *tuned = [load_file(path) for path in paths]
merged = {}
for name, start in base.items():
    start = start.float()
    deltas = torch.stack([model[name].float() - start for model in tuned])
    size = deltas.abs().reshape(len(tuned), -1)
    keep = max(1, round(0.2 * size.shape[1]))
    smallest = size.kthvalue(size.shape[1] - keep + 1, dim=1, keepdim=True).values
    deltas *= (size >= smallest).reshape(deltas.shape)
    agrees = deltas.sign() == deltas.sum(0).sign()
    mean = (deltas * agrees).sum(0) / agrees.sum(0).clamp(min=1)
    merged[name] = (start + mean).to(base[name].dtype)
save_file(merged, output)

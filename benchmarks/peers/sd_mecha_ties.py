"""TIES by sd-mecha: OUTPUT BASE TUNED..., density 0.2.

The wrapper that its examples use raises an error in 1.1.8, so its parts are put together here.
"""

import sys

import sd_mecha
import torch
from sd_mecha.extensions.builtin.merge_methods.linear import add_difference

output, *paths = sys.argv[1:]
base, *tuned = [sd_mecha.model(path, "sd1-ldm") for path in paths]
deltas = [sd_mecha.subtract(model, base) for model in tuned]
recipe = add_difference(base, sd_mecha.ties_sum(*deltas, k=0.2, vote_sgn=True), alpha=1.0) | base
sd_mecha.merge(recipe, output=output, output_dtype=torch.float16, strict_mandatory_keys=False)

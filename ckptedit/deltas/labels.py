"""Metadata that image tools read from a LoRA: kohya's `ss_*` and Stability's ModelSpec.

https://github.com/kohya-ss/sd-scripts (train_network.py), which A1111 reads versions from;
https://github.com/Stability-AI/ModelSpec, version 1.0.1. Dates are left out: the same delta gives
the same file.
"""

import json
from collections.abc import Iterable
from typing import Any

from ckptedit.files.hashing import Hasher

MODEL_HASH = "sshs_model_hash"

VERSIONS = {"sd1": "sd_v1", "sd2": "sd_v2", "sdxl": "sdxl_base_v1-0"}
ARCHITECTURES = {
    "sd1": "stable-diffusion-v1",
    "sd2": "stable-diffusion-v2-768-v",
    "sdxl": "stable-diffusion-xl-v1-base",
}
STABILITY = "https://github.com/Stability-AI/generative-models"


def labels(family: str | None, title: str, *, module: str, rank: int) -> dict[str, str]:
    """For a file of changes.

    family: a name in FAMILIES; None, or one that no tool but this knows: the version is left out
    module: "networks.lora" or "lycoris.kohya"; rank: the highest of any module, 0 if all are dense
    """
    known = {
        "ss_network_module": module,
        "ss_network_dim": str(rank or "None"),
        "ss_network_alpha": str(float(rank) if rank else "None"),
        "ss_output_name": title,
        "ss_v2": str(family == "sd2"),
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.title": title,
        "modelspec.implementation": STABILITY if family == "sdxl" else "diffusers",
        "modelspec.architecture": f"{ARCHITECTURES.get(family or '', family or 'unknown')}/lora",
    }
    if module.startswith("lycoris"):
        known["ss_network_args"] = json.dumps({"algo": "full"})
    if family in VERSIONS:
        known["ss_base_model_version"] = VERSIONS[family]
    return known


def hashes(sha256: str) -> dict[str, str]:
    """The same digest of the tensor data, as A1111 and as ModelSpec want it."""
    return {MODEL_HASH: sha256, "modelspec.hash_sha256": f"0x{sha256}"}


def data_sha256(arrays: Iterable[Any]) -> str:
    """The digest of tensors that are yet to be written in this order: numpy arrays."""
    with Hasher() as hasher:
        for array in arrays:
            with hasher.updating(array.reshape(-1).view("u1").data):
                pass
        return hasher.hexdigest()

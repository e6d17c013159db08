"""Metadata that image tools read from a LoRA: kohya's `ss_*` and Stability's ModelSpec.

https://github.com/kohya-ss/sd-scripts (train_network.py), which A1111 reads versions from;
https://github.com/Stability-AI/ModelSpec, version 1.0.1. Dates are left out: the same delta gives
the same file.
"""

import json
from collections.abc import Iterable
from typing import Any

from ckptedit.families import FAMILIES
from ckptedit.families.family import Labels
from ckptedit.files.hashing import Hasher

MODEL_HASH = "sshs_model_hash"
SPEC_HASH = "modelspec.hash_sha256"


def labels(family: str | None, title: str, *, module: str, rank: int) -> dict[str, str]:
    """For a file of changes.

    family: a name in FAMILIES; None, or one that no tool but this knows: the version is left out
    module: "networks.lora" or "lycoris.kohya"; rank: the highest of any module, 0 if all are dense
    """
    its = FAMILIES[family].labels if family in FAMILIES else Labels(family or "unknown")
    known = {
        "ss_network_module": module,
        "ss_network_dim": str(rank or "None"),
        "ss_network_alpha": str(float(rank) if rank else "None"),
        "ss_output_name": title,
        "ss_v2": str(its.version == "sd_v2"),
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.title": title,
        "modelspec.implementation": its.implementation,
        "modelspec.architecture": f"{its.architecture}/lora",
    }
    if module.startswith("lycoris"):
        known["ss_network_args"] = json.dumps({"algo": "full"})
    if its.version:
        known["ss_base_model_version"] = its.version
    return known


def hashes(sha256: str) -> dict[str, str]:
    """The same digest of the tensor data, as A1111 and as ModelSpec want it."""
    return {MODEL_HASH: sha256, SPEC_HASH: f"0x{sha256}"}


def data_sha256(arrays: Iterable[Any]) -> str:
    """The digest of tensors that are yet to be written in this order: numpy arrays."""
    with Hasher() as hasher:
        for array in arrays:
            with hasher.updating(array.reshape(-1).view("u1").data):
                pass
        return hasher.hexdigest()

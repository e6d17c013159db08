"""How the dtypes of a file are called in torch. The only file of this room that imports it."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ckptedit.errors import Incompatible
from ckptedit.files.header import Spec, TensorInfo

# fmt: off
TORCH = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8,
    "U16": torch.uint16, "U32": torch.uint32, "U64": torch.uint64, "BOOL": torch.bool,
    "C64": torch.complex64, "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz, "F8_E8M0": torch.float8_e8m0fnu,
}
# fmt: on
STORED = {kind: dtype for dtype, kind in TORCH.items()}


def from_raw(raw: NDArray[np.uint8], info: TensorInfo) -> Tensor:
    """A tensor of info's dtype and shape that shares the memory of raw."""
    if info.dtype not in TORCH:
        raise Incompatible(f"torch has no tensors of the dtype {info.dtype}")
    if not raw.size:
        return torch.empty(info.shape, dtype=TORCH[info.dtype])
    return torch.from_numpy(raw).view(TORCH[info.dtype]).reshape(info.shape)


def to_raw(tensor: Tensor) -> NDArray[np.uint8]:
    """The bytes of a tensor in row-major order; not copied if it lies so on the CPU."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return np.asarray(flat.view(torch.uint8).numpy())


def spec(name: str, tensor: Tensor) -> Spec:
    """How a tensor would be described in the header of a file."""
    if tensor.dtype not in STORED:
        raise Incompatible(f"tensor {name}: safetensors cannot store {tensor.dtype}")
    return Spec(name, STORED[tensor.dtype], tuple(tensor.shape))

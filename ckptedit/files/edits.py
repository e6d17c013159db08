"""New values of a tensor, in whatever form an edit has them, as the bytes to store."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ckptedit.errors import Incompatible, Overflow
from ckptedit.files.dtypes import encode
from ckptedit.files.header import TensorInfo
from ckptedit.files.names import escape
from ckptedit.files.nonfinite import holds_nonfinite

Edit: TypeAlias = Any  # numpy array, torch tensor, or a function without arguments that returns one


def stored_bytes(edit: Edit, info: TensorInfo) -> NDArray[np.uint8]:
    """An edit as the bytes to store for a tensor: [nbytes] uint8, rounded once.

    edit: float32 or float64 values in the tensor's shape, a torch tensor of any float dtype, values
    that have the stored dtype already, the stored bytes [nbytes] uint8 themselves, or a function
    without arguments that returns one of these
    Raises Incompatible if the shape or dtype does not fit, Overflow if the stored values would be
    Inf or NaN. Stored bytes are not looked at.
    """
    value = edit() if callable(edit) and not hasattr(edit, "dtype") else edit
    if not isinstance(value, np.ndarray):
        return _from_torch(value, info)
    if value.dtype == np.uint8 and value.shape == (info.nbytes,) and info.dtype != "U8":
        return value
    _require_shape(value, info)
    if value.dtype == np.float16 and info.dtype == "F16":
        return _finite(np.ascontiguousarray(value).reshape(-1).view(np.uint8), info)
    return encode(value, info.dtype, name=info.name)


def _from_torch(value: Any, info: TensorInfo) -> NDArray[np.uint8]:
    import torch

    from ckptedit.files.torch_dtypes import TORCH, to_raw

    _require_shape(value, info)
    if value.dtype == TORCH.get(info.dtype):
        return _finite(to_raw(value), info)
    wide = value.detach().cpu()
    numbers = wide if wide.dtype == torch.float64 else wide.float()
    return encode(numbers.numpy(), info.dtype, name=info.name)


def _require_shape(value: Any, info: TensorInfo) -> None:
    if tuple(value.shape) != info.shape:
        raise Incompatible(
            f"tensor {escape(info.name)} has the shape {list(info.shape)}, "
            f"its new values {list(value.shape)}"
        )


def _finite(raw: NDArray[np.uint8], info: TensorInfo) -> NDArray[np.uint8]:
    if holds_nonfinite(raw, info.dtype):
        raise Overflow(f"tensor {escape(info.name)}: NaN or Inf among the new values")
    return raw

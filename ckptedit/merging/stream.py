"""Runs a merge method over whole checkpoints, a stretch of each at a time.

A tensor goes through two stages, both of them jobs for the same few threads:

    prepare    compare the bytes; where an edit differs, let the method look at the tensor -> kernel
    run        some stretches: decode, kernel, add to the base, encode -> stored bytes

While the stretches of one tensor run and are written, the next one is prepared. Memory is one
tensor's worth of magnitudes for each of two preparations, and a few stretches for each thread.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ckptedit.errors import CkptError, Overflow
from ckptedit.files import encode_into, escape
from ckptedit.files.dtypes import largest
from ckptedit.merging.arithmetic.products import dot, inner_products
from ckptedit.merging.copying import Copying, pieces
from ckptedit.merging.file_stack import FileStack, Inputs
from ckptedit.merging.parallel import Workers
from ckptedit.merging.stack import Kernel
from ckptedit.merging.task_vectors import is_float

RUN = 2  # stretches in one job: 1 MiB of fp16, large enough that handing it over costs nothing
AHEAD = 48  # jobs of either stage that are begun or done before their turn

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Piece:
    """Stored bytes of some stretches of a tensor.

    products: [n + 1, n + 1] inner products of the task vectors and of what was added to the base;
              None if the piece was copied
    base:     squared norm of the base's weights
    """

    name: str
    stored: NDArray[np.uint8]
    products: NDArray[np.float64] | None = None
    base: float = 0.0


class Stream:
    """The tensors of the output, in the order of the base.

    method: a function of METHODS, params: its hyperparameters
    saturate: whether values that do not fit their dtype become its largest, or are an error
    scales: name -> what multiplies the merged task vector of a tensor; tensors that are not in it,
            or have 0 there, are copied; copying: how

    When all is read, `merged` and `touched` tell in which tensors anything differs, in all and for
    each edit; `products` and `base_square` are the sums of the pieces' figures.
    """

    def __init__(
        self,
        inputs: Inputs,
        method: Callable[..., Kernel],
        params: dict[str, Any],
        scales: dict[str, float],
        copying: Copying,
        saturate: bool = False,
    ) -> None:
        self.inputs, self.method, self.params, self.scales = inputs, method, params, scales
        self.copying, self.saturate = copying, saturate
        count = len(inputs.edits)
        self.merged: list[str] = []
        self.touched = [0] * count
        self.products: NDArray[np.float64] = np.zeros((count + 1, count + 1))
        self.base_square = 0.0

    def stacks(self) -> Iterator[FileStack]:
        """All tensors that are merged, for methods that look at the whole model."""
        for name in self.inputs.base:
            if self.scales.get(name) and is_float(self.inputs.base[name].dtype):
                yield FileStack(self.inputs, name)

    def tensors(self, workers: Workers) -> Iterator[Iterator[NDArray[np.uint8]]]:
        """The stored bytes of each tensor of the base, in pieces. Must be consumed in order."""
        preparing = (partial(self._prepare, name) for name in self.inputs.base)
        runs = self._runs(workers.ordered(preparing, ahead=AHEAD))
        pieces = workers.ordered(runs, ahead=AHEAD)
        for _, group in groupby(pieces, key=lambda piece: piece.name):
            yield map(self._count, group)

    def _prepare(self, name: str) -> tuple[str, FileStack | None, Kernel | None]:
        if not self.scales.get(name):
            return name, None, None
        with noting(name), np.errstate(all="ignore"):
            stack = FileStack(self.inputs, name)
            return name, stack, None if stack.untouched else self.method(stack, **self.params)

    def _runs(
        self, prepared: Iterator[tuple[str, FileStack | None, Kernel | None]]
    ) -> Iterator[Callable[[], Piece]]:
        for name, stack, kernel in prepared:
            if stack is None or kernel is None:
                for start, count in pieces(self.inputs.base[name].nbytes):
                    yield partial(self._copy, name, start, count)
                continue
            self.merged.append(name)
            for edit, fill in enumerate(stack.fillers):
                self.touched[edit] += fill is not None
            spans = list(stack.spans(whole_rows=getattr(self.method, "by_rows", False)))
            for first in range(0, len(spans), RUN):
                yield partial(self._run, stack, kernel, spans[first : first + RUN])

    def _copy(self, name: str, start: int, count: int) -> Piece:
        return Piece(name, self.copying.read(self.inputs.base, name, start, count))

    def _run(self, stack: FileStack, kernel: Kernel, spans: list[Span]) -> Piece:
        width, first, edits = stack.width, spans[0][0], range(len(stack.weights))
        stored = np.empty((spans[-1][1] - first) * width, np.uint8)
        products, base_square = np.zeros_like(self.products), 0.0
        with noting(stack.name), np.errstate(all="ignore"):
            scale = np.float32(self.scales[stack.name])
            for start, stop in spans:
                stretch = stack.read(start, stop, edits)
                change = kernel(stretch)
                if scale != 1:
                    change = change * scale
                found = inner_products([*stretch.deltas, change])
                square = dot(stretch.base, stretch.base)
                if not np.isfinite([*found.flat, square]).all():
                    stack.require_finite(start, stop)
                    self._require_held(stack, found[-1, -1])
                products += found
                base_square += square
                target = stored[(start - first) * width : (stop - first) * width]
                new = stack.exact_base(stretch) + change
                if self.saturate:
                    new = saturated(new, stack)
                encode_into(new, stack.info.dtype, target, name=stack.name)
        return Piece(stack.name, stored, products, base_square)

    def _require_held(self, stack: FileStack, square: float) -> None:
        """Raises Overflow if what is to be added is not finite, though all inputs are."""
        if not np.isfinite(square):
            factors = {"weights": list(stack.weights), "scale": self.scales[stack.name]}
            given = ", ".join(f"{name}={value}" for name, value in (factors | self.params).items())
            raise Overflow(
                f"tensor {escape(stack.name)}: what would be added goes beyond float32 with {given}"
            )

    def _count(self, piece: Piece) -> NDArray[np.uint8]:
        if piece.products is not None:
            self.products += piece.products
            self.base_square += piece.base
        return piece.stored


def saturated(values: NDArray[Any], stack: FileStack) -> NDArray[Any]:
    """What goes beyond the stored dtype becomes its largest value, and is counted. [m] -> [m]"""
    top = values.dtype.type(largest(stack.info.dtype))
    stack.tally.add(saturated=int(np.count_nonzero(np.abs(values) > top)))
    return np.clip(values, -top, top)


class noting:
    """Names the tensor in an error that comes from a method, which does not know it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, CkptError) and escape(self.name) not in str(error):
            error.add_note(f"while merging {escape(self.name)}")

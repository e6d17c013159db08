"""Several processes that train one edit together, each on its share of every batch.

`torchrun` starts them, accelerate joins them. They all do the same on the same numbers, but for
three things: what is dear and does not change is computed by the first and told to all (`same`); a
step's batch is drawn alike everywhere, and of its pictures each process sees its share, whose
predictions all gather (`Share`); and gradients are averaged.

Whatever an objective makes of a whole batch, a weight for each sample, a critic, a multiplier, it
so makes of the whole batch in every process. A gradient reaches the weights through the process's
own share only, that counted `count` times: the mean over all processes is the gradient of the batch
for a loss of predictions, and of the weights alone, which all compute alike, it is that itself.
"""

import atexit
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
from torch import Tensor
from torch.nn import Parameter

from ckptedit.diffusion.moments import Moments
from ckptedit.errors import BadParam, Busy
from ckptedit.launch import Launch, launched

T = TypeVar("T")
PATIENCE = timedelta(
    days=1
)  # while the first process draws a bank; torchrun ends those of a dead one

Seen = Callable[[Moments], Sequence[Tensor]]


@dataclass(frozen=True)
class Ranks:
    """The processes of a training; one alone, by default, which asks nobody.

    index: of this one; device: that it computes on, "" if that is for its user to say
    """

    index: int = 0
    count: int = 1
    device: str = ""

    @property
    def first(self) -> bool:
        return self.index == 0

    def share_of(self, batch: int) -> int:
        """How many of a batch's pictures a process sees."""
        return -(-batch // self.count)

    def same(self, make: Callable[[], T]) -> T:
        """What `make` returns, or raises, in the first process: in every one."""
        if self.count == 1:
            return make()
        from accelerate.utils import broadcast_object_list

        told: list[Any] = [None]
        if self.first:
            try:
                told = [(make(), None)]
            except Exception as error:
                told = [(None, error)]
        with _company():
            broadcast_object_list(told)
        made, wrong = told[0]
        if wrong is not None:
            raise wrong
        return cast(T, made)

    def part(self) -> None:
        """Called when all is done, but for what only this process does. After trouble it is not:
        who takes leave then may wait for the dead."""
        if self.count > 1:
            from accelerate import PartialState

            atexit.register(PartialState().destroy_process_group)

    def average(self, weights: Iterable[Parameter]) -> None:
        """The weights' gradients become their means over all processes."""
        if self.count == 1:
            return
        from accelerate.utils import reduce

        with _company():
            for weight in weights:
                if weight.grad is not None:
                    weight.grad = reduce(weight.grad, "mean")


ALONE = Ranks()


class Share:
    """What the model in training sees in moments, [b, ...] each; every process computes its share.

    Until `begin`, each computes all of it: what weights are scored by, before the first step, asks
    for gradients that nobody averages.
    """

    def __init__(self, ranks: Ranks) -> None:
        self.ranks, self.begun = ranks, ranks.count == 1

    def begin(self) -> None:
        self.begun = True

    def __call__(self, see: Seen, moments: Moments) -> Sequence[Tensor]:
        ranks, batch = self.ranks, len(moments)
        if not self.begun or ranks.count == 1:
            return see(moments)
        size = ranks.share_of(batch)
        own = torch.arange(size, device=moments.t.device) + size * ranks.index
        seen = see(moments[own.clamp(max=batch - 1)])  # the last shares may hold nobody's rows
        return [_Gathered.apply(each, ranks)[:batch] for each in seen]


class _Gathered(torch.autograd.Function):
    """The rows of all processes [count * n, ...], of one's own [n, ...]."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, ranks: Ranks) -> Tensor:
        from accelerate.utils import gather

        ctx.ranks, ctx.size = ranks, len(own)
        with _company():
            rows: Tensor = gather(own.contiguous())
        return rows

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        start = ctx.size * ctx.ranks.index
        return ctx.ranks.count * gradient[start : start + ctx.size], None


def together(device: str) -> Ranks:
    """The processes that torchrun started, joined; one alone, if it did not.

    device: as the user named it. Raises BadParam if they cannot all have one.
    """
    launch = launched()
    return ALONE if launch.count == 1 else _joined(launch, device)


def _joined(launch: Launch, device: str) -> Ranks:
    if device not in ("auto", "cpu", "cuda"):
        raise BadParam(
            f"--device {device}: torchrun gives each process a GPU of its own; leave it out, or "
            f"say cpu"
        )
    try:
        from accelerate import PartialState
        from accelerate.utils import parse_flag_from_env
    except ImportError:
        raise BadParam(
            "torchrun needs accelerate to join its processes: pip install 'ckptedit[parallel]'"
        ) from None
    cpu = device == "cpu" or parse_flag_from_env("ACCELERATE_USE_CPU")
    if device == "cuda" and (cpu or not torch.cuda.is_available()):
        raise BadParam("--device cuda: this machine has no GPU for it; leave it out")
    cpu = cpu or not torch.cuda.is_available()  # else accelerate would join nobody, and not say so
    if not cpu and launch.local >= torch.cuda.device_count():
        raise BadParam(
            f"torchrun started more processes than this machine has GPUs, "
            f"{torch.cuda.device_count()}; start as many, or set ACCELERATE_USE_CPU=true"
        )
    backend = "gloo" if cpu else "cuda:nccl,cpu:gloo"
    with _company():
        state = PartialState(cpu=cpu, backend=backend, timeout=PATIENCE)
    if state.num_processes != launch.count:
        raise BadParam(f"accelerate joined {state.num_processes} of {launch.count} processes")
    return Ranks(state.process_index, state.num_processes, "cpu" if cpu else str(state.device))


@contextmanager
def _company() -> Iterator[None]:
    """Raises Busy where torch says that another process does not answer."""
    try:
        yield
    except RuntimeError as error:  # also torch's DistBackendError
        if type(error).__name__ == "OutOfMemoryError":
            raise
        raise Busy("another process of this training has ended; start all of them again") from error

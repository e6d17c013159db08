"""What a base becomes with a delta, as an open checkpoint that is nowhere written."""

from threading import local
from typing import Any

from ckptedit.deltas.application import plan
from ckptedit.deltas.change import patched
from ckptedit.deltas.fit import some
from ckptedit.errors import DoesNotFit
from ckptedit.files import Checkpoint


class Overlay(Checkpoint):
    """A base and a delta, read as the checkpoint that `apply` would write, bit for bit.

    The files stay those of the two; closing it closes both.
    """

    def __init__(self, base: Checkpoint, delta: Checkpoint) -> None:
        """Raises what `plan` raises, and DoesNotFit if the delta was made from another base."""
        planned = plan(base, delta, fuzz=True)
        if others := planned.fit.differing:
            raise DoesNotFit(
                f"{delta.label} was not made from {base.label}: "
                f"{some(others, len(planned.delta.entries))} are others there; compare with the "
                "checkpoint that it was made from"
            )
        self.__dict__.update(base.__dict__)
        self.label, self._sha256 = delta.label, None
        self.sources = [*base.sources, *delta.sources]
        self.base, self.delta = base, planned.delta
        self._last = local()  # of a thread: the tensor that it reads, piece by piece

    def in_file(self, name: str) -> bool:
        return name not in self.delta.entries

    def read_into(self, name: str, buffer: Any, start: int = 0) -> None:
        if self.in_file(name):
            super().read_into(name, buffer, start)
            return
        if getattr(self._last, "name", None) != name:
            info, change = self.base[name], self.delta.change(name)
            self._last.bytes = patched(self.base.raw(name), info, change, 1)
            self._last.name = name
        view = memoryview(buffer).cast("B")
        view[:] = self._last.bytes[start : start + len(view)].data

"""Chooses for each changed tensor the smallest form that a delta can give it."""

from collections.abc import Iterator
from dataclasses import replace
from math import hypot
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ckptedit.deltas.change import Change, Dense, LowRank, Replacement, digest, patched
from ckptedit.deltas.distance import Bytes, apart
from ckptedit.deltas.entry import SUFFIXES, Entry, Form
from ckptedit.deltas.keys import BIAS, WEIGHT, generic, naming
from ckptedit.deltas.lowrank import NOISE, factorize
from ckptedit.deltas.sides import Edited
from ckptedit.errors import Incompatible
from ckptedit.files import Checkpoint, escape
from ckptedit.files.dtypes import FLOATS


class Chooser:
    """Keeps the entry of each tensor, and its factors; what is dense is computed again later."""

    def __init__(self, base: Checkpoint, side: Edited, *, exact: bool, tolerance: float) -> None:
        self.base, self.side, self.exact, self.tolerance = base, side, exact, tolerance
        self.naming = naming(base)
        self.entries: dict[str, Entry] = {}
        self.factors: dict[str, LowRank] = {}
        self._taken: set[str] = set()

    def take(self, name: str) -> Bytes:
        """Chooses the form of a tensor that differs; the bytes that applying it gives."""
        before, wanted = self.base.raw(name), self.side.wanted(name)
        for form, change in self._candidates(name, before, wanted):
            entry, after = self._try(name, form, change, before)
            if not self.exact or not (entry.off[0] or entry.back[0]):
                break
        if self.exact and entry.off[0]:
            raise Incompatible(
                f"tensor {escape(name)} has values that its dtype in {self.base.label}, "
                f"{entry.dtype}, does not hold: no delta is exact there"
            )
        if entry.off[0] and self.side.in_dtype_of_base(name):
            undone = patched(wanted, self.base[name], change, -1)
            entry = replace(entry, edited=digest(wanted), undone=apart(undone, before, entry.dtype))
        if isinstance(change, LowRank):
            self.factors[name] = change
        self._taken.update(entry.key + suffix for suffix in SUFFIXES[entry.form])
        self.entries[name] = entry
        return after

    def _candidates(self, name: str, before: Bytes, wanted: Bytes) -> Iterator[tuple[Form, Change]]:
        dtype = self.base[name].dtype
        if given := self.side.given(name):
            yield "lora" if isinstance(given, LowRank) else "diff", given
        elif dtype in FLOATS:
            change = self.side.change(name)
            if np.isfinite(change).all():
                if factors := self._factors(name, change):
                    yield "lora", factors
                yield "diff", Dense(change)
        yield "set", Replacement(before, wanted, dtype)

    def _factors(self, name: str, change: NDArray[Any]) -> LowRank | None:
        if change.ndim < 2 or not change.size:
            return None
        flat = change.reshape(len(change), -1)
        norm, noise = float(np.linalg.norm(flat.astype(np.float64))), self.side.noise(name)
        if noise > NOISE * norm:
            return None
        factors = factorize(flat, hypot(self.tolerance * norm, noise))
        return LowRank(*factors) if factors else None

    def _try(self, name: str, form: Form, change: Change, before: Bytes) -> tuple[Entry, Bytes]:
        """The entry of a form, with what it gets wrong; and the bytes that applying it gives."""
        info = self.base[name]
        after = patched(before, info, change, 1)
        entry = Entry(
            key=self._key(name, form),
            form=form,
            dtype=info.dtype,
            shape=info.shape,
            base=digest(before),
            result=digest(after),
            off=self.side.off(name, after),
            back=apart(patched(after, info, change, -1), before, info.dtype),
        )
        return entry, after

    def _key(self, name: str, form: Form) -> str:
        """What the tensor's keys begin with; no other tensor's do."""
        suffix = "" if form != "diff" else ".diff_b" if name.endswith(BIAS) else ".diff"
        ours = self.naming.stem(name, replaced=form == "set")
        if suffix == ".diff_b" and not self._weight_differs(name):
            ours = generic(name).removesuffix(BIAS)  # A1111 would refuse it under a module's key
        for stem in (ours, name):
            if not any(stem + suffix + part in self._taken for part in SUFFIXES[form]):
                return stem + suffix
        raise Incompatible(f"two tensors would have the key {escape(name + suffix)}")

    def _weight_differs(self, bias: str) -> bool:
        """Whether the delta has a change of the weight beside it, too."""
        weight = bias.removesuffix(BIAS) + WEIGHT
        return weight in self.base and self.side.differs(weight)

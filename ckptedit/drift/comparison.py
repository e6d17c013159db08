"""What a comparison found, and its JSON. Names in the JSON are added, never renamed."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ckptedit.drift.sums import Figures, Sums

if TYPE_CHECKING:
    from ckptedit.families import Role


@dataclass(frozen=True)
class TensorDiff:
    """One tensor that both checkpoints have, in the same shape."""

    name: str
    shape: tuple[int, ...]
    dtypes: tuple[str, str]  # before and after, as safetensors spells them
    sums: Sums
    changed: bool  # its stored bytes differ, or its dtype does

    @cached_property
    def place(self) -> "Role":
        """Where it sits, as its name tells. Looked up when asked for: equal files need it not."""
        from ckptedit.families import block_role

        return block_role(self.name)

    @property
    def component(self) -> str:
        return self.place.component  # "unet", "text", "vae", ...

    @property
    def block(self) -> str:
        return self.place.block  # "IN04", "M00", "L12", ...

    @property
    def role(self) -> str:
        return self.place.role  # "k", "v", "conv", ...

    @cached_property
    def figures(self) -> Figures:
        return Figures.of(self.sums)

    @property
    def retyped(self) -> bool:
        return self.dtypes[0] != self.dtypes[1]

    @property
    def nonfinite(self) -> int:
        return self.sums.old_nonfinite + self.sums.new_nonfinite

    def as_dict(self) -> dict[str, Any]:
        place = {"component": self.component, "block": self.block, "role": self.role}
        old, new = self.dtypes
        kind = {"shape": list(self.shape), "dtype": new, "old_dtype": old}
        return {"name": self.name, **kind, **place, **_measures(self.figures, self.sums)}


@dataclass(frozen=True)
class Reshaped:
    """A tensor that both have, in different shapes: its values cannot be compared."""

    name: str
    old_shape: tuple[int, ...]
    new_shape: tuple[int, ...]

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "old": list(self.old_shape), "new": list(self.new_shape)}


@dataclass(frozen=True)
class Spectrum:
    """The singular values of one delta [out, in], summed up (a kernel's axes count as `in`)."""

    spectral_norm: float  # the greatest, s₁
    stable_rank: float  # Σ s² / s₁²
    effective_rank: float  # exp of the entropy of s / Σ s
    rank: int  # how many stand out of what rounding to the stored dtype puts there


@dataclass(frozen=True)
class SharedFactor:
    """Whether the deltas of all K/V weights with one width have their rows in one small space.

    Closed forms and right-factored training write Δ = A Qᵀ with one Q for all layers; any other
    training gives each layer rows of its own.
    """

    component: str
    dim: int  # text width d
    matrices: int
    rank: int  # of all deltas stacked [Σ out, d]
    largest_rank: int  # of one of them
    sharing: float  # 1: one row space for all; 0: as many directions as their ranks add up to
    shared: bool  # sharing >= 0.9, and the space is at most half of d


def sentence(factor: SharedFactor) -> str:
    """What the test for a shared right factor found, in words."""
    edits = f"{factor.matrices} K/V edits of width {factor.dim}"
    if factor.shared:
        return (
            f"{edits} share one right factor of rank {factor.rank}: "
            "a closed form, or training in a fixed subspace"
        )
    return (
        f"{edits} have no small right factor in common: their rows span {factor.rank} "
        f"directions, those of one alone up to {factor.largest_rank}"
    )


@dataclass(frozen=True)
class Group:
    """All compared tensors of one component, block or role, or of one block and role."""

    key: tuple[str, ...]
    tensors: int
    changed: int  # tensors
    figures: Figures
    sums: Sums

    @classmethod
    def of(cls, key: tuple[str, ...], tensors: list[TensorDiff]) -> "Group":
        sums = sum((tensor.sums for tensor in tensors), Sums())
        changed = sum(tensor.changed for tensor in tensors)
        return cls(key, len(tensors), changed, Figures.of(sums), sums)


@dataclass(frozen=True)
class Comparison:
    """Two checkpoints compared. Tensors are in the file order of the old one, names sorted."""

    old: str  # labels, safe to print
    new: str
    tensors: list[TensorDiff]  # all that were compared, changed or not
    added: list[str] = field(default_factory=list)  # only in new
    removed: list[str] = field(default_factory=list)  # only in old
    reshaped: list[Reshaped] = field(default_factory=list)
    uncompared_nonfinite: Mapping[str, int] = field(default_factory=dict)  # of added, removed and
    # reshaped tensors, those that hold NaN or Inf -> how many
    left_out: int = 0  # tensors that `keys` did not pick
    translated: int = 0  # tensors that are spelled otherwise on one side
    spectra: Mapping[str, Spectrum] = field(default_factory=dict)  # by tensor, if asked for
    factors: list[SharedFactor] = field(default_factory=list)

    @cached_property
    def changed(self) -> list[TensorDiff]:
        return [tensor for tensor in self.tensors if tensor.changed]

    @cached_property
    def retyped(self) -> list[TensorDiff]:
        return [tensor for tensor in self.tensors if tensor.retyped]

    @cached_property
    def nonfinite(self) -> list[TensorDiff]:
        return [tensor for tensor in self.tensors if tensor.nonfinite]

    @property
    def nonfinite_names(self) -> list[str]:
        """Every tensor of either side that holds NaN or Inf, whether it could be compared or not.

        But for those that were left out.
        """
        return [*(tensor.name for tensor in self.nonfinite), *self.uncompared_nonfinite]

    @cached_property
    def total(self) -> Group:
        """Over every tensor compared, changed or not: `relative` is to the norm of all of them."""
        return Group.of((), self.tensors)

    @property
    def equal(self) -> bool:
        """Whether every tensor is there on both sides, and byte-identical."""
        return not (self.added or self.removed or self.reshaped or self.changed)

    @property
    def same(self) -> bool:
        """Whether both are equal, and finite."""
        return self.equal and not self.nonfinite

    def movers(self) -> list[TensorDiff]:
        """The changed tensors, farthest first by relative L2, those with NaN before all others."""

        def distance(tensor: TensorDiff) -> tuple[bool, float]:
            relative = tensor.figures.relative
            return relative == relative, -relative

        return sorted(self.changed, key=distance)

    def grouped(self, key: Callable[[TensorDiff], tuple[str, ...]]) -> list[Group]:
        """Sums the tensors up by a key; sorted by it."""
        members: dict[tuple[str, ...], list[TensorDiff]] = {}
        for tensor in self.tensors:
            members.setdefault(key(tensor), []).append(tensor)
        return [Group.of(key, tensors) for key, tensors in sorted(members.items())]

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON holds it. `tensors` are those that differ, in file order."""
        total = self.total
        return {
            "old": self.old,
            "new": self.new,
            "same": self.same,
            "total": _measures(total.figures, total.sums),
            "counts": {
                "compared": total.tensors,
                "changed": total.changed,
                "unchanged": total.tensors - total.changed,
                "left_out": self.left_out,
                "translated": self.translated,
            },
            "components": _named(self.grouped(lambda t: (t.component,)), "component"),
            "blocks": _named(self.grouped(lambda t: (t.component, t.block)), "component", "block"),
            "roles": _named(self.grouped(lambda t: (t.component, t.role)), "component", "role"),
            "added": self.added,
            "removed": self.removed,
            "reshaped": [tensor.as_dict() for tensor in self.reshaped],
            "retyped": [tensor.name for tensor in self.retyped],
            "nonfinite": self.nonfinite_names,
            "tensors": [tensor.as_dict() | self._spectrum(tensor.name) for tensor in self.changed],
            "shared_right_factor": [asdict(factor) for factor in self.factors],
        }

    def _spectrum(self, name: str) -> dict[str, Any]:
        return {"spectrum": asdict(self.spectra[name])} if name in self.spectra else {}


def _measures(figures: Figures, sums: Sums) -> dict[str, Any]:
    counts = {"elements": sums.elements, "changed_elements": sums.changed}
    nonfinite = {"old": sums.old_nonfinite, "new": sums.new_nonfinite}
    return {**asdict(figures), **counts, "nonfinite": nonfinite}


def _named(groups: Iterable[Group], *names: str) -> list[dict[str, Any]]:
    return [
        {
            **dict(zip(names, group.key, strict=True)),
            "tensors": group.tensors,
            "changed_tensors": group.changed,
            **_measures(group.figures, group.sums),
        }
        for group in groups
    ]

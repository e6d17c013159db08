"""Each request from the original, alone; then all that is asked for is merged.

θ_n = θ_0 + λ · merge(τ_1, …, τ_n), τ_i = U(θ_0, {c_i}) - θ_0: Lee et al., ICLR 2026,
https://arxiv.org/abs/2511.07970, section on model merging, by any method of `merge`; the default is
TIES. Requests can be met at the same time and in any order, and withdrawn: their delta is left out.

A method that can be continued (`merging/running/`) reads only the new delta and its sums, else all
deltas are merged again; after a withdrawal the sums are made anew.

λ = auto needs no picture and no test data. Let p_i(Δ) = Σ ⟨Δ c, W (c* - c)⟩ / Σ ‖W (c* - c)‖² be
how far an edit Δ takes target i towards its anchor, over held-out sentences: 0 not at all, 1 all
the way. What is merged is scaled so that it goes, on average, as far as the edits did that were
made for each target alone:

    λ = Σ_i p_i(τ_i) / Σ_i p_i(merge(τ_1, …, τ_n))

Averages of many edits shrink each of them, and λ grows to make up for that. Ours.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from ckptedit.concepts.targets import erased
from ckptedit.continual.journal import ALONE, DELTAS, SUMS, write_text
from ckptedit.continual.requests import Asked
from ckptedit.continual.strategies.strategy import Step, Strategy, Work, copied, erased_together
from ckptedit.deltas.apply import apply
from ckptedit.erasure.job import Erasure
from ckptedit.errors import BadParam
from ckptedit.files import Checkpoint
from ckptedit.merging.recipe import Recipe
from ckptedit.merging.run import merge
from ckptedit.merging.running.grow import can_grow, grow, write_grown

AUTO = "auto"


class Independent(Strategy):
    """A delta of each request from the original, merged.

    merge, params: a method of `merge`, and its hyperparameters; scale: λ, or "auto"
    """

    joins: ClassVar[bool] = True
    remedy = "raise --scale, or take --strategy recomputed"

    def __init__(
        self,
        *,
        merge: str = "ties",
        params: Mapping[str, Any] | None = None,
        scale: float | str = 1.0,
    ) -> None:
        if isinstance(scale, str) and scale != AUTO:
            raise BadParam(f"scale must be a number or {AUTO}, not {scale!r}")
        self.auto = scale == AUTO
        self.recipe = Recipe(merge, params or {}, scale=1.0 if self.auto else float(scale))
        self.recipe.try_out(2)

    def settings(self) -> dict[str, Any]:
        scale = AUTO if self.auto else self.recipe.scale
        params = self.recipe.resolved_params()
        return {"merge": {"method": self.recipe.method, "params": params, "scale": scale}}

    def check(self, work: Work) -> None:
        super().check(work)
        for entry in work.entries:
            before = {each.number: each.concepts for each in work.standing(entry.number - 1)}
            for each in work.standing(entry.number):
                if each.concepts != before.get(each.number, each.concepts):
                    raise BadParam(
                        f"{entry.where} withdraws a part of request {each.number}, whose delta is "
                        f"one; withdraw all of it, or take --strategy recomputed"
                    )

    def step(
        self, work: Work, number: int, newest: Checkpoint, output: Path, tighter: Mapping[str, Any]
    ) -> Step:
        entry, folder = work.entries[number - 1], work.folder / DELTAS
        folder.mkdir(exist_ok=True)
        made: Erasure | None = None
        facts: dict[str, Any] = {}
        if entry.concepts:
            own = delta_of(work, entry)
            made = erased_together(work, [entry], work.base, own, tighter, delta=True)
            facts["delta"] = f"{DELTAS}/{own.name}"
        standing = work.standing(number)
        if not standing:
            copied(work.base, output)
            return Step(None, facts)
        deltas = [delta_of(work, each) for each in standing]
        scale, continued = self._merge(work, standing, deltas, output)
        return Step(made, facts | {"scale": scale, "continued": continued})

    def _merge(
        self, work: Work, standing: Sequence[Asked], deltas: Sequence[Path], output: Path
    ) -> tuple[float, bool]:
        """Writes the merged checkpoint; returns λ, and whether only the last delta was read."""
        grown = None
        if can_grow(self.recipe):
            grown = grow(work.base, deltas, deltas[0].parent / SUMS, self.recipe)

        def written(recipe: Recipe) -> None:
            if grown:
                write_grown(grown, output, recipe, force=True)
            else:
                merge(work.base, deltas, output, method=recipe.method, params=recipe.params,
                      scale=recipe.scale, force=True)  # fmt: skip

        written(self.recipe)
        scale = self.recipe.scale
        if self.auto:
            scale = self._scale(work, standing, output)
            written(Recipe(self.recipe.method, self.recipe.params, scale=scale))
        return scale, bool(grown and grown.continued)

    def _scale(self, work: Work, standing: Sequence[Asked], merged: Path) -> float:
        """λ of what is merged with λ = 1."""
        together = ways(work, merged)
        alone: dict[str, float] = {}
        for each in standing:
            alone |= self._alone(work, delta_of(work, each))
        wanted, reached = sum(alone.values()), sum(together[name] for name in alone)
        if not (wanted > 0 and reached > 0):
            raise BadParam(
                f"--scale {AUTO} finds no scale: on average the edits lead away from the anchors, "
                f"by {wanted:.3g} alone and {reached:.3g} merged; give --scale a number"
            )
        return wanted / reached

    def _alone(self, work: Work, delta: Path) -> dict[str, float]:
        """How far each target of a delta goes by it alone; measured once, and kept beside it."""
        kept = delta.with_suffix(".json")
        sha256 = Checkpoint(delta).data_sha256()
        if kept.exists():
            told = json.loads(kept.read_text())
            if told.get("sha256") == sha256:
                return {str(name): float(way) for name, way in told["ways"].items()}
        alone = delta.parent / ALONE
        apply(work.base, delta, alone, force=True)
        found = ways(work, alone)
        alone.unlink()
        write_text(kept, json.dumps({"sha256": sha256, "ways": found}))
        return found


def delta_of(work: Work, entry: Asked) -> Path:
    return work.folder / DELTAS / f"{entry.number:03}.safetensors"


def ways(work: Work, edited: Path) -> dict[str, float]:
    """Target -> p, of all that the ledger of a file says is erased since the base."""
    found = Checkpoint(edited)
    known = erased(work.base.ledger)
    targets = [target for target in erased(found.ledger) if target not in known]
    assert work.verifier is not None
    return dict(work.verifier.look(found, targets).ways)

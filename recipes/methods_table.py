"""Every method of erasing on mini, with and without gradient projection: one row of figures each.

    python recipes/methods_table.py [--folder FOLDER] [--seeds N] [METHOD ...]

Two styles and two objects, from N seeds (--guard and --concept, repeatable, say which). Half of
what stays is shown to the guards, the other half and its names in the lexicon are not. Appends to
FOLDER/rows.jsonl and goes on where it was stopped; settings are in recipes/methods-table.toml.
"""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

import ckptedit
from ckptedit.erasure.options import METHODS, Options
from ckptedit.errors import CkptError
from ckptedit.params import assignments

HERE = Path(__file__).parent
SETTINGS = tomllib.loads((HERE / "methods-table.toml").read_text())
GUARDS, CONCEPTS = ["none", SETTINGS["guard"]], list(SETTINGS["concepts"])
SAMPLING = {"steps": 8}


class Run(NamedTuple):
    """One erasure to make and to score."""

    method: str
    guard: str  # "none", or one that a training is under
    concept: str
    seed: int

    @property
    def key(self) -> str:
        return "|".join(map(str, self))


def runs(
    methods: list[str], seeds: int, guards: list[str] = GUARDS, concepts: list[str] = CONCEPTS
) -> Iterator[Run]:
    """Seed by seed, so that what is stopped has whole tables; a closed form has no seed."""
    for seed in range(seeds):
        for method in methods:
            trained = Options(method=method).trained
            if seed and not trained:
                continue
            for guard in guards if trained else ["none"]:
                for concept in concepts:
                    yield Run(method, guard, concept, seed)


def options(run: Run) -> dict[str, Any]:
    """What erases as recipes/methods-table.toml says: the method's own settings go first."""
    kind = SETTINGS["concepts"][run.concept]
    trained = Options(method=run.method).trained
    common = SETTINGS["trained"] if trained else {}
    own = SETTINGS["methods"].get(run.method, {})
    found = {**common, **own.get("all", {}), **own.get(kind, {})}
    guarded = dict(SETTINGS["guards"].get(run.guard, {}))
    params = {run.method: found.pop("p", []), run.guard: guarded.pop("p", [])}
    found |= {"params": {owner: assignments(each) for owner, each in params.items() if each}}
    found |= {"method": run.method, **guarded}
    if trained:
        found |= {"guards": () if run.guard == "none" else (run.guard,), "seed": run.seed}
    return found | {"kind": kind, "lexicon": HERE / SETTINGS["lexicon"][kind], "neighbors": 10}


def made(run: Run, base: Path, folder: Path) -> dict[str, Any]:
    """Erases and scores."""
    target = folder / f"edited.{run.method.replace(':', '-')}.safetensors"
    edit = ckptedit.erase(base, run.concept, target, force=True, **options(run))
    held, found = edit.effect.protection, scored(target, run.concept)
    target.unlink()
    return {
        "drift": edit.effect.drift,
        "leak": held and held.leak,
        "seconds": edit.seconds,
        **found,
    }


def scored(checkpoint: Path, concept: str) -> dict[str, Any]:
    """UA, RA-I of what the guards were shown and of what not, RA-C."""
    kind = SETTINGS["concepts"][concept]
    suite = SETTINGS["suite"][kind]
    stay = [*suite["shown"], *suite["unseen"], *suite["companions"]]
    scores = ckptedit.evaluate(checkpoint, erased=[concept], retain=stay, **SAMPLING)
    accuracy = {each.concept: each.accuracy for each in scores.per_concept}

    def mean(names: list[str]) -> float:
        return sum(accuracy[name] for name in names) / len(names)

    return {
        "ua": scores.ua,
        "shown": mean(suite["shown"]),
        "unseen": mean(suite["unseen"]),
        "ra_c": scores.ra_c,
        "erased": next(each.n for each in scores.per_concept if each.concept == concept),
    }


def main(
    methods: Annotated[list[str] | None, typer.Argument()] = None,
    folder: Path = Path("runs/methods"),
    seeds: int = 3,
    guard: list[str] = GUARDS,
    concept: list[str] = CONCEPTS,
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    base, rows = folder / "base.safetensors", folder / "rows.jsonl"
    if not base.exists():
        ckptedit.demo(base)
    done = (
        {json.loads(line)["key"] for line in rows.read_text().splitlines()}
        if rows.exists()
        else set()
    )
    bases = [Run("base", "none", each, 0) for each in concept]
    for run in [*bases, *runs(methods or list(METHODS), seeds, guard, concept)]:
        if run.key in done:
            continue
        try:
            found = scored(base, run.concept) if run.method == "base" else made(run, base, folder)
        except CkptError as error:
            found = {"failed": str(error)}
        with rows.open("a") as file:
            file.write(json.dumps({"key": run.key, **run._asdict(), **found}) + "\n")
        print(
            run.key,
            {k: round(v, 3) if isinstance(v, float) else v for k, v in found.items()},
            flush=True,
        )


if __name__ == "__main__":
    typer.run(main)

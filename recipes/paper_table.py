"""The study of continual unlearning on mini: twelve styles and twelve objects, one after another.

    python recipes/paper_table.py [--folder FOLDER] [--orders N] [--redraw] [ROW ...]

Each row of recipes/paper-table.toml is a way to meet the requests, under N orders of them. What a
row measured is appended to recipes/paper-table.jsonl, a line a request, and is not measured again;
checkpoints and pictures stay in FOLDER. Hours on two cores; goes on where it was stopped.
"""

import json
import random
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

import ckptedit
from ckptedit.concepts.lexicon import lexicon_of
from ckptedit.continual.run import unlearn
from ckptedit.families import FAMILIES

HERE = Path(__file__).parent
SETTINGS = tomllib.loads((HERE / "paper-table.toml").read_text())
FIGURES = HERE / "paper-table.jsonl"
KINDS = ["style", "object"]
WHOLE = (1, 12)  # requests after which the figures of every concept are kept, too
OF_THE_RECIPE = ("label", "told")  # of a row, beside keywords of `unlearn` and `erase`
OF_A_RUN = ("strategy", "merge", "merge_params", "scale")  # keywords of `unlearn`


class Run(NamedTuple):
    """One list of requests, met in one way."""

    row: str
    kind: str
    order: int

    @property
    def key(self) -> str:
        return "|".join(map(str, self))

    def folder(self, parent: Path) -> Path:
        return parent / "-".join(map(str, self))


def requests(kind: str, order: int) -> list[str]:
    """The names in the order in which they come; the first order is that of the settings."""
    names = list(SETTINGS[kind]["requests"])
    if order:
        random.Random(order).shuffle(names)
    return names


def staying(run: Run) -> tuple[list[str], list[str]]:
    """What stays of a run's kind: names that a method is told of, and those that it is not."""
    own = SETTINGS[run.kind]
    names = [*own["shown"], *own["unseen"]]
    told = SETTINGS["row"][run.row].get("told", len(own["shown"]))
    return names[:told], names[told:]


def lexicon(run: Run, folder: Path) -> Path:
    """The world as methods know it: without what is to be unseen."""
    whole, (told, unseen) = lexicon_of(FAMILIES["mini"], None), staying(run)
    path = folder / f"lexicon-{run.kind}-{len(told)}.txt"
    known = {each: [name for name in whole[each] if name not in unseen] for each in KINDS}
    path.write_text("".join(f"[{each}]\n" + "\n".join(known[each]) + "\n" for each in KINDS))
    return path


def listed(run: Run, folder: Path) -> Path:
    """The file of requests of a run."""
    told, unseen = staying(run)
    stay = [*told, *unseen, *SETTINGS[run.kind]["companions"]]
    lines = [
        "[defaults]",
        f'kind = "{run.kind}"',
        f'lexicon = "{lexicon(run, folder).resolve()}"',
        f"retain = {json.dumps(told)}",
        "neighbors = 0",
        "[eval]",
        f"retain = {json.dumps(stay)}",
        *(f"{key} = {value}" for key, value in SETTINGS["eval"].items()),
        *(f"[[request]]\nconcept = {json.dumps(name)}" for name in requests(run.kind, run.order)),
    ]
    path = folder / f"{run.kind}-{run.order}-{len(told)}.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def met(run: Run, base: Path, folder: Path, score: bool = True) -> Iterator[dict[str, Any]]:
    """Meets the requests of a run, or goes on with it; a line of figures for each it scores."""
    every = run.order == 0 and "told" not in SETTINGS["row"][run.row]
    row = SETTINGS["row"][run.row]
    own = {key: value for key, value in row.items() if key not in OF_THE_RECIPE}
    how = {key: own.pop(key) for key in OF_A_RUN if key in own}
    chosen = own if how.get("strategy") == "recomputed" else SETTINGS["trained"] | own
    found = unlearn(
        base,
        listed(run, folder),
        run.folder(folder),
        options=chosen,
        eval=score,
        eval_at=SETTINGS["others"]["eval_at"] if score and not every else (),
        keep="all" if run.order == 0 else "last",
        tell=lambda line: print(run.key, line, flush=True),
        **how,
    )
    for line in found.lines:
        if line["scores"]:
            yield {"key": run.key, **run._asdict(), **figures(line, *staying(run))}


def figures(line: Mapping[str, Any], told: list[str], unseen: list[str]) -> dict[str, Any]:
    """What is kept of a line of results.jsonl."""
    scores = line["scores"]
    seen = {each["concept"]: each["accuracy"] for each in scores["per_concept"]}

    def mean(names: list[str]) -> float:
        return sum(seen[name] for name in names) / len(names)

    kept = {
        "request": line["request"],
        "asked": line["asked"],
        "ua": scores["ua"],
        "ra_i": mean([*told, *unseen]),
        "shown": mean(told),
        "unseen": mean(unseen) if unseen else None,
        "ra_c": scores["ra_c"],
        "drift": line["drift"]["relative"],
        "seconds": line["seconds"],
        "n": scores["n"],
    }
    rounded = {k: round(v, 6) if isinstance(v, float) else v for k, v in kept.items()}
    return rounded | ({"seen": seen} if line["request"] in (0, *WHOLE) else {})


def kept(run: Run, folder: Path) -> bool:
    """Whether its checkpoints are there."""
    return (run.folder(folder) / "012.safetensors").exists()


def measured() -> list[dict[str, Any]]:
    """All lines that there are."""
    return (
        [json.loads(line) for line in FIGURES.read_text().splitlines()] if FIGURES.exists() else []
    )


def main(
    rows: Annotated[list[str] | None, typer.Argument()] = None,
    folder: Path = Path("runs/paper-table"),
    orders: int = 3,
    kind: list[str] = KINDS,
    redraw: bool = False,
) -> None:
    """redraw: what was measured is not, but its checkpoints are made if the folder lacks them"""
    folder.mkdir(parents=True, exist_ok=True)
    base = folder / "base.safetensors"
    if not base.exists():
        ckptedit.demo(base)
    done = {line["key"] for line in measured()}
    for order in range(orders):
        for row in rows or SETTINGS["row"]:
            for each in kind:
                run = Run(row, each, order)
                if order and "told" in SETTINGS["row"][row]:
                    continue
                if redraw != (run.key in done) or (redraw and kept(run, folder)):
                    continue
                lines = list(met(run, base, folder, score=not redraw))
                with FIGURES.open("a") as file:
                    file.write("".join(json.dumps(line) + "\n" for line in lines))


if __name__ == "__main__":
    typer.run(main)

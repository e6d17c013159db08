"""Options that `ckptedit continual` alone has, as types."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from ckptedit.cli.options import Strings, one_of
from ckptedit.continual.strategies import DEFAULT, STRATEGIES
from ckptedit.merging.methods import METHODS

Requests = Annotated[
    Path,
    Argument(metavar="REQUESTS", help="A .toml or .csv of requests, or a name a line."),
]
Folder = Annotated[
    Path, Option("--output", "-o", metavar="DIR", help="Where the run is, or goes on.")
]
Strategy = Annotated[
    str | None,
    Option(
        help=f"{', '.join(STRATEGIES)}; default: {DEFAULT[False]}, or {DEFAULT[True]} of a "
        f"training.",
        autocompletion=one_of(*STRATEGIES),
    ),
]
Neighbors = Annotated[
    int | None,
    Option(metavar="N", min=0, help="Nearest concepts to retain too; default: the list's, else 8."),
]
Merge = Annotated[
    str | None,
    Option(
        "--merge",
        metavar="NAME",
        help=f"Of independent: {', '.join(METHODS)}; default: ties.",
        autocompletion=one_of(*METHODS),
    ),
]
MergeParam = Annotated[
    Strings,
    Option(
        "--merge-param",
        metavar="NAME=VALUE",
        help="Of --merge, as density=0.3; repeatable; default: its own.",
    ),
]
Scale = Annotated[
    str | None,
    Option("--scale", metavar="X", help="Of --merge: a factor, or auto; default: 1."),
]
Keep = Annotated[
    str,
    Option(
        help="Checkpoints that stay: last, all.",
        autocompletion=one_of("last", "all"),
    ),
]
Evaluate = Annotated[
    bool, Option("--eval", help="Score the base, and the result of every request.")
]
EvalAt = Annotated[
    str | None,
    Option(metavar="N,N,...", help="Score after these requests only; default: see --eval."),
]
Budget = Annotated[
    float | None,
    Option("--max-drift", metavar="X", help="Largest drift from BASE; default: any."),
]
OnDrift = Annotated[
    str,
    Option(
        help="Beyond --max-drift: stop, or retry, held tighter.",
        autocompletion=one_of("stop", "retry"),
    ),
]

"""Options that `ckptedit continual` alone has, as types."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from ckptedit.cli.options import one_of
from ckptedit.continual.strategies import DEFAULT, STRATEGIES

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

"""`ckptedit verify`: whether a file is what its ledger says."""

from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from ckptedit.cli.options import Json, Quiet
from ckptedit.cli.output import as_json
from ckptedit.cli.progress import progress

if TYPE_CHECKING:
    from ckptedit.deltas.verification import Verdict


def verify(
    edited: Annotated[
        str, Argument(metavar="EDITED", help="An edited checkpoint, or a delta; - is stdin.")
    ],
    parent: Annotated[
        str,
        Option("--parent", metavar="P", help="What it was made from, any number of edits ago."),
    ],
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check that a file is its parent but for what its ledger names.

    The parent is the one recorded; every tensor that the ledger does not name
    has the parent's bytes; digests in the metadata are those of the data. A
    delta must fit its base and give what it names. The ledger itself may be
    anybody's claim: for who wrote a file there are signatures.

    Exit status: 0 verified; 1 not, and each claim that failed is named; 2 a
    file cannot be read.

    Example: ckptedit verify edited.safetensors --parent base.safetensors
    """
    from ckptedit.deltas.verification import verify as run

    with progress(quiet) as track:
        verdict = run(edited, parent, track=track)
    typer.echo(as_json(verdict.as_dict()) if json else table(verdict))
    raise typer.Exit(0 if verdict.verified else 1)


def table(verdict: "Verdict") -> str:
    """A line for each claim, and one for them all."""
    rows = [
        f"{'ok' if claim.holds else 'FAILED':<8}{claim.claim:<11}{claim.detail}"
        for claim in verdict.claims
    ]
    failed = [claim.claim for claim in verdict.claims if not claim.holds]
    end = f"not verified: {', '.join(failed)}" if failed else "verified"
    return "\n".join([*rows, end])

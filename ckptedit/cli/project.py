"""`ckptedit project`: what a concept looks like to a checkpoint's text encoder."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

from ckptedit.cli.options import Ckpt, Concepts, Force, Json, Quiet, Tokenizer, one_of
from ckptedit.cli.output import as_json, print_tables
from ckptedit.cli.progress import LOADING, progress

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ckptedit.subspaces import Subspace

SHOWN = 8  # directions and angles in the table; --json has all


def project(
    ckpt: Ckpt,
    concept: Concepts,
    neighbors: Annotated[int, Option(metavar="N", min=0, help="Nearest concepts to list.")] = 10,
    tokens: Annotated[
        str, Option(help="concept, or all: padding too.", autocompletion=one_of("concept", "all"))
    ] = "concept",
    energy: Annotated[
        float | None, Option(metavar="X", help="Keep this share of it, 0..1; default: all.")
    ] = None,
    rank: Annotated[
        int | None,
        Option(metavar="N", help="Keep at most this many directions; default: all."),
    ] = None,
    against: Annotated[
        str | None,
        Option(metavar="PATH", help="A subspace to print the angles to; default: none."),
    ] = None,
    tokenizer: Tokenizer = None,
    output: Annotated[
        str | None,
        Option(
            "--output", "-o", metavar="PATH", help="Write the basis; - is stdout; default: none."
        ),
    ] = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find what is near a concept, and the subspace that it spans.

    The subspace is that of its text embeddings, by the checkpoint's own encoder. With -o, writes it
    as safetensors, the tensor "basis" [rank, dim] with orthonormal rows, and prints the path.

    Example: ckptedit project base.safetensors --concept "Van Gogh" -o van-gogh.safetensors
    """
    from ckptedit.concepts.lists import listed
    from ckptedit.files import Checkpoint, check_output

    opened = Checkpoint(ckpt)
    other = None if against is None else Checkpoint(against)
    if output is not None:
        inputs = [opened] if other is None else [opened, other]
        check_output(output, inputs, force=force)

    with progress(quiet) as track:
        track.begin(LOADING)
        from ckptedit import subspaces

        basis = None if other is None else subspaces.read_basis(other)
        cut = subspaces.Cut(rank=rank, energy=energy)
        concepts = listed(concept)
        found = subspaces.project(
            opened, concepts, neighbors=neighbors, tokens=tokens, cut=cut, tokenizer=tokenizer
        )
    angles = None if basis is None else subspaces.angles_between(found.basis, basis)
    if output is not None:
        subspaces.save_subspace(found, output, force=force)
    show(found, angles, output, json)


def show(found: "Subspace", angles: list[float] | None, output: str | None, json: bool) -> None:
    """Prints the report, the path or the table; nothing where the basis itself went to stdout."""
    if output == "-":
        return
    if json:
        typer.echo(as_json(as_report(found, angles, output)))
    elif output is not None:
        typer.echo(output)
    else:
        print_tables(tables(found, angles))


def tables(found: "Subspace", angles: list[float] | None) -> "Iterable[RenderableType]":
    """Rank, strongest directions, neighbours, angles."""
    from rich.text import Text

    from ckptedit.files import escape

    names = escape(", ".join(found.concepts))
    strongest = " ".join(f"{share:.1%}" for share in found.energies[:SHOWN])
    yield Text(f"{names}: rank {found.rank} of {found.dim}, from {found.tokens} tokens")
    yield Text(f"energy along the first directions: {strongest}")
    if angles is not None:
        smallest = " ".join(f"{angle:.1f}°" for angle in angles[:SHOWN])
        yield Text(f"principal angles, smallest first: {smallest}")
    for neighbor in found.neighbors:
        yield Text(f"{neighbor.cosine:6.3f}  {escape(neighbor.concept)}")


def as_report(found: "Subspace", angles: list[float] | None, output: str | None) -> dict[str, Any]:
    """The figures under their stable names."""
    report: dict[str, Any] = {
        "concepts": list(found.concepts),
        "tokens": found.tokens,
        "family": found.family,
        "rank": found.rank,
        "dim": found.dim,
        "energies": found.energies,
        "neighbors": [{"concept": n.concept, "cosine": n.cosine} for n in found.neighbors],
    }
    if angles is not None:
        report["angles_degrees"] = angles
    if output is not None:
        report["output"] = output
    return report

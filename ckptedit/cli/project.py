"""`ckptedit project`: what a concept looks like to a checkpoint's text encoder."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ckptedit.cli.output import as_json, print_tables

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ckptedit.subspaces import Subspace

SHOWN = 8  # directions and angles in the table; --json has all


def project(
    ckpt: Annotated[str, typer.Argument(help="A .safetensors file, folder, or - (stdin).")],
    concept: Annotated[list[str], typer.Option(help="As it occurs in prompts; repeatable.")],
    neighbors: Annotated[int, typer.Option(min=0, help="Nearest concepts to list.")] = 10,
    tokens: Annotated[str, typer.Option(help="concept, or all: padding too.")] = "concept",
    energy: Annotated[float | None, typer.Option(help="Keep this share of it, 0..1.")] = None,
    rank: Annotated[int | None, typer.Option(help="Keep at most this many directions.")] = None,
    against: Annotated[
        str | None, typer.Option(help="Another subspace file: print the angles to it.")
    ] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(help="Folder or file, where none ships with the tool.")
    ] = None,
    output: Annotated[str | None, typer.Option("-o", "--output", help="Write the basis.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the output.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
) -> None:
    """Build the subspace of a concept's text embeddings, and find its nearest neighbours.

    With -o, writes it as safetensors, the tensor "basis" [rank, dim] with orthonormal rows, and
    prints the path.

    Example: ckptedit project base.safetensors --concept "Van Gogh" -o van-gogh.safetensors
    """
    from ckptedit.files import Checkpoint, check_output

    opened = Checkpoint(ckpt)
    other = None if against is None else Checkpoint(against)
    if output is not None:
        inputs = [opened] if other is None else [opened, other]
        check_output(output, inputs, force=force)

    from ckptedit import subspaces

    basis = None if other is None else subspaces.read_basis(other)
    cut = subspaces.Cut(rank=rank, energy=energy)
    found = subspaces.project(
        opened, concept, neighbors=neighbors, tokens=tokens, cut=cut, tokenizer=tokenizer
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

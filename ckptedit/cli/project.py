"""`ckptedit project`: what a concept looks like to a checkpoint's text encoder."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

from ckptedit.cli.options import (
    AllowDownload,
    Ckpt,
    ClipSkip,
    Concepts,
    Embeddings,
    EncoderFolder,
    Force,
    Json,
    ListPrompts,
    Quiet,
    Strings,
    Tokenizer,
    one_of,
)
from ckptedit.cli.output import as_json, print_and_end
from ckptedit.cli.progress import LOADING, progress
from ckptedit.cli.words import as_fact, require_alone, require_own_words, words_of

if TYPE_CHECKING:
    from ckptedit.families.vocabulary import Vocabulary
    from ckptedit.subspaces import Subspace

SHOWN = 8  # directions and angles in the table; --json has all


def project(
    ckpt: Ckpt,
    concept: Concepts,
    within: Annotated[
        Strings,
        Option(
            metavar="NAME",
            help="Only what it shares with this, a name or file; repeatable; default: all.",
        ),
    ] = None,
    minus: Annotated[
        Strings,
        Option(metavar="NAME", help="And has not of this; repeatable; default: nothing."),
    ] = None,
    against: Annotated[
        Strings,
        Option(metavar="NAME", help="Print the angles to this; repeatable; default: none."),
    ] = None,
    neighbors: Annotated[int, Option(metavar="N", min=0, help="Nearest concepts to list.")] = 10,
    among: Annotated[
        str,
        Option(
            metavar="WHICH",
            help="Of the lexicon, the tokenizer's vocabulary, or @file of names.",
            autocompletion=one_of("lexicon", "vocabulary"),
        ),
    ] = "lexicon",
    tokens: Annotated[
        str,
        Option(
            help="concept, all: padding too, eos, or pooled: the mean of the concept's.",
            autocompletion=one_of("concept", "all", "eos", "pooled"),
        ),
    ] = "concept",
    energy: Annotated[
        float | None, Option(metavar="X", help="Keep this share of it, 0..1; default: all.")
    ] = None,
    rank: Annotated[
        int | None,
        Option(metavar="N", help="Keep at most this many directions; default: all."),
    ] = None,
    center: Annotated[bool, Option("--center", help="Take the mean of the tokens off.")] = False,
    tolerance: Annotated[
        float, Option(metavar="DEG", help="Degrees up to which two directions are one.")
    ] = 1.0,
    tokenizer: Tokenizer = None,
    clip_skip: ClipSkip = None,
    allow_download: AllowDownload = False,
    text_encoder: EncoderFolder = None,
    embeddings: Embeddings = None,
    list_prompts: ListPrompts = False,
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

    The subspace is that of its text embeddings, by the checkpoint's own encoder; of several
    --concept, their union. The file of a subspace (x.safetensors, ./x) may stand for a name
    anywhere. With -o, writes it as safetensors, the tensor "basis" [rank, dim] with orthonormal
    rows, and prints the path; `erase --basis` protects it, `diff --along` measures drift in it.

    Example: ckptedit project base.safetensors --concept "Van Gogh" -o van-gogh.safetensors
    """
    from ckptedit.concepts.lists import listed
    from ckptedit.files import Checkpoint, check_output
    from ckptedit.subspaces.basis import parts

    require_alone(list_prompts, json=json, output=output)
    require_own_words(
        text_encoder, embeddings, clip_skip=clip_skip, tokenizer=tokenizer,
        allow_download=allow_download,
    )  # fmt: skip
    opened = Checkpoint(ckpt)
    of = {
        name: parts(listed(words))
        for name, words in {
            "concepts": concept, "within": within, "minus": minus, "against": against,
        }.items()
    }  # fmt: skip
    if output is not None:
        files = [part for each in of.values() for part in each if isinstance(part, Checkpoint)]
        check_output(output, [opened, *files], force=force)
    words = None
    if embeddings is None and text_encoder is None and not list_prompts:
        words = words_of(opened, tokenizer, download=allow_download, quiet=quiet)

    with progress(quiet) as track:
        track.begin(LOADING)
        from ckptedit.subspaces.project import project as run
        from ckptedit.subspaces.project import prompts_needed, save_subspace
        from ckptedit.subspaces.span import Cut

        how: dict[str, Any] = {
            "neighbors": neighbors, "among": listed([among]) if among[:1] == "@" else among,
            "tokens": tokens, "cut": Cut(rank, energy), "center": center, "tolerance": tolerance,
            "embeddings": embeddings, **of,
        }  # fmt: skip
        if list_prompts:
            print_and_end(prompts_needed(opened, **how), track)
        found = run(
            opened, tokenizer=words, clip_skip=clip_skip, text_encoder=text_encoder, track=track,
            **how,
        )  # fmt: skip
    if output is not None:
        save_subspace(found, output, force=force)
    show(found, output, json, words)


def show(
    found: "Subspace", output: str | None, json: bool, words: "Vocabulary | None" = None
) -> None:
    """Prints the report, the path or the table; nothing where the basis itself went to stdout."""
    if output == "-":
        return
    if json:
        typer.echo(as_json(as_report(found, output) | {"tokenizer": as_fact(words)}))
    elif output is not None:
        typer.echo(output)
    else:
        typer.echo("\n".join(lines(found)))


def lines(found: "Subspace") -> Iterator[str]:
    """Rank, strongest directions, angles, neighbours."""
    from ckptedit.files import escape

    of = [escape(", ".join(found.concepts)) or "what the file holds"]
    of += [f"within {escape(name)}" for name in found.within]
    of += [f"minus {escape(name)}" for name in found.minus]
    mean = ", their mean taken off" if found.center else ""
    strongest = " ".join(f"{share:.1%}" for share in found.energies[:SHOWN])
    yield f"{' '.join(of)}: rank {found.rank} of {found.dim}, from {found.tokens} tokens{mean}"
    yield f"energy along the first directions: {strongest}"
    if found.angles is not None:
        smallest = " ".join(f"{angle:.1f}°" for angle in found.angles[:SHOWN])
        yield f"principal angles, smallest first: {smallest}"
    if found.neighbors:
        yield "cosine  angle  shared  neighbor"
    for near in found.neighbors:
        figures = f"{near.cosine:6.3f} {near.angle:5.1f}° {near.shared:7.1%}"
        yield f"{figures}  {escape(near.concept)}"


def as_report(found: "Subspace", output: str | None) -> dict[str, Any]:
    """The figures under their stable names."""
    report: dict[str, Any] = {
        "concepts": list(found.concepts),
        "within": list(found.within),
        "minus": list(found.minus),
        "tokens": found.tokens,
        "center": found.center,
        "family": found.family,
        "rank": found.rank,
        "dim": found.dim,
        "energies": found.energies,
        "neighbors": [
            {
                "concept": near.concept,
                "cosine": near.cosine,
                "angle_degrees": near.angle,
                "shared": near.shared,
            }
            for near in found.neighbors
        ],
    }
    if found.angles is not None:
        report["angles_degrees"] = found.angles
    if output is not None:
        report["output"] = output
    return report

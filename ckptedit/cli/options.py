"""Options and arguments that more than one command has: spelled and explained once.

Each is a type; the command gives it a name and a default, `force: Force = False`. A default of None
stands for what the help says, and the library knows it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

Strings = list[str] | None


def one_of(*names: str) -> Callable[[str], list[str]]:
    """Completion of an option that takes one of these."""
    return lambda incomplete: [name for name in names if name.startswith(incomplete)]


# what is read

Ckpt = Annotated[
    str, Argument(metavar="CKPT", help="A .safetensors file, index, folder; - is stdin.")
]
Base = Annotated[
    str, Argument(metavar="BASE", help="Checkpoint that the edits were made from; - is stdin.")
]
Concepts = Annotated[
    list[str],
    Option(
        "--concept", metavar="NAME", help="As it occurs in prompts, or @file of names; repeatable."
    ),
]
Alias = Annotated[
    Strings,
    Option(
        "--alias",
        metavar="NAME",
        help="Another name of it, or @file; repeatable; default: none.",
    ),
]
Keys = Annotated[
    Strings,
    Option(
        "--keys",
        metavar="GLOB",
        help="Only these tensors, as '**.attn2.**'; !GLOB takes away; repeatable; default: all.",
    ),
]
Tokenizer = Annotated[
    Path | None,
    Option(
        "--tokenizer",
        metavar="PATH",
        help="Tokenizer's folder or file; default: the checkpoint's, or one on this machine.",
    ),
]
AllowDownload = Annotated[
    bool, Option("--allow-download", help="Of CLIP's tokenizer, if there is none here.")
]
ClipSkip = Annotated[
    int | None,
    Option(
        "--clip-skip",
        metavar="N",
        min=1,
        help="Layer of the text encoder to read; 1 is the last; default: the family's.",
    ),
]
Embeddings = Annotated[
    str | None,
    Option(
        "--embeddings",
        metavar="FILE",
        help="Of prompts, made elsewhere: tensors [n, d] named by their prompts; default: none.",
    ),
]
EncoderFolder = Annotated[
    Path | None,
    Option(
        "--text-encoder",
        metavar="DIR",
        help="Of a file that holds none: its folder, or its pipeline's; default: the file's own.",
    ),
]
ListPrompts = Annotated[
    bool,
    Option(
        "--list-prompts",
        help="Print the prompts that --embeddings lacks (all, without), and write nothing.",
    ),
]

# how it is done

Param = Annotated[
    Strings,
    Option(
        "--param",
        "-p",
        metavar="NAME=VALUE",
        help="Of the method or a guard (a wrong NAME lists them); repeatable; default: theirs.",
    ),
]
Seed = Annotated[
    int | None,
    Option("--seed", metavar="N", help="Of all that is random; default: 0."),
]
SolverSteps = Annotated[
    int, Option("--steps", metavar="N", min=1, help="Solver steps per picture.")
]
Device = Annotated[
    str,
    Option(
        "--device",
        help="auto, cpu, cuda, cuda:N, mps.",
        autocompletion=one_of("auto", "cpu", "cuda", "mps"),
    ),
]
Prediction = Annotated[
    str,
    Option(
        "--prediction",
        help="What the UNet puts out: epsilon, v_prediction; auto: as it says.",
        autocompletion=one_of("auto", "epsilon", "v_prediction"),
    ),
]
Threads = Annotated[
    int, Option("--threads", "-j", metavar="N", help="Of the processor; the same result.")
]
DryRun = Annotated[bool, Option("--dry-run", "-n", help="Only check and say; write nothing.")]

# what is written

Output = Annotated[
    str | None,
    Option(
        "--output",
        "-o",
        metavar="PATH",
        help="What to write, - is stdout; default: <stem>.<command>.safetensors here.",
    ),
]
Exact = Annotated[
    bool,
    Option("--exact", help="The delta restores every bit, by larger forms where needed."),
]
Force = Annotated[bool, Option("--force", help="Replace outputs that exist.")]
InPlace = Annotated[bool, Option("--in-place", help="Allow an input as the output.")]
Json = Annotated[bool, Option("--json", help="Print one JSON object.")]
Quiet = Annotated[bool, Option("--quiet", "-q", help="No progress, no notes.")]

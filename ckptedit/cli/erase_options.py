"""Options that `ckptedit erase` alone has, as types; the command gives each its name and default.

A default of None stands for what the help says, and the library knows it.
"""

from pathlib import Path
from typing import Annotated

from typer import Option

from ckptedit import guards
from ckptedit.cli.erase_methods import list_methods
from ckptedit.cli.options import Strings, one_of
from ckptedit.erasure import closed_forms, objectives
from ckptedit.erasure.closed_forms import CLOSED_FORMS
from ckptedit.erasure.objectives import OBJECTIVES
from ckptedit.guards import GUARDS

NONE = "none"  # --guard none: nothing restrains the edit

# what is to go, and what stays

Kind = Annotated[
    str, Option(help="style, object or auto.", autocompletion=one_of("auto", "style", "object"))
]
Anchor = Annotated[
    str,
    Option(metavar="NAME", help="What to draw instead; default: a photo, the nearest object."),
]
Retain = Annotated[
    Strings,
    Option(
        metavar="NAME",
        help="What must stay, or @file of names; repeatable; default: the neighbors.",
    ),
]
Neighbors = Annotated[int, Option(metavar="N", min=0, help="Nearest concepts to retain too.")]
Lexicon = Annotated[
    Path | None,
    Option(
        metavar="PATH",
        help="Your concepts, [style] and [object] lines; default: the tool's.",
    ),
]
ExactName = Annotated[
    bool,
    Option("--exact-name", help="Names are meant as they are written, whatever is known."),
]
Original = Annotated[
    str | None,
    Option(
        "--from-original",
        metavar="PATH",
        help="The checkpoint before all edits: for guards that compare with it; a closed form "
        "erases all targets so far anew from there; default: none.",
    ),
]

# by which method

Method = Annotated[
    str | None,
    Option(
        "--method",
        "-m",
        help=f"{', '.join(OBJECTIVES)}: trained; {', '.join(CLOSED_FORMS)}: closed forms; "
        f"default: {closed_forms.DEFAULT}, or {objectives.DEFAULT} with a training's options.",
        autocompletion=one_of(*OBJECTIVES, *CLOSED_FORMS),
    ),
]
ListMethods = Annotated[
    bool,
    Option(
        "--list-methods",
        help="Print every method and guard with its parameters.",
        is_eager=True,
        callback=list_methods,
    ),
]
Params = Annotated[
    str | None,
    Option(
        "--params",
        metavar="k|v|kv|te",
        help="Which weights to edit; default: the method's own.",
        autocompletion=one_of("kv", "k", "v", "te"),
    ),
]
Basis = Annotated[
    str | None,
    Option(metavar="PATH", help="A subspace that nothing may move; default: none."),
]

# of a closed form

MinErase = Annotated[
    float | None,
    Option(
        metavar="X",
        help="Of a closed form: the share to erase, 0 to 1, and no more; default: all it does.",
    ),
]
MaxDrift = Annotated[
    float | None,
    Option(metavar="X", help="Of a closed form: scale it down to this drift; default: any."),
]

Private = Annotated[
    bool,
    Option("--private-concepts", help="The ledger gets salted hashes instead of names."),
]
Earlier = Annotated[
    Strings,
    Option(
        metavar="NAME",
        help="What the ledger hides so: its targets, or @file; repeatable; default: none hidden.",
    ),
]

# of a training

Init = Annotated[
    str | None,
    Option(
        metavar="NAME",
        help="A closed form to start a training from; default: none.",
        autocompletion=one_of(*CLOSED_FORMS),
    ),
]
Guard = Annotated[
    Strings,
    Option(
        metavar="NAME",
        help=f"{', '.join(GUARDS)}, none; repeatable; default: "
        f"{', '.join(guards.DEFAULT)} (of a training).",
        autocompletion=one_of(*GUARDS, NONE),
    ),
]
Protected = Annotated[
    str | None,
    Option(
        help="What gradproj:hard protects: all, concept; default: all.",
        autocompletion=one_of("all", "concept"),
    ),
]
Steps = Annotated[int | None, Option(metavar="N", help="Training steps; default: 150.")]
Rate = Annotated[float | None, Option(metavar="X", help="Learning rate of Adam; default: 0.0005.")]
Clip = Annotated[
    float | None, Option(metavar="X", help="Largest norm of a step's gradient; default: any.")
]
Batch = Annotated[
    int | None, Option(metavar="N", help="Moments of denoising in a step; default: 16.")
]
Pictures = Annotated[
    int | None, Option(metavar="N", help="Drawn to train on, of each sort; default: 40.")
]
Vram = Annotated[
    str | None,
    Option(
        metavar="SIZE",
        help="Memory of the device to cut a training to, as 8G; default: what is free.",
    ),
]
Compile = Annotated[
    bool, Option("--compile", help="Compile the UNet first: minutes, for a long training.")
]
Resume = Annotated[bool, Option("--resume", help="Go on where the same training was interrupted.")]

# how it is done and written

Threads = Annotated[
    int | None,
    Option(metavar="N", min=1, help="Of the processor; default: by the model's size."),
]
Delta = Annotated[
    bool, Option("--delta", help="Write only what changed: <stem>.erase.delta.safetensors.")
]

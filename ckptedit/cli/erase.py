"""`ckptedit erase`: makes a checkpoint forget a concept."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

from ckptedit import guards
from ckptedit.cli.erase_methods import list_methods
from ckptedit.cli.erase_report import announced, as_plan, as_report, summary
from ckptedit.cli.options import (
    Ckpt,
    Concepts,
    Device,
    DryRun,
    Force,
    InPlace,
    Json,
    Output,
    Param,
    Prediction,
    Quiet,
    Seed,
    Strings,
    Tokenizer,
    one_of,
)
from ckptedit.cli.output import as_json, default_output, say
from ckptedit.cli.progress import LOADING, Progress, progress
from ckptedit.erasure import closed_forms, objectives
from ckptedit.erasure.closed_forms import CLOSED_FORMS
from ckptedit.erasure.objectives import OBJECTIVES
from ckptedit.errors import BadParam
from ckptedit.guards import GUARDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckptedit.erasure.outlook import Outlook

    Tell = Callable[[Outlook], None]

NONE = "none"  # --guard none: nothing restrains the edit


def erase(
    ckpt: Ckpt,
    concept: Concepts,
    kind: Annotated[
        str, Option(help="style, object or auto.", autocompletion=one_of("auto", "style", "object"))
    ] = "auto",
    anchor: Annotated[
        str,
        Option(metavar="NAME", help="What to draw instead; default: a photo, the nearest object."),
    ] = "",
    retain: Annotated[
        Strings,
        Option(
            metavar="NAME",
            help="What must stay, or @file of names; repeatable; default: the neighbors.",
        ),
    ] = None,
    neighbors: Annotated[
        int, Option(metavar="N", min=0, help="Nearest concepts to retain too.")
    ] = 8,
    lexicon: Annotated[
        Path | None,
        Option(
            metavar="PATH",
            help="Your concepts, [style] and [object] lines; default: the tool's.",
        ),
    ] = None,
    exact_name: Annotated[
        bool,
        Option("--exact-name", help="Names are meant as they are written, whatever is known."),
    ] = False,
    method: Annotated[
        str | None,
        Option(
            "--method",
            "-m",
            help=f"{', '.join(OBJECTIVES)}: trained; {', '.join(CLOSED_FORMS)}: closed forms; "
            f"default: {closed_forms.DEFAULT}, or {objectives.DEFAULT} with a training's options.",
            autocompletion=one_of(*OBJECTIVES, *CLOSED_FORMS),
        ),
    ] = None,
    params: Annotated[
        str | None,
        Option(
            "--params",
            metavar="k|v|kv|te",
            help="Which weights to edit; default: the method's own.",
            autocompletion=one_of("kv", "k", "v", "te"),
        ),
    ] = None,
    init: Annotated[
        str | None,
        Option(
            metavar="NAME",
            help="A closed form to start a training from; default: none.",
            autocompletion=one_of(*CLOSED_FORMS),
        ),
    ] = None,
    guard: Annotated[
        Strings,
        Option(
            metavar="NAME",
            help=f"{', '.join(GUARDS)}, none; repeatable; default: "
            f"{', '.join(guards.DEFAULT)} (of a training).",
            autocompletion=one_of(*GUARDS, NONE),
        ),
    ] = None,
    basis: Annotated[
        str | None,
        Option(metavar="PATH", help="A subspace that nothing may move; default: none."),
    ] = None,
    param: Param = None,
    tokens: Annotated[
        str | None,
        Option(
            help="What gradproj:hard protects: all, concept; default: all.",
            autocompletion=one_of("all", "concept"),
        ),
    ] = None,
    steps: Annotated[int | None, Option(metavar="N", help="Training steps; default: 150.")] = None,
    lr: Annotated[
        float | None, Option(metavar="X", help="Learning rate of Adam; default: 0.0005.")
    ] = None,
    clip: Annotated[
        float | None, Option(metavar="X", help="Largest norm of a step's gradient; default: any.")
    ] = None,
    batch: Annotated[
        int | None, Option(metavar="N", help="Moments of denoising in a step; default: 16.")
    ] = None,
    pictures: Annotated[
        int | None, Option(metavar="N", help="Drawn to train on, of each sort; default: 40.")
    ] = None,
    original: Annotated[
        str | None,
        Option(
            "--from-original",
            metavar="PATH",
            help="The checkpoint before all edits: for guards that compare with it; a closed form "
            "erases all targets so far anew from there; default: none.",
        ),
    ] = None,
    min_erase: Annotated[
        float | None,
        Option(
            metavar="X",
            help="Of a closed form: the share to erase, 0 to 1, and no more; default: all it does.",
        ),
    ] = None,
    max_drift: Annotated[
        float | None,
        Option(metavar="X", help="Of a closed form: scale it down to this drift; default: any."),
    ] = None,
    seed: Seed = None,
    threads: Annotated[
        int | None,
        Option(metavar="N", min=1, help="Of the processor; default: by the model's size."),
    ] = None,
    list_methods: Annotated[
        bool,
        Option(
            "--list-methods",
            help="Print every method and guard with its parameters.",
            is_eager=True,
            callback=list_methods,
        ),
    ] = False,
    resume: Annotated[
        bool, Option("--resume", help="Go on where the same training was interrupted.")
    ] = False,
    prediction: Prediction = "auto",
    device: Device = "auto",
    output: Output = None,
    tokenizer: Tokenizer = None,
    delta: Annotated[
        bool, Option("--delta", help="Write only what changed: <stem>.erase.delta.safetensors.")
    ] = False,
    force: Force = False,
    in_place: InPlace = False,
    dry_run: DryRun = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a checkpoint forget a concept, and keep its neighbours.

    Moves the cross-attention keys and values so that the concept's prompts draw the anchor: in
    closed form, in seconds; or trained, under guards, where --method, --guard or --steps say so.
    Several --concept are erased together. Prints the path written.

    Example: ckptedit erase base.safetensors --concept "Van Gogh" -o edited.safetensors
    """
    from ckptedit.concepts.lists import listed
    from ckptedit.concepts.wish import Wish
    from ckptedit.erasure.checks import look_over, usual_method
    from ckptedit.files import Checkpoint, check_output

    target = output or default_target(ckpt, delta)
    if json and target == "-":
        raise BadParam("--json and -o - both want stdout")
    opened, concepts = Checkpoint(ckpt), listed(concept)
    before = Checkpoint(original) if original else None
    may: dict[str, Any] = {"force": force, "in_place": in_place}
    wish: dict[str, Any] = {
        "kind": kind, "anchor": anchor, "retain": listed(retain), "neighbors": neighbors,
        "lexicon": lexicon, "exact_name": exact_name,
    }  # fmt: skip
    given = {
        "roles": params, "init": init, "steps": steps, "lr": lr, "clip": clip, "batch": batch,
        "pictures": pictures, "tokens": tokens, "min_erase": min_erase, "max_drift": max_drift,
        "seed": seed,
    }  # fmt: skip
    if method is None:
        numbers = (init, steps, lr, clip, batch, pictures, tokens)
        training = bool(guard) or any(value is not None for value in numbers)
        method = usual_method(training=training)
    held = None if basis is None else Checkpoint(basis)
    inputs = [opened, *([before] if before else [])]
    check_output(target, inputs, **may)  # before torch is imported: a mistake shows at once
    look_over(opened, Wish(concepts, **wish), method=method, prediction=prediction, basis=held)

    with progress(quiet) as track:
        track.begin(LOADING)
        from ckptedit.erasure.erase import erase as run

        erasure = run(
            opened, concepts, target, basis=held, original=before, device=device,
            threads=threads, resume=resume, prediction=prediction, tokenizer=tokenizer,
            delta=delta, track=track,
            tell=teller(target, dry_run, json, track, quiet),
            **wish, **resolve(method, guard, param, **given), **may,
        )  # fmt: skip
    say(*summary(erasure), quiet=quiet)
    if target != "-":
        typer.echo(as_json(as_report(erasure, target)) if json else target)


def teller(target: str, dry_run: bool, json: bool, track: Progress, quiet: bool) -> "Tell | None":
    """What is done with the plan: said, or, in a dry run, printed, and that is all."""

    def say_all(outlook: "Outlook") -> None:
        for line in announced(outlook):
            track.say(line)

    def print_and_end(outlook: "Outlook") -> None:
        track.close()
        lines = announced(outlook)
        typer.echo(as_json(as_plan(outlook, target)) if json else "\n".join(lines))
        raise typer.Exit

    if dry_run:
        return print_and_end
    return None if quiet else say_all


def default_target(ckpt: str, delta: bool) -> str:
    """Where the output goes: a delta is one file, whatever the checkpoint is."""
    if not delta:
        return str(default_output(ckpt, "erase"))
    return str(default_output(ckpt, "erase.delta")).removesuffix(".safetensors") + ".safetensors"


def resolve(method: str, guard: Strings, param: Strings, **given: Any) -> dict[str, Any]:
    """What the user gave of method, guards, their parameters and numbers."""
    from ckptedit.erasure.options import TRAINING, Options, assigned
    from ckptedit.params import assignments

    if guard and NONE in guard and set(guard) != {NONE}:
        raise BadParam(f"--guard {NONE} means no guard at all; leave it out, or the others")
    guards = tuple(dict.fromkeys(name for name in guard if name != NONE)) if guard else None
    in_use = Options(method=method, guards=guards, init=given.get("init")).owners
    params = assigned(assignments(param or ()), in_use)
    known = {name: value for name, value in given.items() if value is not None}
    idle = [name for name in known if name in TRAINING and name != "init"]
    if idle and not Options(method=method).trained:
        raise BadParam(f"--{idle[0]} is of a training, and {method} is a closed form; leave it out")
    return {"method": method, "guards": guards, "params": params, **known}

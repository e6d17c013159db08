"""`ckptedit erase`: makes a checkpoint forget a concept."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from ckptedit.cli.company import speaks
from ckptedit.cli.erase_options import (
    NONE,
    Anchor,
    Basis,
    Batch,
    Clip,
    Compile,
    Delta,
    Earlier,
    ExactName,
    Guard,
    Init,
    Kind,
    Lexicon,
    ListMethods,
    MaxDrift,
    Method,
    MinErase,
    Neighbors,
    Original,
    Params,
    Pictures,
    Private,
    Protected,
    Rate,
    Resume,
    Retain,
    Steps,
    Threads,
    Vram,
)
from ckptedit.cli.erase_report import announced, as_plan, as_report, summary
from ckptedit.cli.options import (
    Alias,
    AllowDownload,
    Ckpt,
    ClipSkip,
    Concepts,
    Device,
    DryRun,
    Embeddings,
    EncoderFolder,
    Force,
    InPlace,
    Json,
    ListPrompts,
    Output,
    Param,
    Prediction,
    Quiet,
    Seed,
    Strings,
    Tokenizer,
)
from ckptedit.cli.output import as_json, default_output, print_and_end, say
from ckptedit.cli.progress import LOADING, Progress, progress
from ckptedit.cli.sizes import as_bytes
from ckptedit.cli.words import require_alone, require_own_words, words_of
from ckptedit.errors import BadParam

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckptedit.erasure.outlook import Outlook

    Tell = Callable[[Outlook], None]


def erase(
    ckpt: Ckpt,
    concept: Concepts,
    alias: Alias = None,
    kind: Kind = "auto",
    anchor: Anchor = "",
    retain: Retain = None,
    neighbors: Neighbors = 8,
    lexicon: Lexicon = None,
    exact_name: ExactName = False,
    private_concepts: Private = False,
    earlier: Earlier = None,
    method: Method = None,
    params: Params = None,
    init: Init = None,
    guard: Guard = None,
    basis: Basis = None,
    param: Param = None,
    tokens: Protected = None,
    steps: Steps = None,
    lr: Rate = None,
    clip: Clip = None,
    batch: Batch = None,
    pictures: Pictures = None,
    original: Original = None,
    min_erase: MinErase = None,
    max_drift: MaxDrift = None,
    seed: Seed = None,
    threads: Threads = None,
    list_methods: ListMethods = False,
    vram: Vram = None,
    compiled: Compile = False,
    resume: Resume = False,
    prediction: Prediction = "auto",
    device: Device = "auto",
    output: Output = None,
    tokenizer: Tokenizer = None,
    clip_skip: ClipSkip = None,
    allow_download: AllowDownload = False,
    text_encoder: EncoderFolder = None,
    embeddings: Embeddings = None,
    list_prompts: ListPrompts = False,
    delta: Delta = False,
    force: Force = False,
    in_place: InPlace = False,
    dry_run: DryRun = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a checkpoint forget a concept, and keep its neighbours.

    Moves the cross-attention keys and values so that the concept's prompts draw the anchor: in
    closed form, in seconds; or trained, under guards, where --method, --guard or --steps say so.
    Several --concept are erased together. Prints the path written. A training may share its
    batches among processes: torchrun --nproc-per-node 2 -m ckptedit erase ...

    Example: ckptedit erase base.safetensors --concept "Van Gogh" -o edited.safetensors
    """
    from ckptedit.concepts.lists import listed
    from ckptedit.concepts.wish import Wish
    from ckptedit.erasure.checks import look_over, usual_method
    from ckptedit.files import Checkpoint, check_output

    quiet = quiet or not speaks()
    target = output or default_target(ckpt, delta)
    if json and target == "-":
        raise BadParam("--json and -o - both want stdout")
    require_alone(list_prompts, json=json, output=output)
    require_own_words(
        text_encoder, embeddings, clip_skip=clip_skip, tokenizer=tokenizer,
        allow_download=allow_download,
    )  # fmt: skip
    wish: dict[str, Any] = {
        "concepts": listed(concept), "kind": kind, "anchor": anchor, "retain": listed(retain),
        "neighbors": neighbors, "lexicon": lexicon, "exact_name": exact_name,
        "earlier": listed(earlier),
    }  # fmt: skip
    given = said(
        roles=params, init=init, guards=guard, tokens=tokens, steps=steps, lr=lr, clip=clip,
        batch=batch, pictures=pictures, min_erase=min_erase, max_drift=max_drift, seed=seed,
    )  # fmt: skip
    method = usual_method(given) if method is None else method
    opened = Checkpoint(ckpt)
    before, held = (None if path is None else Checkpoint(path) for path in (original, basis))
    inputs = [opened, *([before] if before else [])]
    check_output(target, inputs, force=force, in_place=in_place)  # before torch: shows at once
    look_over(opened, Wish(**wish), method=method, prediction=prediction, basis=held)
    words = None
    if embeddings is None and text_encoder is None and not list_prompts:
        words = words_of(opened, tokenizer, download=allow_download, quiet=quiet)
    how: dict[str, Any] = {
        "basis": held, "original": before, "embeddings": embeddings, "aliases": listed(alias),
        **wish,
        **resolve(method, param, given,
                  said(vram=vram, compile=compiled or None, resume=resume or None)),
    }  # fmt: skip
    with progress(quiet) as track:
        track.begin(LOADING)
        if list_prompts:
            from ckptedit.erasure.needed import prompts_needed

            print_and_end(prompts_needed(opened, **how), track)
        from ckptedit.erasure.erase import erase as run

        erasure = run(
            opened, output=target, device=device, threads=threads, prediction=prediction,
            tokenizer=words, clip_skip=clip_skip, text_encoder=text_encoder, delta=delta,
            force=force, in_place=in_place, resume=resume, track=track, compiled=compiled,
            private_concepts=private_concepts, vram=None if vram is None else as_bytes(vram),
            tell=teller(target, dry_run, json, track, quiet), **how,
        )  # fmt: skip
    say(*summary(erasure), quiet=quiet)
    if target != "-" and speaks():
        typer.echo(as_json(as_report(erasure, target)) if json else target)


def teller(target: str, dry_run: bool, json: bool, track: Progress, quiet: bool) -> "Tell | None":
    """What is done with the plan: said, or, in a dry run, printed, and that is all."""

    def say_all(outlook: "Outlook") -> None:
        for line in announced(outlook):
            track.say(line)

    def print_it(outlook: "Outlook") -> None:
        plan = [as_json(as_plan(outlook, target))] if json else announced(outlook)
        print_and_end(plan, track)

    if dry_run:
        return print_it
    return None if quiet else say_all


def default_target(ckpt: str, delta: bool) -> str:
    """Where the output goes: a delta is one file, whatever the checkpoint is."""
    if not delta:
        return str(default_output(ckpt, "erase"))
    return str(default_output(ckpt, "erase.delta")).removesuffix(".safetensors") + ".safetensors"


def said(**options: Any) -> dict[str, Any]:
    """Those that were given."""
    return {name: value for name, value in options.items() if value not in (None, [])}


def resolve(
    method: str, param: Strings, given: Mapping[str, Any], how: Iterable[str]
) -> dict[str, Any]:
    """The method, its options, and their parameters, as the library takes them.

    how: names of options that say how a training runs
    """
    from ckptedit.erasure.checks import TRAINING
    from ckptedit.erasure.options import Options, assigned
    from ckptedit.params import assignments

    found = dict(given)
    if "guards" in given:
        found["guards"] = unrestrained(given["guards"])
    in_use = Options(method=method, guards=found.get("guards"), init=given.get("init")).owners
    idle = [*(name for name in given if name in TRAINING and name != "init"), *how]
    if idle and not Options(method=method).trained:
        raise BadParam(f"--{idle[0]} is of a training, and {method} is a closed form; leave it out")
    return {"method": method, "params": assigned(assignments(param or ()), in_use), **found}


def unrestrained(guards: Sequence[str]) -> tuple[str, ...]:
    """Each guard once; none for `none`."""
    if NONE in guards and set(guards) != {NONE}:
        raise BadParam(f"--guard {NONE} means no guard at all; leave it out, or the others")
    return tuple(dict.fromkeys(name for name in guards if name != NONE))

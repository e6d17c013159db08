"""`ckptedit continual`: requests that arrive one after another."""

from typing import TYPE_CHECKING, Any

import typer

from ckptedit.cli.continual_options import (
    Budget,
    EvalAt,
    Evaluate,
    Folder,
    Keep,
    Merge,
    MergeParam,
    Neighbors,
    OnDrift,
    Requests,
    Scale,
    Strategy,
)
from ckptedit.cli.erase import said, unrestrained
from ckptedit.cli.erase_options import (
    Batch,
    Clip,
    Guard,
    Init,
    Lexicon,
    ListMethods,
    Method,
    Params,
    Pictures,
    Protected,
    Rate,
    Steps,
    Threads,
)
from ckptedit.cli.options import (
    AllowDownload,
    Base,
    ClipSkip,
    Device,
    Embeddings,
    EncoderFolder,
    Force,
    Json,
    ListPrompts,
    Param,
    Quiet,
    Seed,
    Tokenizer,
)
from ckptedit.cli.output import as_json, print_and_end, say
from ckptedit.cli.progress import LOADING, progress
from ckptedit.cli.words import require_alone, require_own_words, words_of
from ckptedit.errors import BadParam

if TYPE_CHECKING:
    from ckptedit.continual.run import Continual


def continual(
    base: Base,
    requests: Requests,
    output: Folder,
    strategy: Strategy = None,
    method: Method = None,
    params: Params = None,
    init: Init = None,
    guard: Guard = None,
    param: Param = None,
    tokens: Protected = None,
    steps: Steps = None,
    lr: Rate = None,
    clip: Clip = None,
    batch: Batch = None,
    pictures: Pictures = None,
    neighbors: Neighbors = None,
    lexicon: Lexicon = None,
    seed: Seed = None,
    merge: Merge = None,
    merge_param: MergeParam = None,
    scale: Scale = None,
    eval: Evaluate = False,
    eval_at: EvalAt = None,
    keep: Keep = "last",
    max_drift: Budget = None,
    on_drift: OnDrift = "stop",
    threads: Threads = None,
    list_methods: ListMethods = False,
    device: Device = "auto",
    tokenizer: Tokenizer = None,
    clip_skip: ClipSkip = None,
    allow_download: AllowDownload = False,
    text_encoder: EncoderFolder = None,
    embeddings: Embeddings = None,
    list_prompts: ListPrompts = False,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Erase what a list asks for, one request after another.

    A request may take an earlier one back. DIR gets the newest checkpoint, NNN.safetensors after
    request NNN, and a line of results.jsonl for every request: drift, what is left of every target
    so far, scores. The same command goes on where it was interrupted, and with requests that were
    added to the list. Prints the path of the newest checkpoint.

    Example: ckptedit continual base.safetensors requests.toml -o run
    """
    from ckptedit.continual.requests import read_requests
    from ckptedit.files import Checkpoint
    from ckptedit.params import assignments

    require_alone(list_prompts, json=json)
    require_own_words(
        text_encoder, embeddings, clip_skip=clip_skip, tokenizer=tokenizer,
        allow_download=allow_download,
    )  # fmt: skip
    asked, opened = read_requests(requests), Checkpoint(base)
    options = said(
        method=method, roles=params, init=init, tokens=tokens, steps=steps, lr=lr, clip=clip,
        batch=batch, pictures=pictures, lexicon=lexicon and str(lexicon), seed=seed,
        neighbors=neighbors,
    )  # fmt: skip
    options |= extra(guard, param)
    how: dict[str, Any] = {"strategy": strategy, "options": options, "embeddings": embeddings}
    words = None
    if embeddings is None and text_encoder is None and not list_prompts:
        words = words_of(opened, tokenizer, download=allow_download, quiet=quiet)
    with progress(quiet) as track:
        track.begin(LOADING)
        if list_prompts:
            from ckptedit.continual.needed import prompts_needed

            print_and_end(prompts_needed(opened, asked, **how), track)
        from ckptedit.continual.run import unlearn

        done = unlearn(
            opened, asked, output, merge=merge,
            merge_params=assignments(merge_param or ()), scale=factor(scale), keep=keep,
            eval=eval, eval_at=numbers(eval_at), max_drift=max_drift, on_drift=on_drift,
            device=device, threads=threads, tokenizer=words, clip_skip=clip_skip,
            text_encoder=text_encoder, force=force, tell=None if quiet else track.say, track=track,
            **how,
        )  # fmt: skip
    if json:
        typer.echo(as_json(as_report(done)))
    elif done.output:
        typer.echo(done.output)
    if done.stopped:
        say("error: " + beyond(done))
        raise typer.Exit(1)


def extra(guard: list[str] | None, param: list[str] | None) -> dict[str, Any]:
    """Guards and parameters, where they were given."""
    from ckptedit.params import assignments

    found: dict[str, Any] = {}
    if guard:
        found["guards"] = list(unrestrained(guard))
    if param:
        found["params"] = assignments(param)
    return found


def factor(text: str | None) -> float | str | None:
    """A number as one; a word is the strategy's to know."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


def numbers(text: str | None) -> list[int]:
    """ "1,6,12" """
    if text is None:
        return []
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise BadParam(f"--eval-at must be numbers with commas between them, not {text!r}")
    return [int(part) for part in parts]


def beyond(done: "Continual") -> str:
    """Why the run ended early."""
    line, tried = done.lines[-1], done.lines[-1]["budget"]["tried"]
    reached = line["drift"]["relative"]
    found = "no try erased enough" if reached is None else f"it reached {reached:.4f}"
    return (
        f"request {line['request']} does not keep --max-drift {line['budget']['limit']:g}: {found} "
        f"in {len(tried)} tries; raise the limit, and the run goes on, or take --on-drift retry"
    )


def as_report(done: "Continual") -> dict[str, Any]:
    """What came of the run, under stable names."""
    last = done.lines[-1] if done.lines else {}
    met = [line for line in done.lines if line["output"]]
    return {
        "output": done.output and str(done.output),
        "sha256": done.sha256,
        "folder": str(done.folder),
        "results": str(done.results),
        "requests": len(met),
        "erased": met[-1]["erased"] if met else [],
        "strategy": last.get("strategy"),
        "method": last.get("method"),
        "drift": met[-1]["drift"] if met else None,
        "verified": met[-1]["verified"] if met else [],
        "scores": met[-1]["scores"] if met else None,
        "stopped": done.stopped,
        "warnings": [warning for line in done.lines for warning in line["warnings"]],
    }

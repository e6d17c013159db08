"""Erasing concepts from a checkpoint: what stands behind `ckptedit erase`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ckptedit.concepts.lexicon import lexicon_of
from ckptedit.concepts.lists import one_or_more
from ckptedit.concepts.private import hides, require_told, salt_of
from ckptedit.concepts.targets import Target
from ckptedit.concepts.wish import Wish, aliases_of
from ckptedit.deltas import write_delta
from ckptedit.deltas.change import Dense, LowRank, patched
from ckptedit.diffusion.ranks import together
from ckptedit.erasure.anew import anew
from ckptedit.erasure.checks import usual_method
from ckptedit.erasure.job import Erasure, carry_out, prepare
from ckptedit.erasure.kv import KVWeights
from ckptedit.erasure.memory import FORGETFUL, Memory, OfFirst, OnDisk
from ckptedit.erasure.options import DEFAULTS, Options
from ckptedit.erasure.outlook import Outlook
from ckptedit.errors import BadParam, WriteFailed
from ckptedit.families import detect
from ckptedit.families.provenance import stamped
from ckptedit.families.vocabulary import Vocabulary
from ckptedit.files import Checkpoint, check_output, check_space, ledger, write_edited
from ckptedit.launch import launched
from ckptedit.progress import Track, silent
from ckptedit.subspaces.basis import read_basis
from ckptedit.text.encoder import TextEncoder
from ckptedit.text.outside import read_elsewhere


def erase(
    checkpoint: Checkpoint | str | Path,
    concepts: str | Sequence[str],
    output: str | Path | None = None,
    *,
    aliases: str | Sequence[str] = (),
    kind: str = "auto",
    anchor: str = "",
    retain: str | Sequence[str] = (),
    neighbors: int = 8,
    lexicon: str | Path | None = None,
    exact_name: bool = False,
    private_concepts: bool = False,
    earlier: str | Sequence[str] = (),
    again: Sequence[Target] = (),
    kept: str | Sequence[str] = (),
    method: str | None = None,
    roles: str | None = DEFAULTS.roles,
    init: str | None = DEFAULTS.init,
    guards: str | Sequence[str] | None = None,
    params: Mapping[str, Mapping[str, Any]] | None = None,
    basis: Checkpoint | str | Path | None = None,
    tokens: str = DEFAULTS.tokens,
    steps: int = DEFAULTS.steps,
    lr: float = DEFAULTS.lr,
    clip: float | None = DEFAULTS.clip,
    batch: int = DEFAULTS.batch,
    pictures: int = DEFAULTS.pictures,
    moments: int = DEFAULTS.moments,
    min_erase: float | None = DEFAULTS.min_erase,
    max_drift: float | None = DEFAULTS.max_drift,
    seed: int = DEFAULTS.seed,
    original: Checkpoint | str | Path | None = None,
    device: str = "auto",
    threads: int | None = None,
    prediction: str = "auto",
    tokenizer: str | Path | Vocabulary | None = None,
    clip_skip: int | None = None,
    embeddings: Checkpoint | str | Path | TextEncoder | None = None,
    text_encoder: str | Path | None = None,
    vram: int | None = None,
    compiled: bool = False,
    delta: bool = False,
    force: bool = False,
    in_place: bool = False,
    resume: bool = False,
    tell: Callable[[Outlook], None] | None = None,
    track: Track = silent,
) -> Erasure:
    """Erases concepts, and writes the edited checkpoint.

    checkpoint: an opened one, or its path
    concepts:   one or more, erased together
    output:     a file or folder; None: nothing is written, and `edits` of the result can be applied
    aliases:    other names of the one concept, erased as its kind; the ledger says what they are
    kind, anchor, retain, neighbors, lexicon, exact_name, earlier, again, kept: as in `Wish`
    private_concepts: the ledger gets salted hashes instead of names (`concepts/private.py`), as it
                does wherever it has some already
    roles, init, guards, params, tokens, steps, lr, clip, batch, pictures, moments, min_erase,
                max_drift, seed: as in `Options`
    method:     None: a training's if guards or options of one are given, else the closed form's
    original:   the checkpoint before all edits, where what is in use compares with it; a closed
                form erases all targets so far and the new ones together from there, so that nothing
                adds up, and no order matters
    basis:      the file of a subspace (`project`), which no edit may move
    device:     "auto", "cpu", "cuda", "cuda:N", "mps"
    threads:    of the processor, 1 or more; the same number gives the same bytes on one machine;
                None: as many as the model's size is worth
    prediction: what the UNet puts out: "epsilon", "v_prediction", or "auto"
    tokenizer:  a folder or file; default: what `find_vocabulary` finds
    clip_skip:  the layer of the text encoders to read, the last is 1; default: the family's
    embeddings, text_encoder: of families whose files hold no text encoder: prompts' embeddings in a
                file, each named by its prompt; or the folder of the encoder, or of its pipeline.
                `embeddings` may be an open encoder, which keeps what it read for the next erasure
    vram:       bytes of memory that a training is cut to, on a GPU or of the machine; None: what is
                free, and a small model is not cut at all; compiled: as in `open_model`
    delta:      writes what changed instead, as a delta file of the unrounded changes
    resume:     goes on where the same training was interrupted, if it was
    Where torchrun started several processes, they train together (`diffusion/ranks.py`): the first
    one writes, all return the same.
    tell:       called with what is about to be done, before the dear work; may raise to end it
    Raises CkptError for whatever the user can mend; then nothing is written.
    """
    opened = checkpoint if isinstance(checkpoint, Checkpoint) else Checkpoint(checkpoint)
    held = Checkpoint(basis) if isinstance(basis, str | Path) else basis
    before = Checkpoint(original) if isinstance(original, str | Path) else original
    if output is not None:
        inputs = [opened, *([before] if before else [])]
        check_output(output, inputs, force=force, in_place=in_place)
        if held is not None:
            check_output(output, [held], force=True)
        if not delta:
            check_space(output, opened.sizes)
    given: dict[str, Any] = {
        "roles": roles, "init": init, "guards": guards if guards is None else one_or_more(guards),
        "params": params or {}, "tokens": tokens, "steps": steps, "lr": lr, "clip": clip,
        "batch": batch, "pictures": pictures, "moments": moments, "min_erase": min_erase,
        "max_drift": max_drift, "seed": seed,
    }  # fmt: skip
    asked = [name for name, value in given.items() if value != getattr(DEFAULTS, name)]
    given["basis"] = None if held is None else read_basis(held, detect(opened))
    options = Options(method=usual_method(asked) if method is None else method, **given)
    wish = Wish(
        one_or_more(concepts),
        kind,
        anchor,
        one_or_more(retain),
        neighbors,
        Path(lexicon) if lexicon else None,
        exact_name,
        again=(*again, *aliases_of(one_or_more(concepts), one_or_more(aliases), kind, anchor)),
        kept=tuple(one_or_more(kept)),
        earlier=one_or_more(earlier),
    )
    base = opened
    require_told(opened.ledger, wish.earlier)
    if before is not None and not options.trained:
        wish = anew(opened, before, wish)
        base, before = before, None
    if (company := launched().count) > 1 and not options.trained:
        raise BadParam(
            f"torchrun started {company} processes, and {options.method} is a closed form: there "
            f"is nothing to share; start it without torchrun"
        )
    family = detect(base)
    ranks = together(device)
    device = ranks.device or device
    text = read_elsewhere(
        base, family, list(lexicon_of(family, wish.lexicon)), embeddings=embeddings,
        folder=text_encoder, device=device,
    )  # fmt: skip
    job = prepare(
        base,
        wish,
        options,
        device=device,
        threads=threads,
        prediction=prediction,
        tokenizer=tokenizer,
        clip_skip=clip_skip,
        text=text,
        vram=vram,
        compiled=compiled,
        original=before,
        ranks=ranks,
    )
    if tell:
        tell(job.outlook())
    memory: Memory = FORGETFUL
    if options.trained:
        memory = OfFirst(OnDisk(job.key(), resume), ranks)
    result = carry_out(job, memory, track)
    if output is None:
        return result
    if base is not opened:
        result = replace(result, original=base.data_sha256())
    if private_concepts or hides(opened.ledger):
        names = [target.concept for target in result.request.targets]
        result = replace(result, salt=salt_of(opened.ledger, opened.data_sha256(), names))

    def write() -> tuple[Path, str]:
        if delta:
            made = write_as_delta(base, result, output, force=force)
        else:
            made = write_edit(base, result, output, parent=opened, force=force, in_place=in_place)
        return made.path, made.sha256

    try:
        path, sha256 = ranks.same(write)
    except WriteFailed as error:
        if not options.trained:
            raise
        raise WriteFailed(f"{error}; what was trained is kept: --resume writes it") from error
    memory.forget()
    ranks.part()
    return replace(result, path=path, sha256=sha256)


def write_edit(
    base: Checkpoint, made: Erasure, output: str | Path, *, parent: Checkpoint, **how: bool
) -> Any:
    """Writes the edited checkpoint: the same bytes that `apply` makes of its delta.

    parent: whose ledger is carried on; most often the base
    """
    edits = {name: partial(_applied, base, name, change) for name, change in made.edits.items()}
    also = () if parent is base else KVWeights(base, detect(base)).stored  # made anew
    line = made.ledger_line(parent.data_sha256(), base, also)
    metadata = stamped(ledger.append(parent.metadata, line), base)
    return write_edited(output, base, edits, metadata=metadata, **how)


def _applied(base: Checkpoint, name: str, change: LowRank | Dense) -> Any:
    return patched(base.raw(name), base[name], change, 1)


def write_as_delta(base: Checkpoint, made: Erasure, output: str | Path, *, force: bool) -> Any:
    """Writes what changed, as it was computed."""
    line, gram = made.ledger_line(base.data_sha256(), base), np.asarray(made.gram)
    return write_delta(base, made.edits, output, line=line, gram=gram, force=force)

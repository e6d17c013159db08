"""Is what was erased gone, and is the rest still there?"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ckptedit.concepts.lists import one_or_more
from ckptedit.concepts.names import normal
from ckptedit.concepts.private import require_revealed, stands_for
from ckptedit.concepts.targets import erased as targets_of
from ckptedit.diffusion import open_model
from ckptedit.errors import BadParam
from ckptedit.evaluation.eye import NOBODY, Given
from ckptedit.evaluation.eyes import eyes_for
from ckptedit.evaluation.parts import merged
from ckptedit.evaluation.planned import Evaluation
from ckptedit.evaluation.reference import require_comparable
from ckptedit.evaluation.score import Scores
from ckptedit.evaluation.suite import Suite, World, plan
from ckptedit.evaluation.world import world_for, world_of_prompts
from ckptedit.families.vocabulary import Vocabulary
from ckptedit.files import Checkpoint
from ckptedit.progress import Track, silent

log = logging.getLogger("ckptedit")


def prepare(
    checkpoint: Checkpoint | str | Path,
    *,
    erased: str | Sequence[str] | None = None,
    retain: str | Sequence[str] = (),
    prompts: str | Sequence[str] = (),
    seeds: int | None = None,
    companions: int | None = None,
    steps: int | None = None,
    suite: str | None = None,
    judge: str | None = None,
    given: Given = NOBODY,
    against: Checkpoint | str | Path | None = None,
    reference: str | Path | None = None,
    device: str = "auto",
    tokenizer: str | Path | Vocabulary | None = None,
    clip_skip: int | None = None,
    cache: bool = True,
) -> Evaluation:
    """Plans what `evaluate` does, to be done in parts. Arguments and errors as there.

    given: what the eyes look with
    """
    opened, other = _opened(checkpoint), None if against is None else _opened(against)
    texts = tuple(dict.fromkeys(one_or_more(prompts)))
    beside = any(each is not None for each in (erased, suite, companions)) or retain
    if texts and beside:
        raise BadParam("prompts are a suite of their own, without erased and retained concepts")
    world = world_of_prompts(opened) if texts else world_for(opened, suite)
    eyes, towers = eyes_for(world, judge, given)
    folder = None if reference is None else Path(reference)
    if folder is not None:
        require_comparable(folder, towers)
    planned = _planned(
        world, opened, erased, one_or_more(retain), texts, companions=companions, seeds=seeds
    )
    how: dict[str, Any] = {"device": device, "tokenizer": tokenizer, "clip_skip": clip_skip}
    return Evaluation(
        world,
        planned,
        _shown(world, opened),
        tuple(eyes),
        towers,
        open_model(opened, **how),
        None if other is None else open_model(other, **how),
        folder,
        world.steps if steps is None else steps,
        cache,
    )


def evaluate(
    checkpoint: Checkpoint | str | Path,
    *,
    erased: str | Sequence[str] | None = None,
    retain: str | Sequence[str] = (),
    prompts: str | Sequence[str] = (),
    seeds: int | None = None,
    companions: int | None = None,
    steps: int | None = None,
    suite: str | None = None,
    judge: str | None = None,
    classifier: Sequence[str | Path] = (),
    clip: str | Path | None = None,
    detector: str | None = None,
    against: Checkpoint | str | Path | None = None,
    reference: str | Path | None = None,
    device: str = "auto",
    tokenizer: str | Path | Vocabulary | None = None,
    clip_skip: int | None = None,
    cache: bool = True,
    track: Track = silent,
) -> Scores:
    """Draws a suite of pictures, and asks a judge what it sees.

    erased:  default: what the checkpoint's ledger says; retain: default: all else the judge knows.
             "set:NAME" is a list that the suite has
    prompts: are drawn instead of a suite; UA and RA are None then, towers and detectors look
    seeds:   pictures of each combination; companions: objects that a style is drawn with, and the
             reverse; steps: of the solver; default: the suite's (canvas: 1, 10, 16)
    suite:   a name of SUITES; default: that of the family's world
    judge:   a name of JUDGES; default: vit for classifiers, else the suite's, else clip for a CLIP
    classifier: files of vision transformers, safetensors or pickles of tensors alone
    clip:    the folder of a CLIP model, in transformers' layout
    detector: a command with {folder} in it, which prints a score for each picture there, as JSON
    against: another checkpoint, drawn from the same noise, for paired differences
    reference: a folder of pictures that others made, for KID and FID
    cache:   whether what was drawn before is taken from disk, and kept there
    tokenizer, clip_skip: as in `open_model`
    Raises BadParam if no judge knows the world of this family's pictures.
    """
    planned = prepare(
        checkpoint,
        erased=erased,
        retain=retain,
        prompts=prompts,
        seeds=seeds,
        companions=companions,
        steps=steps,
        suite=suite,
        judge=judge,
        given=given_by(classifier, clip, detector),
        against=against,
        reference=reference,
        device=device,
        tokenizer=tokenizer,
        clip_skip=clip_skip,
        cache=cache,
    )
    return merged([planned.part(track=track)])


def _planned(
    world: World,
    checkpoint: Checkpoint,
    erased: str | Sequence[str] | None,
    retain: Sequence[str],
    prompts: tuple[str, ...],
    *,
    companions: int | None,
    seeds: int | None,
) -> Suite:
    """What is drawn; see `prepare`. Raises BadParam if nothing is left."""
    pictures = world.seeds if seeds is None else seeds
    if prompts:
        return Suite((), (), (), pictures, prompts=prompts)
    found = plan(
        _gone(checkpoint, world) if erased is None else world.named(one_or_more(erased)),
        world.named(retain),
        world.styles,
        world.objects,
        companions=world.companions if companions is None else companions,
        seeds=pictures,
        frame=world.frame,
        published=world.published,
    )
    if not found.cells():
        raise BadParam("nothing is left to draw: every style or every object is erased")
    return found


def _shown(world: World, checkpoint: Checkpoint) -> frozenset[str]:
    """Concepts that a ledger says were to stay, in normal form."""
    told = [str(word) for line in checkpoint.ledger for word in line.get("retain", [])]
    known = [*world.styles, *world.objects]
    return frozenset(normal(name) for name in known for text in told if stands_for(text, name))


def _gone(checkpoint: Checkpoint, world: World) -> list[str]:
    """What a ledger says is erased, but for aliases that no judge knows, which a note names.

    Raises BadParam if it hides the names.
    """
    targets = targets_of(checkpoint.ledger)
    require_revealed([target.concept for target in targets], "--erased")
    left_out = [t for t in targets if t.alias_of and not world.knows(t.concept)]
    for target in left_out:
        log.warning("%r, another name of %r, is not judged", target.concept, target.alias_of)
    return [target.concept for target in targets if target not in left_out]


def given_by(
    classifier: Sequence[str | Path] | None, clip: str | Path | None, detector: str | None
) -> Given:
    """What the eyes look with; arguments as in `evaluate`."""
    files = tuple(Path(path) for path in classifier or ())
    return Given(files, None if clip is None else Path(clip), detector)


def _opened(checkpoint: Checkpoint | str | Path) -> Checkpoint:
    return checkpoint if isinstance(checkpoint, Checkpoint) else Checkpoint(checkpoint)

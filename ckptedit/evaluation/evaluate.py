"""Is what was erased gone, and is the rest still there?"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ckptedit.concepts.lists import one_or_more
from ckptedit.concepts.names import normal
from ckptedit.concepts.private import require_revealed, stands_for
from ckptedit.concepts.targets import erased as targets_of
from ckptedit.diffusion import Model, choose_threads, open_model, threads
from ckptedit.errors import BadParam
from ckptedit.evaluation.drawing import answers
from ckptedit.evaluation.eye import NOBODY, Answers, Eye, Given
from ckptedit.evaluation.eyes import eyes_for
from ckptedit.evaluation.fidelity import packed
from ckptedit.evaluation.parts import Columns, Part, merged
from ckptedit.evaluation.reference import read_features, require_comparable
from ckptedit.evaluation.score import Scores
from ckptedit.evaluation.shard import Shard
from ckptedit.evaluation.suite import Suite, World, plan
from ckptedit.evaluation.towers import Towers
from ckptedit.evaluation.world import world_for, world_of_prompts
from ckptedit.families.vocabulary import Vocabulary
from ckptedit.files import Checkpoint
from ckptedit.files.cache import digest, uncached
from ckptedit.progress import Track, silent


@dataclass(frozen=True)
class Evaluation:
    """One that is planned: nothing is drawn yet, and all that can be checked is."""

    world: World
    suite: Suite
    shown: frozenset[str]  # retained concepts that a guard was told of, in normal form
    eyes: tuple[Eye, ...]
    towers: Towers | None  # one of the eyes, whose features are compared
    model: Model
    other: Model | None
    reference: Path | None  # a folder of others' pictures
    steps: int
    cache: bool

    def part(self, shard: Shard = (1, 1), track: Track = silent) -> Part:
        """Draws shard i of n, and asks the eyes. With another checkpoint, both from one noise."""
        with nullcontext() if self.cache else uncached():
            seen = self._seen(self.model, shard, track)
            against = None if self.other is None else self._seen(self.other, shard, track)
            reference = self._reference(track)
        return Part(self._asked(reference), shard, seen, against, reference)

    @property
    def compares(self) -> bool:
        """Whether pictures are compared with others, by their features."""
        return self.towers is not None and (self.other is not None or self.reference is not None)

    def _reference(self, track: Track) -> list[str] | None:
        if self.towers is None or self.reference is None:
            return None
        return read_features(self.reference, self.towers, self.model.device, track)

    def _seen(self, model: Model, shard: Shard, track: Track) -> Columns:
        with threads(choose_threads(model.parameters)):
            found = answers(
                model,
                self.suite.cells(),
                self.eyes,
                shard=shard,
                steps=self.steps,
                guidance=self.world.guidance,
                track=track,
            )
        return self._named(found)

    def _named(self, found: Answers) -> dict[str, list[Any]]:
        """Columns as they are in a part: classes by their names, None for what has none."""
        names = {"style": self.world.styles, "object": self.world.objects}
        columns: dict[str, list[Any]] = {}
        for column, values in found.items():
            if column == "features":
                if self.compares:
                    columns[column] = packed(values)
                continue
            known = names.get(column)
            columns[column] = [
                value if known is None else known[value] if value >= 0 else None
                for value in values.tolist()
            ]
        return columns

    def _asked(self, reference: list[str] | None) -> dict[str, Any]:
        other = None if self.other is None else self.other.checkpoint.data_sha256()
        return {
            "suite": self.world.name,
            **{key: _plain(value) for key, value in asdict(self.suite).items()},
            "shown": sorted(self.shown),
            "steps": self.steps,
            "guidance": self.world.guidance,
            "eyes": [f"{type(eye).__name__} {eye.key}" for eye in self.eyes],
            "weights": self.model.checkpoint.data_sha256(),
            "against": other,
            "features": self.towers.name if self.towers and self.compares else None,
            "reference": None if reference is None else digest(reference),
        }


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
        _gone(checkpoint) if erased is None else world.named(one_or_more(erased)),
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


def _gone(checkpoint: Checkpoint) -> list[str]:
    """What a ledger says is erased. Raises BadParam if it hides the names."""
    names = [target.concept for target in targets_of(checkpoint.ledger)]
    require_revealed(names, "--erased")
    return names


def given_by(
    classifier: Sequence[str | Path] | None, clip: str | Path | None, detector: str | None
) -> Given:
    files = tuple(Path(path) for path in classifier or ())
    return Given(files, None if clip is None else Path(clip), detector)


def _opened(checkpoint: Checkpoint | str | Path) -> Checkpoint:
    return checkpoint if isinstance(checkpoint, Checkpoint) else Checkpoint(checkpoint)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value

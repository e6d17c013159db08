"""An evaluation that is planned: what is drawn, who looks, and what the eyes see in a part."""

from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ckptedit.diffusion import Model, choose_threads, threads
from ckptedit.evaluation.detector import Detector
from ckptedit.evaluation.drawing import answers
from ckptedit.evaluation.eye import Answers, Eye
from ckptedit.evaluation.fidelity import packed
from ckptedit.evaluation.parts import Columns, Part
from ckptedit.evaluation.reference import read_features
from ckptedit.evaluation.shard import Shard
from ckptedit.evaluation.suite import Suite, World
from ckptedit.evaluation.towers import Towers
from ckptedit.files.cache import digest, uncached
from ckptedit.progress import Track, silent
from ckptedit.text import ClipEncoder


@dataclass(frozen=True)
class Evaluation:
    """Nothing is drawn yet, and all that can be checked is."""

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
        text = self.model.text
        commands = [eye.said for eye in self.eyes if isinstance(eye, Detector)]
        return {
            "suite": self.world.name,
            **{key: _plain(value) for key, value in asdict(self.suite).items()},
            "shown": sorted(self.shown),
            "steps": self.steps,
            "guidance": self.world.guidance,
            "eyes": [f"{type(eye).__name__} {eye.key}" for eye in self.eyes],
            "detector": commands[0] if commands else None,
            "tokenizer": text.words_digest() if isinstance(text, ClipEncoder) else text.digest(),
            "clip_skip": self.model.clip_skip,
            "weights": self.model.checkpoint.data_sha256(),
            "against": other,
            "features": self.towers.name if self.towers and self.compares else None,
            "reference": None if reference is None else digest(reference),
        }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value

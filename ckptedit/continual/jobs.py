"""What independent erasures take, as jobs: each is one command, files in, one file out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ckptedit.continual.options import gathered, keywords
from ckptedit.continual.requests import Asked, standing
from ckptedit.continual.spoken import erase_words, eval_words
from ckptedit.errors import BadParam, CkptError

PROGRAM = "ckptedit"
MERGED, SCORES, PAGE = "merged.safetensors", "scores.json", "report.html"
OF_ERASE = ("exact_name", "kind", "anchor", "retain", "neighbors", "lexicon")  # not of its method


@dataclass(frozen=True)
class Job:
    """name: "erase 001"; inputs, output: files in the folder of the plan
    words:  the command; said: whether the output is what it prints
    gpu:    whether it wants a GPU of its own
    """

    name: str
    inputs: tuple[str, ...]
    output: str
    words: tuple[str, ...]
    said: bool = False
    gpu: bool = False


@dataclass(frozen=True)
class Stage:
    """Jobs that may run at once, when all that they read is there."""

    name: str
    jobs: tuple[Job, ...]


@dataclass(frozen=True)
class Work:
    """What is to be done with a base.

    base:   its path, from anywhere; entries: of a list, settled
    common: keywords of `erase` for all requests; how: options of whatever computes, as words
    reading: options of what reads prompts without drawing, as words
    merge:  words that say how edits are merged; evaluation: keywords of `evaluate`
    shards: of the evaluation; 0: none; audits: whether each concept is audited
    report: whether a page is made of what was merged
    """

    base: str
    label: str
    entries: Sequence[Asked]
    common: Mapping[str, Any]
    how: Sequence[str]
    reading: Sequence[str]
    threads: int | None
    merge: Sequence[str]
    evaluation: Mapping[str, Any]
    shards: int
    audits: bool
    report: bool = False

    def stages(self) -> list[Stage]:
        """In an order in which they can run. Raises BadParam, naming the request."""
        found = [Stage("erase", tuple(map(self._erase, standing(self.entries))))]
        if not found[0].jobs:
            raise BadParam(f"{self.label}: all that was asked for is withdrawn; nothing to erase")
        deltas = tuple(job.output for job in found[0].jobs)
        words = (PROGRAM, "merge", self.base, *deltas, *self.merge, "-o", MERGED)
        found.append(Stage("merge", (Job("merge", deltas, MERGED, words),)))
        if self.shards:
            parts = tuple(self._part(number) for number in range(1, self.shards + 1))
            files = tuple(part.output for part in parts)
            score = (PROGRAM, "eval", "--merge", *files, "--json")
            found += [
                Stage("part", parts),
                Stage("scores", (Job("scores", files, SCORES, score, said=True),)),
            ]
        if self.audits:
            audits = map(self._audit, standing(self.entries))
            found.append(Stage("audit", tuple(job for each in audits for job in each)))
        if self.report:
            page = (PROGRAM, "report", MERGED, f"--against={self.base}", *self.how, "-o", PAGE)
            found.append(Stage("report", (Job("report", (MERGED,), PAGE, page, gpu=self.gpu),)))
        return found

    @property
    def gpu(self) -> bool:
        return "--device=cpu" not in self.how

    def _erase(self, entry: Asked) -> Job:
        options = gathered(self.common, entry.options)
        own = {name: options.pop(name) for name in OF_ERASE if name in options}
        try:
            keywords(options)
        except CkptError as error:
            raise BadParam(f"{entry.where}: {error}") from error
        output = f"deltas/{entry.number:03}.safetensors"
        names = {"concept": entry.concepts, "alias": entry.aliases}
        more = erase_words({**names, **own, **options}, entry.where)
        more += [f"--threads={self.threads}"] if self.threads else []
        words = (PROGRAM, "erase", self.base, *more, *self.how, *self.reading, "--delta",
                 "-o", output)  # fmt: skip
        return Job(f"erase {entry.number:03}", (), output, words, gpu=self.gpu)

    def _part(self, number: int) -> Job:
        output = f"eval/{number:03}.json"
        more = (*eval_words(self.evaluation, self.label), *self.how)
        shard = (f"--shard={number}/{self.shards}", "-o", output)
        words = (PROGRAM, "eval", MERGED, *more, *shard)
        return Job(f"part {number:03}", (MERGED,), output, words, gpu=self.gpu)

    def _audit(self, entry: Asked) -> list[Job]:
        found = []
        for place, concept in enumerate(entry.concepts, start=1):
            name = f"{entry.number:03}" + (f"-{place}" if len(entry.concepts) > 1 else "")
            more = [f"--alias={alias}" for alias in entry.aliases]
            words = (PROGRAM, "audit", MERGED, f"--original={self.base}", f"--concept={concept}",
                     *more, *self.how, *self.reading, "--json")  # fmt: skip
            output = f"audits/{name}.json"
            found.append(Job(f"audit {name}", (MERGED,), output, words, said=True, gpu=self.gpu))
        return found

"""Targets of erasures: those that are asked for, and those that a ledger tells of."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ckptedit.concepts.names import normal
from ckptedit.concepts.templates import KINDS
from ckptedit.errors import BadCheckpoint
from ckptedit.files.history import digest, flattened, trunk


@dataclass(frozen=True)
class Target:
    """One concept to erase, and what its prompts should produce instead.

    alias_of: the concept that it is another name of; "": it is none
    """

    concept: str
    kind: str
    anchor: str
    alias_of: str = ""

    def as_fact(self) -> dict[str, str]:
        """As a ledger has it."""
        found = {"concept": self.concept, "kind": self.kind, "anchor": self.anchor}
        return found | ({"alias_of": self.alias_of} if self.alias_of else {})


def erased(ledger: Sequence[Mapping[str, Any]]) -> list[Target]:
    """The targets of all erasures in a ledger, oldest first, each once under its last spelling.

    Those of merged checkpoints count, those of a delta that was taken out again do not. Raises
    BadCheckpoint if an entry is malformed.
    """
    try:
        lines = flattened(ledger)
        targets: dict[str, list[Target]] = {}  # of each entry; what it refers to comes before it
        undone: dict[str, list[str]] = {}
        for line in lines:
            undone[digest(line)] = line.get("taken_out", [])
            targets[digest(line)] = _targets(line, targets, undone)
        return _standing(map(digest, trunk(lines)), targets, undone)
    except (KeyError, TypeError, AttributeError) as error:
        raise BadCheckpoint("the checkpoint's ledger has a malformed erase entry") from error


def without_aliases(targets: Iterable[Target]) -> list[str]:
    """The names of targets but for aliases, which no judge of pictures knows."""
    return [target.concept for target in targets if not target.alias_of]


def _standing(
    digests: Iterable[str], targets: Mapping[str, list[Target]], undone: Mapping[str, list[str]]
) -> list[Target]:
    """The targets of entries that are still erased after the last of them."""
    found: dict[str, Target] = {}
    for each in digests:
        for other in undone[each]:
            for target in targets[other]:
                found.pop(normal(target.concept), None)
        for target in targets[each]:
            found[normal(target.concept)] = target
    return list(found.values())


def _targets(
    line: Mapping[str, Any],
    targets: Mapping[str, list[Target]],
    undone: Mapping[str, list[str]],
) -> list[Target]:
    """What one entry erased."""
    operation = line.get("operation")
    if operation == "erase":
        found = [
            Target(str(t["concept"]), t["kind"], str(t["anchor"]), str(t.get("alias_of", "")))
            for t in line["targets"]
        ]
        if any(target.kind not in KINDS for target in found):
            raise BadCheckpoint("the checkpoint's ledger has an erased concept of no known kind")
        return found
    if operation == "merge":
        inputs = [each for one in line["inputs"] for each in one["ledger"]]
        return _standing(line.get("added", inputs), targets, undone)
    return []

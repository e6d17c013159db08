"""Targets of erasures: those that are asked for, and those that a ledger tells of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ckptedit.errors import BadCheckpoint
from ckptedit.text.templates import KINDS


@dataclass(frozen=True)
class Target:
    """One concept to erase, and what its prompts should produce instead."""

    concept: str
    kind: str
    anchor: str


def erased(ledger: Sequence[Mapping[str, Any]]) -> list[Target]:
    """The targets of all erasures in a ledger, oldest first, each once.

    Those of merged checkpoints count, those of a delta that was taken out again do not. Raises
    BadCheckpoint if an entry is malformed.
    """
    found: dict[str, Target] = {}
    try:
        for line in ledger:
            for target in _targets(line):
                found[target.concept] = target
            for undone in line.get("taken_out", []):
                for target in _targets(undone):
                    found.pop(target.concept, None)
    except (KeyError, TypeError, AttributeError) as error:
        raise BadCheckpoint("the checkpoint's ledger has a malformed erase entry") from error
    return list(found.values())


def _targets(line: Mapping[str, Any]) -> list[Target]:
    operation = line.get("operation")
    if operation == "erase":
        targets = [Target(str(t["concept"]), t["kind"], str(t["anchor"])) for t in line["targets"]]
        if any(target.kind not in KINDS for target in targets):
            raise BadCheckpoint("the checkpoint's ledger has an erased concept of no known kind")
        return targets
    if operation == "merge":
        return [t for each in line["inputs"] for inner in each["ledger"] for t in _targets(inner)]
    return []

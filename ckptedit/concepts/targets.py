"""Targets of erasures: those that are asked for, and those that a ledger tells of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ckptedit.concepts.names import normal
from ckptedit.concepts.templates import KINDS
from ckptedit.errors import BadCheckpoint


@dataclass(frozen=True)
class Target:
    """One concept to erase, and what its prompts should produce instead."""

    concept: str
    kind: str
    anchor: str


def erased(ledger: Sequence[Mapping[str, Any]]) -> list[Target]:
    """The targets of all erasures in a ledger, oldest first, each once under its last spelling.

    Those of merged checkpoints count, those of a delta that was taken out again do not. Raises
    BadCheckpoint if an entry is malformed.
    """
    try:
        return _standing(ledger)
    except (KeyError, TypeError, AttributeError) as error:
        raise BadCheckpoint("the checkpoint's ledger has a malformed erase entry") from error


def _standing(ledger: Sequence[Mapping[str, Any]]) -> list[Target]:
    found: dict[str, Target] = {}
    for line in ledger:
        for undone in line.get("taken_out", []):
            for target in _targets(undone):
                found.pop(normal(target.concept), None)
        for target in _targets(line):
            found[normal(target.concept)] = target
    return list(found.values())


def _targets(line: Mapping[str, Any]) -> list[Target]:
    operation = line.get("operation")
    if operation == "erase":
        targets = [Target(str(t["concept"]), t["kind"], str(t["anchor"])) for t in line["targets"]]
        if any(target.kind not in KINDS for target in targets):
            raise BadCheckpoint("the checkpoint's ledger has an erased concept of no known kind")
        return targets
    if operation == "merge":
        return _standing(line["added"] if "added" in line else _all_inputs(line))
    return []


def _all_inputs(merge: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [line for each in merge["inputs"] for line in each["ledger"]]

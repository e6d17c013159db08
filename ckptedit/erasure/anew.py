"""Erasing again all that was erased so far, with the new targets, from the original weights.

A closed form costs the same for one target as for twenty, so nothing needs to be built on edits
that went before: no drift adds up, and the order of the requests is of no account.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ckptedit.concepts.private import EARLIER, erased_before, revealed_names
from ckptedit.concepts.wish import Wish
from ckptedit.erasure.kv import KVWeights
from ckptedit.errors import Incompatible
from ckptedit.families import detect
from ckptedit.files import Checkpoint, escape, ledger

Line = Mapping[str, Any]


def anew(edited: Checkpoint, original: Checkpoint, wish: Wish) -> Wish:
    """The wish, with all that was erased between two checkpoints to be erased once more.

    Raises Incompatible if `edited` was not made from `original`, or holds anything beside erasures,
    which would be lost.
    """
    lines = since(edited, original)
    _require_same_elsewhere(edited, original)
    asked = [str(name) for line in lines for name in line.get("asked", [])]
    kept = revealed_names(asked, wish.earlier, EARLIER)
    return replace(wish, again=tuple(erased_before(lines, wish.earlier)), kept=tuple(kept))


def since(edited: Checkpoint, original: Checkpoint) -> Sequence[Line]:
    """The erasures that made one checkpoint of another. Raises Incompatible if that is not so."""
    lines = ledger.beyond(original.ledger, edited.ledger)
    if not lines:
        raise Incompatible(
            f"by its ledger, nothing was erased in {edited.label} since {original.label}: leave "
            f"out --from-original"
        )
    made_from, given = lines[0].get("parent_sha256"), original.data_sha256()
    if made_from != given:
        raise Incompatible(
            f"{original.label} is not what {edited.label} was first erased from: its tensors have "
            f"the digest {given[:12]}, the ledger names {escape(str(made_from)[:12])}"
        )
    for line in lines:
        if line.get("operation") != "erase" or not line.get("targets"):
            what = line.get("operation")
            what = "erase that erases nothing" if what == "erase" else f"{escape(what)}"
            raise Incompatible(
                f"{edited.label} has more than erasures in its ledger ({what}), which would be "
                f"lost: leave out --from-original"
            )
    return lines


def _require_same_elsewhere(edited: Checkpoint, original: Checkpoint) -> None:
    ours = set(KVWeights(original, detect(original)).stored)
    for name in dict.fromkeys([*original, *edited]):
        if name not in ours and not _same(edited, original, name):
            raise Incompatible(
                f"{edited.label} differs from {original.label} in {escape(name)}, which is no key "
                f"or value, and would be lost: leave out --from-original"
            )


def _same(one: Checkpoint, other: Checkpoint, name: str) -> bool:
    if name not in one or name not in other:
        return False
    a, b = one[name], other[name]
    same = a.dtype == b.dtype and a.shape == b.shape
    return same and np.array_equal(one.raw(name), other.raw(name))

"""The concept of an audit, as the ledger has it, or as an erasure would take it."""

import logging
from typing import Any

from ckptedit.concepts.anchors import default_anchor
from ckptedit.concepts.kinds import kind_of
from ckptedit.concepts.lexicon import Lexicon
from ckptedit.concepts.private import is_hidden, stands_for, tells_of
from ckptedit.concepts.spelling import meant, respelled
from ckptedit.concepts.targets import Target, erased, without_aliases
from ckptedit.concepts.templates import require_kind
from ckptedit.deltas.overlay import Overlay
from ckptedit.errors import BadParam
from ckptedit.families import Family
from ckptedit.files import Checkpoint
from ckptedit.files.history import trunk
from ckptedit.text.encoder import TextEncoder

log = logging.getLogger("ckptedit")


def history(checkpoint: Checkpoint) -> list[dict[str, Any]]:
    """The ledger of a checkpoint; of a base with a delta, what was done to either."""
    more = checkpoint.delta.ledger if isinstance(checkpoint, Overlay) else []
    return [*checkpoint.ledger, *more]


def named(concept: str | None, after: Checkpoint) -> str:
    if concept is not None:
        return concept
    gone = without_aliases(erased(history(after)))
    if len(gone) == 1 and not is_hidden(gone[0]):
        return gone[0]
    said = f"has {len(gone)} erased concepts" if gone else "tells of no erased concept"
    raise BadParam(f"the ledger of {after.label} {said}: name the one to audit with --concept")


def require_original(concept: str, before: Checkpoint, after: Checkpoint) -> None:
    """Raises BadParam if the concept was gone before; notes an original that no entry names."""
    if tells_of(before.ledger, concept):
        raise BadParam(
            f"{before.label} has {concept!r} erased already, by its own ledger: give what it was "
            "before that as --original"
        )
    lines = trunk(history(after))
    parents = {str(line.get("parent_sha256")) for line in lines}
    if lines and before.data_sha256() not in parents:
        log.warning("the ledger of %s does not name %s", after.label, before.label)


def target_of(
    concept: str,
    kind: str,
    anchor: str,
    after: Checkpoint,
    encoder: TextEncoder,
    lexicon: Lexicon,
    family: Family,
) -> Target:
    """The concept as the ledger has it, or as an erasure would take it."""
    told = next((t for t in erased(history(after)) if stands_for(t.concept, concept)), None)
    if told is None:
        concept = respelled(concept, lexicon)
        if like := meant(concept, lexicon, encoder.is_word):
            raise BadParam(
                f"nothing says that {concept!r} was erased; did you mean {like!r}? A misspelling "
                "of it is an --alias"
            )
        log.warning("the ledger of %s does not say that %r was erased", after.label, concept)
    elif not is_hidden(told.concept):
        concept = told.concept
    encoder.require_concept(concept)
    if kind != "auto":
        require_kind(kind)
    elif told is not None:
        kind = told.kind
    else:
        kind = kind_of(concept, encoder, lexicon)
    if not anchor and told is not None:
        if is_hidden(told.anchor):
            raise BadParam(f"the ledger hides the anchor of {concept!r}: name it with --anchor")
        anchor = told.anchor
    usual = family.anchors.of(kind)
    anchor = anchor or default_anchor(concept, kind, encoder, lexicon, usual=usual, gone=[concept])
    encoder.require_concept(anchor)
    return Target(concept, kind, anchor)

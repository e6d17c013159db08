"""What a merge writes into the ledger: its recipe, and the ledgers of all that went into it."""

from collections.abc import Sequence
from typing import Any

from ckptedit.files import Checkpoint, ledger
from ckptedit.merge.edits import Edit
from ckptedit.merge.recipe import Recipe


def ledger_line(
    recipe: Recipe, base: Checkpoint, edits: Sequence[Edit], digests: Sequence[str]
) -> dict[str, Any]:
    """The entry of a merge.

    digests: sha256 of the tensor data of base and edits
    `inputs` has for each edit its digest, weight, and the entries of its ledger beyond the base's;
    `concepts` all concepts that those were about, so that readers of the output need not descend.
    """
    known = base.ledger
    inputs: list[dict[str, Any]] = [
        {"sha256": digest, "weight": weight, "ledger": ledger.beyond(known, edit.ledger)}
        for edit, digest, weight in zip(
            edits, digests[1:], recipe.resolved_weights(len(edits)), strict=True
        )
    ]
    facts: dict[str, Any] = {"inputs": inputs}
    if concepts := ledger.concepts_of([line for each in inputs for line in each["ledger"]]):
        facts["concepts"] = concepts
    options = recipe.options(len(edits))
    seed = options["params"].get("seed")
    return ledger.entry("merge", options, digests[0], seed=seed, **facts)

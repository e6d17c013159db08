"""The card of a diffusers folder: the README.md that the Hugging Face hub reads.

https://huggingface.co/docs/hub/model-cards: an edit is a `finetune` of its base, a merge a `merge`.
Which model of the hub the base is, no file tells: the user does, or a line is left to fill in.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ckptedit.errors import BadCheckpoint, BadParam
from ckptedit.files import ledger
from ckptedit.files.history import Line, trunk
from ckptedit.files.names import escape

NAME = "README.md"
OF_HUB = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
LICENCE = re.compile(r"[a-z0-9][a-z0-9.+-]{1,40}")  # as the hub knows them: openrail++, mit
HASHED = "sha256:"  # the beginning of what stands for a name (`concepts/private.py`)
ERASING = ("concept-erasure", "unlearning")
TO_FILL_IN = "# base_model: ORGANISATION/MODEL  (what this was made from, on the hub)"


def card(metadata: Mapping[str, str], base_models: Sequence[str] = ()) -> bytes:
    """The text of a card.

    metadata: of the checkpoint, with its ledger; base_models: as the hub calls them
    Raises BadParam if one of them is no such name.
    """
    for name in base_models:
        if not OF_HUB.fullmatch(name):
            raise BadParam(f"{name!r} is no model of the hub; its name is ORGANISATION/MODEL")
    try:
        lines = ledger.read(metadata)
    except BadCheckpoint:
        lines = []
    title = escape(metadata.get("modelspec.title", "Text-to-image model")).replace("<", "&lt;")
    head = ["---", *_front(metadata, lines, base_models), "---", "", f"# {title}", ""]
    return ("\n".join([*head, *_history(trunk(lines))]) + "\n").encode()


def _front(
    metadata: Mapping[str, str], lines: Sequence[Line], base_models: Sequence[str]
) -> list[str]:
    """The lines of YAML."""
    done = {line.get("operation") for line in trunk(lines)}
    found = ["library_name: diffusers", "pipeline_tag: text-to-image"]
    if LICENCE.fullmatch(metadata.get("modelspec.license", "")):
        found.append(f'license: "{metadata["modelspec.license"]}"')  # `no` would be false
    found += (
        ["base_model:", *(f"- {name}" for name in base_models)] if base_models else [TO_FILL_IN]
    )
    if lines:
        found.append(f"base_model_relation: {'merge' if 'merge' in done else 'finetune'}")
    tags = ["ckptedit", *(ERASING if ledger.concepts_of(lines) else ())]
    tags += ["merge"] if "merge" in done else []
    return [*found, "tags:", *(f"- {tag}" for tag in tags)]


def _history(lines: Sequence[Line]) -> list[str]:
    if not lines:
        return ["Written by ckptedit as a diffusers folder; "
                "no weight was changed."]  # fmt: skip
    said = ["Edited by ckptedit:", ""]
    return [*said, *(f"{number}. {_told(line)}" for number, line in enumerate(lines, start=1))]


def _told(line: Line) -> str:
    """One entry in words."""
    options: Any = line.get("options")
    method = options.get("method") if isinstance(options, dict) else None
    what = escape(line.get("operation", "?")) + (f" ({escape(method)})" if method else "")
    if concepts := line.get("concepts"):
        what += ": " + escape(subject(concepts)).replace("<", "&lt;")
    return f"{what}; of tensors with the sha256 `{escape(line.get('parent_sha256'))[:12]}`"


def subject(concepts: Sequence[str]) -> str:
    """Names in words; of those that are kept as hashes, how many there are."""
    names = [name for name in concepts if not name.startswith(HASHED)]
    count = len(concepts) - len(names)
    return ", ".join([*names, *([f"{count} kept as salted hashes"] if count else [])])

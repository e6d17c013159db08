"""Writes a new diffusers folder: each component's weights, and the small files beside them."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ckptedit.errors import BadParam
from ckptedit.files.checkpoint import Checkpoint
from ckptedit.files.header import Spec, pack_header
from ckptedit.files.layout import SUFFIX
from ckptedit.files.names import escape
from ckptedit.files.permission import check_output, is_stream
from ckptedit.files.plan import OutputPlan, PlannedFile
from ckptedit.files.writer import Content, Written, write_plan


def check_folder(target: str | Path, inputs: Sequence[Checkpoint]) -> None:
    """Raises BadParam if target is no folder's name, and what `check_output` raises."""
    if is_stream(target) or Path(target).name.endswith((SUFFIX, ".json")):
        raise BadParam(f"a diffusers folder is written; {escape(target)} is no folder's name")
    check_output(target, inputs, force=False)


def write_folder(
    target: str | Path,
    weights: Mapping[str, Sequence[Spec]],
    data: Iterable[Content],
    metadata: Mapping[str, str],
    beside: Mapping[str, bytes],
    *,
    inputs: Sequence[Checkpoint],
) -> Written:
    """Writes a folder that is not there yet.

    weights:  file in the folder -> its tensors; data: of all of them, in this order
    metadata: of the first file; the others say what they must, and no more
    beside:   file in the folder -> its content
    Raises what `write` raises; then there is nothing at target.
    """
    check_folder(target, inputs)
    files: list[PlannedFile] = []
    for name, specs in weights.items():
        said = {"format": "pt", **(metadata if not files else {})}
        files.append(PlannedFile(Path(target) / name, specs, pack_header(specs, said)))
    plan = OutputPlan(Path(target), tuple(files), beside=dict(beside))
    return write_plan(plan, data, inputs=inputs, replace=False)

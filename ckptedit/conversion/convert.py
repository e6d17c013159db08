"""Writes a whole checkpoint in the other spelling, tensor by tensor: dtypes and bytes stay."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ckptedit.conversion.names import Conversion, Origin, to_folder, to_single
from ckptedit.conversion.pipeline import WEIGHTS, as_file, configs, lacking, packaged
from ckptedit.conversion.tokenizers import tokenizer_files
from ckptedit.deltas.export import some
from ckptedit.errors import Incompatible
from ckptedit.families import Family, detect, spelled
from ckptedit.families.own import VELOCITY, ZERO_SNR, prediction_of, zero_snr
from ckptedit.families.provenance import IMPLEMENTATION, IMPLEMENTATIONS, stamped
from ckptedit.files import Checkpoint, Kept, Spec, TensorInfo, card, ledger, require_weights, write
from ckptedit.files.folders import check_folder, write_folder
from ckptedit.files.header import BITS
from ckptedit.files.layout import FOLDER
from ckptedit.files.writer import Content
from ckptedit.progress import Track, silent

SPELLINGS = {"diffusers": "diffusers", "single": "ldm"}  # format -> whose names it has


@dataclass(frozen=True)
class Converted:
    """A checkpoint that was written in the other spelling.

    sha256:   of its tensor data
    left_out: tensors that have no place in it
    lacking:  components of the pipeline, tokenizers among them, that are not in it
    """

    path: Path
    sha256: str
    format: str
    tensors: int
    left_out: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()

    @property
    def notes(self) -> list[str]:
        """What the user should hear of, one line each."""
        found = []
        if self.left_out:
            kind = "folder of components" if self.format == "diffusers" else "single file"
            count = len(self.left_out)
            found.append(f"left out {count} tensors that a {kind} has no place for: "
                         f"{some(self.left_out)}")  # fmt: skip
        for name in self.lacking:
            how = (
                "give it with --tokenizer" if name.startswith("tokenizer") else "nor has the input"
            )
            found.append(f"the folder has no {name}, {how}; pipelines need it")
        return found

    def as_dict(self) -> dict[str, Any]:
        """The figures under their stable names, for JSON."""
        return {
            "output": str(self.path),
            "sha256": self.sha256,
            "format": self.format,
            "tensors": self.tensors,
            "left_out": list(self.left_out),
            "lacking": list(self.lacking),
        }


def other_format(checkpoint: Checkpoint) -> str:
    """The format that a checkpoint is not in. Raises Incompatible if its family has but one."""
    if (family := detect(checkpoint)).blocks is None:
        raise Incompatible(
            f"{checkpoint.label}: {family.name} files are written in one spelling only; diffusers "
            "reads them as they are"
        )
    return "diffusers" if spelled(checkpoint).spelling == "ldm" else "single"


def convert(
    checkpoint: Checkpoint,
    output: str | Path,
    format: str,
    *,
    tokenizer: Path | None = None,
    prediction: str = "auto",
    base_model: Sequence[str] = (),
    force: bool = False,
    track: Track = silent,
) -> Converted:
    """Writes a checkpoint as a diffusers folder or as a single file. See `export`.

    Raises Incompatible if it is spelled so already, or quantised, or is of a family that has no
    such form; BadCheckpoint, BadParam and what `write` raises.
    """
    require_weights(checkpoint)
    family = detect(checkpoint)
    if format != other_format(checkpoint):
        what = "diffusers'" if format == "diffusers" else "a single file's"
        raise Incompatible(
            f"{checkpoint.label} has {what} names already; --format {other_format(checkpoint)} "
            "writes the others"
        )
    if format == "single":
        return _single(checkpoint, output, family, force, track)
    return _folder(checkpoint, output, family, tokenizer, prediction, base_model, track)


def _single(
    checkpoint: Checkpoint, output: str | Path, family: Family, force: bool, track: Track
) -> Converted:
    plan = to_single(checkpoint, family)
    specs = [_spec(origin, checkpoint) for origin in plan.origins]
    data: list[Content] = list(_contents(plan, checkpoint))
    for marker in _markers(checkpoint, family):
        specs.append(Spec(marker, "F32", (0,)))
        data.append(b"")
    written = write(
        output,
        specs,
        track(data, "converting", len(data)),
        _metadata(checkpoint, "single"),
        force=force,
        inputs=[checkpoint],
    )
    return Converted(written.path, written.sha256, "single", len(specs), plan.left_out)


def _folder(
    checkpoint: Checkpoint,
    output: str | Path,
    family: Family,
    tokenizer: Path | None,
    prediction: str,
    base_model: Sequence[str],
    track: Track,
) -> Converted:
    check_folder(output, [checkpoint])
    metadata = _metadata(checkpoint, "diffusers")
    about = {card.NAME: card.card(metadata, base_model)}
    plan = to_folder(checkpoint, family, _depths(family))
    shapes = {origin.name: origin.shape for origin in plan.origins}
    found = configs(
        shapes,
        family,
        prediction=prediction_of(checkpoint, family, prediction),
        no_signal_at_end=zero_snr(checkpoint),
    )
    tokenizers, without = tokenizer_files(tokenizer, checkpoint, family, found)
    parts = [part for part in WEIGHTS if any(name.startswith(f"{part}.") for name in shapes)]
    grouped = Conversion(
        tuple(o for part in parts for o in plan.origins if o.name.startswith(f"{part}.")),
        plan.left_out,
    )
    written = write_folder(
        output,
        {
            WEIGHTS[part]: [
                _spec(origin, checkpoint, without=f"{part}.")
                for origin in grouped.origins
                if origin.name.startswith(f"{part}.")
            ]
            for part in parts
        },
        track(list(_contents(grouped, checkpoint)), "converting", len(grouped.origins)),
        metadata,
        {name: as_file(config) for name, config in found.items()} | tokenizers | about,
        inputs=[checkpoint],
    )
    absent = (*lacking(shapes, family), *without)
    return Converted(written.path, written.sha256, "diffusers", len(shapes), plan.left_out, absent)


def _depths(family: Family) -> dict[str, int]:
    """How many layers the config of each text encoder has."""
    names = [reader.component for reader in family.readers]
    return {n: packaged(family, f"{n}/config.json")["num_hidden_layers"] for n in names}


def _metadata(checkpoint: Checkpoint, format: str) -> dict[str, str]:
    """The checkpoint's, without hashes of the old file, with the name of whose code reads it."""
    kept = {"format": "pt", **ledger.without_identity(checkpoint.metadata)}
    found = stamped(kept, checkpoint, spelling=SPELLINGS[format])
    if IMPLEMENTATION in found:
        found[IMPLEMENTATION] = IMPLEMENTATIONS[SPELLINGS[format]]
    return found


def _spec(origin: Origin, checkpoint: Checkpoint, without: str = "") -> Spec:
    return Spec(origin.name.removeprefix(without), checkpoint[origin.parts[0]].dtype, origin.shape)


def _contents(plan: Conversion, checkpoint: Checkpoint) -> Iterator[Content]:
    """The bytes of each tensor: copied as they are stored, but for those that are turned."""
    thirds = checkpoint.view(
        dict(_third(o, checkpoint) for o in plan.origins if o.third is not None)
    )
    for origin in plan.origins:
        if origin.turned:
            yield _turned(checkpoint, origin.parts[0])
        elif len(origin.parts) > 1:
            yield _one_after_the_other(checkpoint, origin)
        elif origin.third is not None:
            yield Kept(thirds, origin.name)
        else:
            yield Kept(checkpoint, origin.parts[0])


def _third(origin: Origin, checkpoint: Checkpoint) -> tuple[str, TensorInfo]:
    """Where a third of the rows of a packed matrix is."""
    info = checkpoint[origin.parts[0]]
    size = info.nbytes // 3
    start = info.offset + (origin.third or 0) * size
    return origin.name, TensorInfo(origin.name, info.dtype, origin.shape, start, size, info.file)


def _one_after_the_other(checkpoint: Checkpoint, origin: Origin) -> Iterator[memoryview]:
    for part in origin.parts:
        yield from checkpoint.chunks(part)


def _turned(checkpoint: Checkpoint, name: str) -> Iterator[Any]:
    """The transpose of a matrix [m, n], whatever its numbers are."""
    info = checkpoint[name]
    if len(info.shape) != 2 or BITS[info.dtype] % 8:
        raise Incompatible(f"{checkpoint.label}: {name} is no matrix of whole bytes")
    stored = checkpoint.raw(name).reshape(*info.shape, BITS[info.dtype] // 8)
    yield stored.swapaxes(0, 1)


def _markers(checkpoint: Checkpoint, family: Family) -> list[str]:
    """Empty tensors by which a single file says what a folder's schedule does, as ComfyUI reads
    them: of families whose UNet puts out the noise where nothing is said.

    Raises BadCheckpoint for a schedule that no marker stands for.
    """
    if checkpoint.layout.kind != FOLDER or family.prediction != "epsilon":
        return []
    if prediction_of(checkpoint, family) != "v_prediction":
        return []
    return [VELOCITY, *([ZERO_SNR] if zero_snr(checkpoint) else [])]

"""A delta made from a single file fits the diffusers folder of the same model, and back."""

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tiny_model import random_mini, random_mini_folder
from typer.testing import CliRunner

from ckptedit.cli import app
from ckptedit.deltas import apply, write_delta
from ckptedit.families import spelled_like
from ckptedit.files import Checkpoint
from ckptedit.merging import merge

CHANGED = (
    "model.diffusion_model.input_blocks.3.1.transformer_blocks.0.attn2.to_k.weight",
    "model.diffusion_model.output_blocks.2.0.out_layers.3.bias",
    "first_stage_model.decoder.mid.attn_1.q.weight",  # of another shape in a folder
    "cond_stage_model.transformer.text_model.encoder.layers.0.mlp.fc1.weight",
)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A model as a file and as a folder; and an edit of it as a file."""
    folder = tmp_path_factory.mktemp("spellings")
    single = random_mini(folder / "single.safetensors")
    tensors = load_file(single)
    for name in CHANGED:
        tensors[name] = (tensors[name].astype(np.float32) * 1.25 + 0.01).astype(np.float16)
    save_file(tensors, folder / "edited.safetensors")
    return single, random_mini_folder(folder / "parts"), folder / "edited.safetensors"


def same(one, other) -> bool:
    """Whether two checkpoints of either spelling hold the same."""
    with Checkpoint(one) as here, Checkpoint(other) as there:
        view = spelled_like(here, there)
        return view.keys() == there.keys() and all(
            view.raw(name).tobytes() == there.raw(name).tobytes() for name in there
        )


def test_a_delta_of_the_file_is_applied_to_the_folder_and_taken_out_again(both, tmp_path):
    single, parts, edited = both
    delta = write_delta(single, edited, tmp_path / "d.safetensors", exact=True).path
    there = apply(parts, delta, tmp_path / "there")
    assert same(edited, there.path) and not there.verified
    assert [note for note in there.notes if "spells its tensors otherwise" in note] == there.notes
    back = apply(there.path, delta, tmp_path / "back", reverse=True)
    assert same(single, back.path)
    with Checkpoint(back.path) as restored, Checkpoint(parts) as first:
        assert restored.data_sha256() == first.data_sha256() and restored.ledger == []


def test_a_delta_between_the_spellings_is_that_of_one_of_them(both, tmp_path):
    single, parts, edited = both
    mixed = write_delta(parts, edited, tmp_path / "d.safetensors", exact=True)
    starts = sorted(name.split(".")[0] for name in mixed.entries)
    assert starts == ["text_encoder", "unet", "unet", "vae"]
    there = apply(single, mixed.path, tmp_path / "there.safetensors")
    assert same(there.path, edited)


def test_an_edit_is_merged_whatever_its_spelling(both, tmp_path):
    single, parts, edited = both
    delta = write_delta(single, edited, tmp_path / "d.safetensors").path
    alike = merge(single, [edited], tmp_path / "a.safetensors", method="task").path
    assert same(alike, merge(parts, [edited], tmp_path / "b", method="task").path)
    summed = merge(single, [delta], tmp_path / "c.safetensors", method="task").path
    assert same(summed, merge(parts, [delta], tmp_path / "d", method="task").path)
    merged = merge(single, [parts, edited], tmp_path / "e.safetensors", method="task")
    assert not merged.notes and merged.edits[0]["tensors"] == 0
    assert same(
        merged.path, merge(single, [edited], tmp_path / "f.safetensors", method="task").path
    )


def test_the_command_line_says_what_it_could_not_check(both, tmp_path):
    single, parts, edited = both
    delta = write_delta(single, edited, tmp_path / "d.safetensors").path
    done = CliRunner().invoke(app, ["apply", str(parts), str(delta), "-o", str(tmp_path / "out")])
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path / 'out'}\n")
    assert "those that change are checked one by one, the rest cannot be" in done.stderr

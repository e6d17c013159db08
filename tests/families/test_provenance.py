"""The keys that other tools read: inherited, written, merged, and put back."""

import json

import numpy as np
import pytest
from header_only import header_of
from huggingface_hub import ModelCard
from safetensors.numpy import load_file, save_file
from tiny_model import random_mini, random_mini_folder

import ckptedit
from ckptedit.deltas import LowRank
from ckptedit.errors import BadParam
from ckptedit.families import FAMILIES, MINI, kv_weights
from ckptedit.families.provenance import stamped
from ckptedit.files import Checkpoint, ledger
from ckptedit.files.card import card

A1111 = {"type": "webui", "primary_model_hash": "a" * 64, "interp_method": "Weighted sum"}
INHERITED = {
    "format": "pt",
    "modelspec.title": "Their model",
    "modelspec.license": "openrail++",
    "modelspec.sai_model_spec": "1.0.0",
    "modelspec.hash_sha256": "0x1",
    "modelspec.thumbnail": "data:",
    "sshs_model_hash": "1",
    "ss_tag_frequency": "{}",
    "sd_merge_recipe": json.dumps(A1111),
    "sd_merge_models": json.dumps({"b" * 64: {"name": "older", "sd_merge_recipe": None}}),
}
STALE = {"modelspec.hash_sha256", "modelspec.thumbnail", "sshs_model_hash"}


def change(path, seed=0):
    rng = np.random.default_rng(seed)
    with Checkpoint(path) as opened:
        name = kv_weights(opened, MINI)[0].name
        rows, width = opened[name].shape
    factors = (rng.standard_normal(s).astype(np.float32) / 9 for s in ((rows, 2), (2, width)))
    return {name: LowRank(*factors)}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("provenance")
    save_file(
        load_file(random_mini(folder / "m.safetensors")), folder / "base.safetensors", INHERITED
    )
    return folder / "base.safetensors"


def edited(base, folder, name="edited", line=None):
    """A child of the base, and the delta that was applied for it. line: of the ledger, its own"""
    delta, child = folder / f"{name}.delta.safetensors", folder / name
    child = child if base.is_dir() else child.with_suffix(".safetensors")
    ckptedit.write_delta(base, change(base, seed=len(name)), delta, line=line)
    ckptedit.apply(base, delta, child)
    return child, delta


def erasure(base):
    with Checkpoint(base) as opened:
        sha256 = opened.data_sha256()
    return ledger.entry("erase", {"method": "balanced"}, sha256, concepts=["Van Gogh"])


def metadata(path):
    with Checkpoint(path) as opened:
        return opened.metadata


def test_keys_are_inherited_but_for_what_is_stale_and_what_lacks_is_added(base, tmp_path):
    found = metadata(edited(base, tmp_path)[0])
    assert not STALE & found.keys()
    kept = {k: v for k, v in INHERITED.items() if k not in STALE and not k.startswith("sd_merge")}
    assert kept.items() <= found.items()
    spec = {k.removeprefix("modelspec."): v for k, v in found.items() if k.startswith("modelspec.")}
    assert spec.pop("merged_from")  # the delta
    assert spec == {
        "sai_model_spec": "1.0.0", "title": "Their model", "license": "openrail++",
        "architecture": "mini", "resolution": "64x64", "prediction_type": "epsilon",
        "implementation": "https://github.com/Stability-AI/generative-models",
    }  # fmt: skip


def test_the_recipe_and_the_models_behind_it_are_as_a1111_has_them(base, tmp_path):
    path, delta = edited(base, tmp_path)
    with Checkpoint(base) as one, Checkpoint(delta) as other:
        parent, added = one.data_sha256(), other.data_sha256()
    recipe = json.loads(metadata(path)["sd_merge_recipe"])
    assert recipe["type"] == "ckptedit" and recipe["operation"] == "apply"
    assert (recipe["primary_model_hash"], recipe["secondary_model_hash"]) == (parent, added)
    assert recipe["multiplier"] == 1.0 and recipe["is_inpainting"] is False
    models = json.loads(metadata(path)["sd_merge_models"])
    assert models[parent]["sd_merge_recipe"] == A1111
    assert models["b" * 64]["name"] == "older" and added in models
    with Checkpoint(path) as one:
        middle, lines = one.data_sha256(), [*one.ledger, erasure(path)]
        again = stamped(ledger.replaced(one.metadata, lines), one)
    assert json.loads(again["sd_merge_recipe"])["operation"] == "erase"
    assert json.loads(again["sd_merge_recipe"])["interp_method"] == "balanced"
    assert json.loads(again["sd_merge_models"])[middle]["sd_merge_recipe"] == recipe
    assert json.loads(again["sd_merge_models"]).keys() > models.keys()


def test_a_merge_has_the_models_of_all_that_went_into_it(base, tmp_path):
    one, two = edited(base, tmp_path)[0], edited(base, tmp_path, "other")[0]
    stranger = {"c" * 64: {"name": "of the other", "sd_merge_recipe": None}}
    said = metadata(two) | {"sd_merge_models": json.dumps(stranger), "ckptedit.stamped": "{}"}
    save_file(load_file(two), two, said)
    ckptedit.merge(base, [one, two], tmp_path / "merged.safetensors")
    models = json.loads(metadata(tmp_path / "merged.safetensors")["sd_merge_models"])
    with Checkpoint(one) as a, Checkpoint(two) as b:
        digests = [a.data_sha256(), b.data_sha256()]
    assert {*digests, "b" * 64, "c" * 64} <= models.keys()
    assert models[digests[1]]["sd_merge_recipe"]["type"] == "ckptedit"
    merged = metadata(tmp_path / "merged.safetensors")
    assert merged["modelspec.merged_from"] == ", ".join(digest[:12] for digest in digests)


def test_an_edit_that_is_taken_out_takes_its_keys_along(base, tmp_path):
    once, delta = edited(base, tmp_path)
    ckptedit.apply(once, delta, tmp_path / "back.safetensors", reverse=True)
    clean = {key: text for key, text in INHERITED.items() if key not in STALE}
    assert metadata(tmp_path / "back.safetensors") == clean
    twice, second = edited(once, tmp_path, "a second")
    ckptedit.apply(twice, second, tmp_path / "once.safetensors", reverse=True)
    assert metadata(tmp_path / "once.safetensors") == metadata(once)


def test_foreign_keys_that_are_no_tables_are_left_behind_and_do_no_harm(base, tmp_path):
    odd = {"sd_merge_models": "[", "sd_merge_recipe": "no json", "ckptedit.stamped": "[1]"}
    save_file(load_file(base), tmp_path / "odd.safetensors", odd)
    path, delta = edited(tmp_path / "odd.safetensors", tmp_path)
    assert json.loads(metadata(path)["sd_merge_recipe"])["type"] == "ckptedit"
    ckptedit.apply(path, delta, tmp_path / "b.safetensors", reverse=True)
    assert metadata(tmp_path / "b.safetensors") == {
        "format": "pt", "sd_merge_models": "[", "sd_merge_recipe": "no json"
    }  # fmt: skip


@pytest.mark.parametrize(
    "family, channels, spelling, tensors, said",
    [
        ("sd1", 4, "ldm", (), ("stable-diffusion-v1", "512x512", "epsilon")),
        ("sd1", 9, "ldm", (), ("stable-diffusion-v1-inpainting", "512x512", "epsilon")),
        ("sd2", 4, "ldm", (), ("stable-diffusion-v2", None, None)),
        ("sd2", 4, "ldm", ("v_pred",), ("stable-diffusion-v2-768-v", "768x768", "v")),
        ("sdxl", 4, "ldm", (), ("stable-diffusion-xl-v1-base", "1024x1024", "epsilon")),
        ("sd1", 4, "diffusers", (), ("stable-diffusion-v1", "512x512", "epsilon")),
    ],
)
def test_architecture_resolution_and_prediction_are_those_of_the_spec(
    family, channels, spelling, tensors, said, tmp_path
):
    """The names are those of kohya's scripts, `library/sai_model_spec.py`, and of the spec."""
    found = header_of(FAMILIES[family], channels, tmp_path / "h.safetensors", spelling)
    view = found.view({name: found[name] for name in found})
    for name in tensors:
        view._tensors[name] = next(iter(view._tensors.values()))
    lines = ledger.append({}, ledger.entry("erase", {}, "0"))
    keys = stamped(lines, view)
    spec = [keys.get(f"modelspec.{k}") for k in ("architecture", "resolution", "prediction_type")]
    assert tuple(spec) == said
    stability = "https://github.com/Stability-AI/generative-models"
    assert keys["modelspec.implementation"] == (stability if spelling == "ldm" else "diffusers")
    assert json.loads(keys["sd_merge_recipe"])["is_inpainting"] is (channels == 9)


@pytest.mark.parametrize("name", ["no", "openrail++", "1.0"])
def test_a_licence_is_a_text_in_the_card(name):
    assert ModelCard(card({"modelspec.license": name}).decode()).data.license == name


def test_the_date_is_that_of_the_last_entry_or_none(base, tmp_path, monkeypatch):
    assert "modelspec.date" not in metadata(edited(base, tmp_path)[0])
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert metadata(edited(base, tmp_path, "dated")[0])["modelspec.date"] == "1970-01-02T00:00:00Z"


def test_a_folder_gets_a_card_that_the_hub_reads_unless_it_has_one(tmp_path):
    parts = random_mini_folder(tmp_path / "parts")
    edited(parts, tmp_path, line=erasure(parts))
    text = (tmp_path / "edited/README.md").read_text()
    data = ModelCard(text).data
    assert (data.library_name, data.pipeline_tag) == ("diffusers", "text-to-image")
    assert data.tags == ["ckptedit", "concept-erasure", "unlearning"]
    assert data.to_dict()["base_model_relation"] == "finetune" and data.base_model is None
    assert "1. erase (balanced): Van Gogh; of tensors with the sha256 `" in text
    (parts / "README.md").write_text("mine\n")
    edited(parts, tmp_path, "again")
    assert (tmp_path / "again/README.md").read_text() == "mine\n"


def test_an_exported_folder_has_a_card_with_the_base_that_the_user_names(base, tmp_path):
    one, _ = edited(base, tmp_path)
    ckptedit.merge(base, [one], tmp_path / "merged.safetensors")
    ckptedit.export(tmp_path / "merged.safetensors", tmp_path / "f", base_model="some/model")
    data = ModelCard((tmp_path / "f/README.md").read_text()).data
    assert data.base_model == ["some/model"] and data.license == "openrail++"
    assert data.to_dict()["base_model_relation"] == "merge" and "merge" in data.tags
    assert metadata(tmp_path / "f")["modelspec.implementation"] == "diffusers"
    ckptedit.export(base, tmp_path / "plain")
    plain = ModelCard((tmp_path / "plain/README.md").read_text())
    assert plain.data.tags == ["ckptedit"] and "no weight was changed" in plain.text
    with pytest.raises(BadParam, match="no model of the hub"):
        ckptedit.export(base, tmp_path / "g", base_model="not a name")
    assert not (tmp_path / "g").exists()


def test_a_converted_file_says_whose_code_reads_it_now(base, tmp_path):
    said = INHERITED | {
        "modelspec.implementation": "https://github.com/Stability-AI/generative-models"
    }
    save_file(load_file(base), tmp_path / "one.safetensors", said)
    ckptedit.export(tmp_path / "one.safetensors", tmp_path / "f")
    assert metadata(tmp_path / "f")["modelspec.implementation"] == "diffusers"
    ckptedit.export(tmp_path / "f", tmp_path / "back.safetensors")
    assert metadata(tmp_path / "back.safetensors") == {k: said[k] for k in said.keys() - STALE}


def test_titles_of_strangers_stay_text():
    text = card({"modelspec.title": "a\n---\n<b>", "modelspec.license": "x: y"}).decode()
    assert "# a\\n---\\n&lt;b>" in text and ModelCard(text).data.license is None

"""An erasure from end to end, on a model that takes milliseconds: interrupted, repeated, copied."""

import json
import resource
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_model import SCHEDULER, tiny_modules

from ckptedit import erase
from ckptedit.concepts import Lexicon
from ckptedit.concepts.prompts import held_out
from ckptedit.concepts.request import Request
from ckptedit.concepts.targets import Target, erased
from ckptedit.concepts.wish import Wish
from ckptedit.deltas.change import patched
from ckptedit.diffusion import open_model
from ckptedit.erasure import erase as module
from ckptedit.erasure import memory
from ckptedit.erasure.job import prepare
from ckptedit.erasure.options import Options
from ckptedit.erasure.reading import counted, read
from ckptedit.errors import BadCheckpoint, BadParam, WriteFailed
from ckptedit.families import average_name, kv_weights
from ckptedit.families.own import prediction_of
from ckptedit.files import Checkpoint
from ckptedit.subspaces import second_moment
from ckptedit.subspaces.words import Words

QUICK = {"steps": 6, "batch": 2, "pictures": 2, "moments": 2, "neighbors": 1, "device": "cpu"}
ALL_GUARDS = {"guards": ("gradproj:soft", "distill"), "params": {"gradproj:soft": {"rank": 2}}}


class Track:
    """Counts the steps of the training, and stops it before one of them."""

    def __init__(self, stop: int | None = None) -> None:
        self.stop, self.steps = stop, 0

    def __call__(self, items, label, total=None, note=None):
        for item in items:
            if label == "erasing":
                if self.steps == self.stop:
                    raise KeyboardInterrupt
                self.steps += 1
            yield item


@pytest.fixture(autouse=True)
def keeps_every_step(monkeypatch, own_cache):
    monkeypatch.setattr(memory, "SECONDS", 0.0)
    monkeypatch.setattr(memory, "PATIENCE", 0.0)


def test_an_edit_stays_in_memory_if_there_is_no_output(tiny):
    made = erase(tiny, ["van gogh"], **QUICK, **ALL_GUARDS)
    assert made.path is None and made.sha256 is None
    assert {c.shape for c in made.edits.values()} and made.effect.drift > 0


def test_what_is_written_is_the_edit_applied(tiny, tmp_path):
    made = erase(tiny, ["van gogh"], tmp_path / "out.safetensors", **QUICK, **ALL_GUARDS)
    before, after = Checkpoint(tiny), Checkpoint(made.path)
    assert after.data_sha256() == made.sha256
    for name in before:
        want = before.raw(name)
        if name in made.edits:
            want = patched(want, before[name], made.edits[name], 1)
        assert np.array_equal(after.raw(name), want), name
    assert [t.concept for t in erased(after.ledger)] == ["van gogh"]


def test_an_interrupted_training_goes_on_to_the_same_bytes(tiny, tmp_path):
    whole = erase(tiny, ["van gogh"], tmp_path / "whole.safetensors", **QUICK, **ALL_GUARDS)
    with pytest.raises(KeyboardInterrupt):
        erase(tiny, ["van gogh"], tmp_path / "x", **QUICK, **ALL_GUARDS, track=Track(stop=4))
    rest = Track()
    out = tmp_path / "resumed.safetensors"
    made = erase(tiny, ["van gogh"], out, **QUICK, **ALL_GUARDS, resume=True, track=rest)
    assert rest.steps == 2 and made.sha256 == whole.sha256
    again = Track()
    erase(tiny, ["van gogh"], **QUICK, **ALL_GUARDS, resume=True, track=again)
    assert again.steps == 6  # what is written is not gone on with


def test_only_the_same_training_goes_on(tiny, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        erase(tiny, ["van gogh"], **QUICK, track=Track(stop=4))
    for other in ({"seed": 1}, {"lr": 1e-3}, {"retain": ["monet"], "neighbors": 0}):
        track = Track()
        erase(tiny, ["van gogh"], **(QUICK | other), resume=True, track=track)
        assert track.steps == 6, other
    track = Track()
    erase(tiny, ["van gogh"], **QUICK, track=track)  # not asked for
    assert track.steps == 6


def test_a_training_whose_output_could_not_be_written_is_kept(tiny, tmp_path, monkeypatch):
    def full(*args, **how):
        raise WriteFailed("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_edited", full)
        with pytest.raises(WriteFailed, match="--resume"):
            erase(tiny, ["van gogh"], tmp_path / "a.safetensors", **QUICK)
    track = Track()
    erase(tiny, ["van gogh"], tmp_path / "b.safetensors", **QUICK, resume=True, track=track)
    assert track.steps == 0


def test_a_full_disk_is_found_before_the_training(tiny, tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler, track = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), Track()
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(WriteFailed, match="the output takes"):
            erase(tiny, ["van gogh"], tmp_path / "out.safetensors", **QUICK, track=track)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert track.steps == 0 and not (tmp_path / "out.safetensors").exists()


def test_the_number_of_threads_decides_the_bytes_and_is_told(tiny, tmp_path):
    before, digests = torch.get_num_threads(), []
    try:
        for outside in (1, 2):
            torch.set_num_threads(outside)
            out = tmp_path / f"{outside}.safetensors"
            made = erase(tiny, ["van gogh"], out, **QUICK, threads=1)
            assert torch.get_num_threads() == outside
            digests.append(made.sha256)
            assert Checkpoint(out).ledger[0]["options"]["threads"] == 1
    finally:
        torch.set_num_threads(before)
    assert digests[0] == digests[1]


def test_averaged_copies_forget_too(tiny, tmp_path):
    tensors = load_file(tiny)
    names = [weight.name for weight in kv_weights(Checkpoint(tiny))]
    copies = {average_name(name): 0.9 * tensors[name] for name in names}
    assert next(iter(copies)).startswith("model_ema.diffusion_model") and len(copies) == len(names)
    base = tmp_path / "ema.safetensors"
    save_file(tensors | copies, base)
    made = erase(base, ["van gogh"], tmp_path / "out.safetensors", **QUICK)
    before, after = load_file(base), load_file(made.path)
    for name in names:
        moved = after[name] - before[name]
        assert moved.any()
        copied = after[average_name(name)] - before[average_name(name)]
        torch.testing.assert_close(copied, moved, atol=1e-6, rtol=1e-4)


@pytest.fixture
def folder(tiny, tmp_path):
    """The same weights as a diffusers folder, with configs of its own."""
    for name, part in zip(("unet", "vae", "text_encoder"), tiny_modules(), strict=True):
        part.save_pretrained(tmp_path / "model" / name)
    return tmp_path / "model"


def say(folder, **scheduler):
    path = folder / "scheduler" / "scheduler_config.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(SCHEDULER | scheduler))


def test_a_folder_says_what_its_unet_predicts_and_the_teaching_differs(tiny, folder):
    say(folder, prediction_type="v_prediction")
    velocity = erase(folder, ["van gogh"], **QUICK)
    noise = erase(folder, ["van gogh"], **QUICK, prediction="epsilon")
    single = erase(tiny, ["van gogh"], **QUICK)
    assert noise.effect.drift == pytest.approx(single.effect.drift, rel=1e-3)
    assert velocity.effect.drift != pytest.approx(single.effect.drift, rel=1e-2)


@pytest.mark.parametrize(
    "said, words",
    [
        ({"prediction_type": "sample"}, "prediction_type sample"),
        ({"beta_end": "much"}, "beta_end"),
        ({"num_train_timesteps": 0}, "num_train_timesteps"),
    ],
)
def test_a_schedule_that_is_not_supported_is_refused_before_anything_runs(folder, said, words):
    say(folder, **said)
    with pytest.raises(BadCheckpoint, match=words):
        erase(folder, ["van gogh"], **QUICK)


def test_a_kind_of_file_that_does_not_tell_what_it_predicts_must_be_told(tiny, family):
    either = replace(family, prediction=None)
    with pytest.raises(BadParam, match="--prediction"):
        prediction_of(Checkpoint(tiny), either)
    assert prediction_of(Checkpoint(tiny), either, "v_prediction") == "v_prediction"
    with pytest.raises(BadParam, match="there are: auto, epsilon"):
        prediction_of(Checkpoint(tiny), either, "velocity")


def test_a_marker_tensor_says_that_the_unet_predicts_a_velocity(tiny, tmp_path, family):
    marked = tmp_path / "marked.safetensors"
    save_file(load_file(tiny) | {"v_pred": torch.empty(0)}, marked)
    assert prediction_of(Checkpoint(marked), family) == "v_prediction"
    assert prediction_of(Checkpoint(tiny), family) == "epsilon"


def test_the_ledger_tells_what_was_retained_and_the_delta_where_the_target_is(tiny, tmp_path):
    made = erase(tiny, ["van gogh"], tmp_path / "out.safetensors", **QUICK, retain=["monet"])
    (line,) = Checkpoint(made.path).ledger
    assert line["retain"] == list(made.request.retained) and "monet" in line["retain"]
    prompts = held_out(made.request.wanted, made.request)
    assert prompts and all("van gogh" in prompt for prompt in prompts)
    tokens = open_model(tiny).text.encode(prompts).hidden
    torch.testing.assert_close(made.gram, second_moment(tokens).float())


def test_the_words_of_what_was_erased_before_are_protected_too(encoder):
    request = Request(
        targets=(Target("monet", "style", "photo"),),
        earlier=(Target("van gogh", "style", "photo"),),
        retain={"style": ("hokusai",), "object": ()},
        companions={"style": (), "object": ("cat",)},
    )
    prompts = ["a cat by van gogh", "a cat by hokusai", "a cat"]
    counting = counted(encoder, request, prompts, "concept")
    assert [row.nonzero().flatten().tolist() for row in counting] == [[4, 5], [4], []]
    assert counted(encoder, request, prompts, "all").all()


def test_a_reading_tells_where_the_anchors_prompts_have_its_name(encoder):
    request = Request(
        targets=(Target("monet", "style", "photo"),),
        earlier=(),
        retain={"style": ("hokusai",), "object": ()},
        companions={"style": (), "object": ("cat",)},
    )
    lexicon = Lexicon(("monet",), ("cat",))
    reading, wanted, _ = read(request, Words(encoder, lexicon), "all")
    prompts = list(dict.fromkeys(pair.anchor for pair in wanted))
    assert prompts[0] == "a photo of a cat"
    torch.testing.assert_close(reading.anchors, encoder.encode(prompts).hidden)
    where = [row.nonzero().flatten().tolist() for row in reading.named]
    assert where == [[2]] * len(prompts)


def test_a_training_with_another_lexicon_is_another(tiny):
    keys = set()
    for objects in (("cat", "dog"), ("cat", "dog", "tree")):
        job = prepare(Checkpoint(tiny), Wish(["van gogh"], "style"), Options(), device="cpu")
        keys.add(replace(job, lexicon=Lexicon(("monet",), objects)).key())
    assert len(keys) == 2

"""What the probes that run the model say: on the model that ships, and by arithmetic."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

import ckptedit
from ckptedit.audits.audit import about_pair
from ckptedit.audits.drawn import cells, noised
from ckptedit.audits.gap import Gap
from ckptedit.audits.inversion import Inversion, inverted, redrawn
from ckptedit.audits.prefix import Prefix, _search, _watched
from ckptedit.audits.relearning import Relearning
from ckptedit.audits.subject import Subject
from ckptedit.diffusion.schedule import Schedule
from ckptedit.errors import BadParam
from ckptedit.families import kv_weights
from ckptedit.files import Checkpoint
from ckptedit.progress import silent
from ckptedit.text.condition import Condition

SCHEDULE = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012,
            "num_train_timesteps": 1000}  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mini") / "base.safetensors"
    ckptedit.demo(path)
    return path


def about(base: Path, edited: Path, concept: str = "Van Gogh") -> Subject:
    return about_pair(
        Checkpoint(base), Checkpoint(edited), concept, "style", "photo", aliases=(), device="cpu",
        seed=0, tokenizer=None, clip_skip=None, track=silent,
    )  # fmt: skip


@pytest.fixture(scope="module")
def same(base: Path) -> Subject:
    """The original, audited as an edit of itself."""
    return about(base, base)


@pytest.fixture(scope="module")
def deaf(base: Path) -> Subject:
    """A model whose cross-attention reads nothing."""
    tensors = load_file(base)
    for weight in kv_weights(Checkpoint(base)):
        tensors[weight.name] = torch.zeros_like(tensors[weight.name])
    save_file(tensors, base.parent / "deaf.safetensors")
    return about(base, base.parent / "deaf.safetensors")


def test_the_gap_of_the_original_is_whole_and_of_a_deaf_model_none(same, deaf):
    whole = Gap(pictures=1).run(same, silent)
    assert whole.left == 1 and all(row["left"] in (1, None) for row in whole.rows)
    assert whole.figures["original_gap"] == whole.figures["edited_gap"] > 0
    none = Gap(pictures=1).run(deaf, silent)
    assert none.left == pytest.approx(0, abs=1e-3)
    assert none.figures["edited_concept"] == pytest.approx(none.figures["edited_empty"], rel=1e-3)
    assert none.figures["original_concept"] == whole.figures["original_concept"]  # paired


def test_a_concept_that_is_its_anchor_has_no_gap(base, same):
    other = about(base, base)
    object.__setattr__(other, "target", type(same.target)("photo", "style", "photo"))
    with pytest.raises(BadParam, match="no better by its name"):
        Gap(pictures=1).run(other, silent)


class Exact:
    """A model that sees the noise which is really there."""

    def __init__(self, clean: torch.Tensor, noise: torch.Tensor) -> None:
        self.schedule, self.device, self.batch = Schedule(SCHEDULE), torch.device("cpu"), 8
        self.noise = noise
        self.text = SimpleNamespace(
            encode=lambda p: SimpleNamespace(condition=Condition(torch.zeros(len(p), 1, 1)))
        )

    def denoiser(self, latents, t, text):
        return self.noise

    def autocast(self):
        return nullcontext()


def test_the_steps_of_the_inversion_lead_to_the_noise_that_was_put_in_and_back():
    clean, noise = torch.randn(2, 2, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    model = Exact(clean, noise)
    t = torch.tensor([0, 0])
    start = model.schedule.add_noise(clean, noise, t)
    end = inverted(model, start, ["", ""], 7, silent)
    torch.testing.assert_close(
        end, model.schedule.add_noise(clean, noise, t + 999), atol=1e-4, rtol=0
    )
    torch.testing.assert_close(redrawn(model, end, ["", ""], 5, silent), start, atol=1e-3, rtol=0)


def test_pictures_come_back_from_their_noise_and_less_from_fresh_noise(same):
    found = Inversion(pictures=1, steps=8).run(same, silent)
    rows = {(r["model"], r["told"], r["fresh"]): r for r in found.rows}
    assert len(rows) == 12 and found.figures["returned"] in (0, 1)
    assert found.left == found.figures["mixed"] == rows["edited", "nothing", 0.5]["seen"]
    apart = [rows["edited", "nothing", fresh]["apart"] for fresh in (0, 0.25, 0.5)]
    assert apart == sorted(apart) and apart[0] < apart[2]
    for key, row in rows.items():  # the same model and pictures on both sides
        assert row["apart"] == rows["original", *key[1:]]["apart"]


def test_a_prefix_is_read_as_its_words_are_and_never_makes_it_worse(same):
    probe = Prefix(words=2, rounds=2, tried=3, pictures=1, asked=1)
    found = probe.run(same, silent)
    losses = [row["loss"] for row in found.rows]
    assert losses == sorted(losses, reverse=True) and len(losses) == 3
    assert found.figures["tried"] == 1 + 2 * 3 and len(found.figures["prefix"].split()) == 2
    assert found.figures["plain"] == found.figures["original"] == found.left == 1


@pytest.fixture(scope="module")
def search(same):
    from ckptedit.audits.drawn import drawn

    return _search(same, drawn(same, 1, silent), 2)


def test_words_found_are_the_tokens_that_a_prompt_with_them_has(same, search):
    text = " ".join(search.words[i] for i in (7, 40))
    read = same.encoder.pad([f"{text} {cell.prompt}" for cell in cells(same, 1)])[0]
    assert torch.equal(search._with([7, 40])[:1], read)


def test_the_gradient_of_a_word_is_the_slope_of_the_loss(search):
    """Beside a difference of the loss along the embedding, by the same hooks."""
    encoder, ids = search.encoder, search._with([3, 9])
    with torch.enable_grad(), _watched(encoder, ids.shape) as shifts:
        (slope,) = torch.autograd.grad(search._loss(encoder.condition(ids)), shifts)
    along = torch.zeros_like(slope)
    along[:, 2] = slope[:, 2].sum(0) / slope[:, 2].sum(0).norm()  # of the second word
    with torch.no_grad(), _watched(encoder, ids.shape) as shifts:
        ends = []
        for step in (0.02, -0.02):
            shifts[0].copy_(step * along)
            ends.append(float(search._loss(encoder.condition(ids))))
    measured = (ends[0] - ends[1]) / 0.04
    assert measured == pytest.approx(
        float((slope * along).sum()), rel=0.2
    )  # the model computes in half where it can


def test_likely_words_have_the_least_product_with_the_gradient(search):
    encoder, ids = search.encoder, search._with([3, 9])
    with torch.enable_grad(), _watched(encoder, ids.shape) as shifts:
        (slope,) = torch.autograd.grad(search._loss(encoder.condition(ids)), shifts)
    rows = encoder.transformer.get_input_embeddings().weight[search.tokens]
    score = rows @ slope[:, 2].sum(0)
    assert search.likely([3, 9], 1, 5) == score.argsort(stable=True)[:5].tolist()


def test_a_prefix_without_room_is_refused(same):
    with pytest.raises(BadParam, match="no room for 16 words"):
        Prefix(words=16, pictures=1).run(same, silent)


@pytest.mark.parametrize("trains", ["kv", "unet"])
def test_relearning_trains_what_it_says_and_leaves_the_audited_model_alone(
    same, trains, monkeypatch
):
    from ckptedit.audits import drawn, relearning

    opened = []
    monkeypatch.setattr(drawn, "STEPS", 2)  # what is drawn is of no matter here
    monkeypatch.setattr(
        relearning, "open_model",
        lambda *a, **k: opened.append(ckptedit.open_model(*a, **k)) or opened[0],
    )  # fmt: skip
    before = {name: p.clone() for name, p in same.model.unet.named_parameters()}
    probe = Relearning(steps=8, batch=1, pictures=2, asked=1, trains=trains)
    found = probe.run(same, silent)
    assert [row["steps"] for row in found.rows] == [0, 1, 2, 4, 8]
    assert found.rows[0]["seen"] == found.figures["original"]
    moved = {n for n, p in opened[0].unet.named_parameters() if not torch.equal(p, before[n])}
    read = {n for n in before if ".attn2.to_k." in n or ".attn2.to_v." in n}
    assert moved == read if trains == "kv" else moved > read
    assert all(torch.equal(p, before[n]) for n, p in same.model.unet.named_parameters())


def test_no_lesson_names_the_concept(same):
    lessons = Relearning(pictures=40)._lessons(same)
    assert len(lessons) == len({cell.key for cell in lessons}) == 40
    assert not [cell for cell in lessons if "gogh" in cell.prompt.lower()]
    assert len({cell.style for cell in lessons}) == 8 and len({c.object for c in lessons}) == 4


def test_a_judge_that_does_not_know_the_concept_is_no_judge_of_it(base):
    other = about(base, base, "Dali")
    assert not other.can_judge
    with pytest.raises(BadParam, match="does not know the style 'Dali'"):
        _ = other.seen_as


def test_noise_depends_on_the_timestep_and_place_and_nothing_else():
    latents, schedule = torch.zeros(2, 1, 3, 3), Schedule(SCHEDULE)
    one, noise = noised(schedule, latents, 500, "gap")
    assert torch.equal(noised(schedule, latents[:1], 500, "gap")[1], noise[:1])
    assert not torch.equal(noise[0], noise[1])
    assert not torch.equal(noised(schedule, latents, 501, "gap")[1], noise)
    torch.testing.assert_close(one, (1 - schedule.alphas_cumprod[500]).sqrt() * noise)

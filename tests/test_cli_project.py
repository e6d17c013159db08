"""`ckptedit project`, as a user runs it."""

import json
from pathlib import Path

import pytest
import torch
from refusal import refused
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny_model import random_mini
from typer.testing import CliRunner, Result

from ckptedit.cli import app
from ckptedit.concepts.neighbors import nearest
from ckptedit.families import MINI
from ckptedit.files import Checkpoint
from ckptedit.subspaces import angles_between, protected_basis
from ckptedit.subspaces.span import FRAMES
from ckptedit.subspaces.wordlist import whole_words
from ckptedit.text import load_text_encoder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_mini(tmp_path_factory.mktemp("mini") / "base.safetensors")


@pytest.fixture(autouse=True)
def in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["project", *map(str, arguments)])


def report(*arguments: object) -> dict[str, object]:
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_json_has_the_stable_names(base: Path) -> None:
    found = report(base, "--concept", "Van Gogh")
    assert found["schema_version"] == 1
    assert found["dim"] == 256
    assert 1 <= int(found["rank"]) < 256  # type: ignore[call-overload]
    assert sum(found["energies"]) == pytest.approx(1)  # type: ignore[call-overload]
    for neighbor in found["neighbors"]:  # type: ignore[attr-defined]
        assert set(neighbor) == {"concept", "cosine", "angle_degrees", "shared"}


def test_the_table_names_concept_rank_and_neighbours(base: Path) -> None:
    done = run(base, "--concept", "Van Gogh", "--neighbors", 3)
    assert done.exit_code == 0
    found = report(base, "--concept", "Van Gogh", "--neighbors", 3)
    assert f"Van Gogh: rank {found['rank']} of 256" in done.stdout
    for neighbor in found["neighbors"]:  # type: ignore[attr-defined]
        assert neighbor["concept"] in done.stdout


def test_the_basis_is_written_with_what_it_is_of(base: Path) -> None:
    done = run(base, "--concept", "Van Gogh", "--concept", "Monet", "-o", "s.safetensors")
    assert (done.exit_code, done.stdout) == (0, "s.safetensors\n")
    with safe_open("s.safetensors", "pt") as file:
        basis = file.get_tensor("basis")
        facts = json.loads(file.metadata()["ckptedit.subspace"])
    torch.testing.assert_close(basis @ basis.mT, torch.eye(len(basis)), atol=1e-5, rtol=1e-5)
    assert facts["concepts"] == ["Van Gogh", "Monet"]
    assert facts["family"] == "mini"
    before = Path("s.safetensors").read_bytes()
    assert run(base, "--concept", "Monet", "-o", "s.safetensors").exit_code == 2
    assert Path("s.safetensors").read_bytes() == before


def test_rank_and_energy_cut_and_all_tokens_are_more(base: Path) -> None:
    arguments = [base, "--concept", "Van Gogh"]
    assert report(*arguments, "--rank", 2)["rank"] == 2
    full = report(*arguments)
    some = report(*arguments, "--energy", 0.9)
    assert sum(some["energies"]) >= 0.9  # type: ignore[call-overload]
    assert some["rank"] < full["rank"] < report(*arguments, "--tokens", "all")["rank"]  # type: ignore[operator]


def test_the_angles_to_itself_are_zero_and_to_another_are_not(base: Path) -> None:
    assert run(base, "--concept", "Van Gogh", "-o", "s.safetensors").exit_code == 0
    same = report(base, "--concept", "Van Gogh", "--against", "s.safetensors")
    assert max(same["angles_degrees"]) < 0.01  # type: ignore[call-overload]
    other = report(base, "--concept", "a castle", "--against", "s.safetensors")
    assert max(other["angles_degrees"]) > 5  # type: ignore[call-overload]


def written(base: Path, name: str, *arguments: object) -> str:
    """A subspace in a file of this name."""
    assert run(base, *arguments, "--neighbors", 0, "-o", name).exit_code == 0
    return name


def test_files_and_names_are_joined_taken_apart_and_held_against_each_other(base: Path) -> None:
    vg, monet = (
        written(base, f"{n[0]}.safetensors", "--concept", n) for n in ("Van Gogh", "Monet")
    )
    quick = ["--neighbors", 0]
    ranks = [int(report(base, "--concept", f, *quick)["rank"]) for f in (vg, monet)]  # type: ignore[call-overload]
    both = report(base, "--concept", vg, "--concept", "Monet", *quick)
    assert both["rank"] == sum(ranks) and both["concepts"] == ["Van Gogh", "Monet"]
    rest = report(base, "--concept", vg, "--minus", "Monet", "--against", monet, *quick)
    assert rest["rank"] == ranks[0] and rest["minus"] == ["Monet"]
    assert rest["angles_degrees"] == pytest.approx([90] * min(ranks), abs=1e-3)
    joint = written(base, "both.safetensors", "--concept", vg, "--concept", monet)
    shared = report(base, "--concept", joint, "--within", "Monet", *quick)
    assert shared["rank"] == ranks[1] and shared["within"] == ["Monet"]
    listed = Path("names.txt")
    listed.write_text("Van Gogh\nMonet\n")
    assert report(base, "--concept", f"@{listed}", *quick)["rank"] <= both["rank"]  # type: ignore[operator]


def test_within_comes_before_minus(base: Path) -> None:
    """What A shares with B is looked for in A, not in what of A is not C."""
    joint = written(base, "both.safetensors", "--concept", "Van Gogh", "--concept", "Monet")
    options = ["--concept", joint, "--within", "Monet", "--minus", "Van Gogh", "--neighbors", 0]
    found = report(base, *options, "--against", "Van Gogh")
    assert min(found["angles_degrees"]) == pytest.approx(90, abs=1e-3)  # type: ignore[call-overload]


def test_the_angle_of_a_neighbour_is_that_to_its_own_subspace(base: Path) -> None:
    options = ["--tokens", "concept", "--rank", 3]
    found = report(base, "--concept", "Van Gogh", *options, "--neighbors", 2)
    for near in found["neighbors"]:  # type: ignore[attr-defined]
        alone = ["--against", near["concept"], "--neighbors", 0]
        angles = report(base, "--concept", "Van Gogh", *options, *alone)["angles_degrees"]
        assert near["angle_degrees"] == pytest.approx(min(angles))  # type: ignore[call-overload]
        assert 0 < near["shared"] < 1


def test_neighbours_come_from_the_lexicon_the_vocabulary_or_a_list(base: Path) -> None:
    Path("names.txt").write_text("a bowl of fruit\na tall castle\nVan Gogh\n")
    listed = report(base, "--concept", "Van Gogh", "--among", "@names.txt")["neighbors"]
    assert {near["concept"] for near in listed} == {"a bowl of fruit", "a tall castle"}  # type: ignore[attr-defined]
    options = ["--concept", "Van Gogh", "--among", "vocabulary", "--neighbors", 20]
    words = [near["concept"] for near in report(base, *options)["neighbors"]]  # type: ignore[attr-defined]
    encoder = load_text_encoder(Checkpoint(base), MINI)
    assert words and all(map(encoder.is_word, words))
    assert not {"van", "gogh"} & set(words)
    best = nearest(encoder, ["Van Gogh"], whole_words(encoder), count=20)
    assert words == [near.concept for near in best]


def test_eos_pooled_and_centred_are_what_they_say(base: Path) -> None:
    encoder = load_text_encoder(Checkpoint(base), MINI)
    prompts = [frame.format("Van Gogh") for frame in FRAMES]
    read = encoder.encode(prompts)
    ends = torch.stack([row[n - 1] for row, n in zip(read.hidden, read.lengths, strict=True)])
    places = [encoder.positions(prompt, "Van Gogh") for prompt in prompts]
    means = torch.stack([row[p].mean(0) for row, p in zip(read.hidden, places, strict=True)])
    for rows, options in (
        (ends, ["--tokens", "eos"]),
        (means, ["--tokens", "pooled"]),
        (ends - ends.mean(0), ["--tokens", "eos", "--center"]),
    ):
        file = written(base, "s.safetensors", "--concept", "Van Gogh", *options, "--force")
        expected = protected_basis(rows)
        basis = load_file(file)["basis"]
        assert basis.shape == expected.shape
        assert max(angles_between(basis, expected)) < 0.05
        assert (basis * expected).sum(dim=1).abs()[:3] == pytest.approx([1] * 3, abs=1e-3)


def test_energies_fall_and_are_shares_of_what_the_concepts_have(base: Path) -> None:
    options = ["--concept", "Van Gogh", "--rank", 4, "--neighbors", 0]
    energies: list[float] = report(base, *options)["energies"]  # type: ignore[assignment]
    assert energies == sorted(energies, reverse=True) and 0.5 < sum(energies) < 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["absent.safetensors", "--concept", "x"], "absent.safetensors"),
        (["BASE", "--concept", " "], "is empty"),
        (["BASE", "--concept", "cat " * 40], "40 tokens; the encoder takes 22"),
        (["BASE", "--concept", "cat", "--tokens", "some"], "of concept, all, eos, pooled, not"),
        (["BASE", "--concept", "cat", "--among", "all"], "among must be lexicon, vocabulary"),
        (["BASE", "--concept", "cat", "--minus", "cat"], "nothing is left"),
        (["BASE", "--concept", "cat", "--within", "castle"], "no direction in common"),
        (["BASE", "--concept", "cat", "--tolerance", "0"], "tolerance must be in (0, 90)"),
        (["BASE", "--concept", "./absent"], "absent"),
        (["BASE", "--concept", "cat", "--rank", "0"], "rank must be 1 or more"),
        (["BASE", "--concept", "cat", "--energy", "2"], "energy must be in"),
        (["BASE", "--concept", "cat", "--against", "BASE"], "holds no subspace"),
        (["BASE", "--concept", "cat", "--tokenizer", "absent"], "there is no tokenizer"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_status_two(
    base: Path, arguments: list[str], said: str
) -> None:
    refused(run(*[str(base) if word == "BASE" else word for word in arguments]), said)
    assert not list(Path().iterdir())


def test_an_input_is_never_overwritten(base: Path) -> None:
    before = base.read_bytes()
    done = run(base, "--concept", "Monet", "-o", base, "--force")
    assert done.exit_code == 2
    assert "is an input" in done.stderr
    assert base.read_bytes() == before


def test_a_pickle_is_refused_unread(tmp_path: Path) -> None:
    Path("model.ckpt").write_bytes(b"\x80\x02}q\x00.")
    done = run("model.ckpt", "--concept", "cat")
    assert done.exit_code == 2
    assert "model.ckpt" in done.stderr


@pytest.mark.parametrize(
    ("basis", "family", "said"),
    [
        (torch.eye(8)[:2], "mini", "width 8 of mini; mini reads embeddings of width 256"),
        (torch.eye(256)[:2], "sd1", "width 256 of sd1"),
        (2 * torch.eye(256)[:2], "mini", "not orthonormal"),
        (torch.full((1, 256), torch.nan), "mini", "not orthonormal"),
        (torch.eye(256)[:0], "mini", "holds no subspace"),
        (torch.eye(256)[:2].int(), "mini", "holds no subspace"),
    ],
)
def test_a_basis_that_cannot_be_of_this_model_is_refused(
    base: Path, basis: torch.Tensor, family: str, said: str
) -> None:
    facts = {"ckptedit.subspace": json.dumps({"family": family})}
    save_file({"basis": basis.contiguous()}, "other.safetensors", metadata=facts)
    refused(run(base, "--concept", "cat", "--against", "other.safetensors"), said)


def test_a_basis_of_another_tool_needs_no_facts(base: Path) -> None:
    save_file({"basis": torch.eye(256)[:2].contiguous()}, "plain.safetensors")
    found = report(base, "--concept", "plain.safetensors")
    assert (found["rank"], found["concepts"], found["neighbors"]) == (2, [], [])

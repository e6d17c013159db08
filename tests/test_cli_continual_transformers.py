"""`continual` of checkpoints whose text encoder is elsewhere."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from refusal import refused
from safetensors.torch import load_file, save_file
from transformer_files import LEXICON, NARROW, WIDTH, checkpoint, pipeline, t5
from typer.testing import CliRunner, Result

from ckptedit.cli import app
from ckptedit.families import FAMILIES
from ckptedit.files import Checkpoint
from ckptedit.text.outside import load_outside

CLOSED = ["-m", "uce", "-p", "read=sentences", "-p", "positions=all", "-p", "erase=10"]
NAMES = ("van gogh", "cat")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, SimpleNamespace]]:
    """family -> its file and the folder of its text encoder"""
    folder = tmp_path_factory.mktemp("transformers")
    with pytest.MonkeyPatch.context() as patch:
        found = {}
        for name, family in NARROW.items():
            patch.setitem(FAMILIES, name, family)
            file = checkpoint(folder / f"{name}.safetensors", name)
            found[name] = SimpleNamespace(file=file, encoder=pipeline(folder / name, name))
        yield found


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lexicon.txt").write_text(LEXICON)
    Path("list.txt").write_text("\n".join(NAMES))


def run(of: SimpleNamespace, *more: object, into: str = "run") -> Result:
    line = ["continual", of.file, "list.txt", "-o", into, "--lexicon", "lexicon.txt", *more]
    return CliRunner().invoke(app, [str(word) for word in line])


def lines(into: str = "run") -> list[dict]:
    return [json.loads(line) for line in Path(into, "results.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("family", NARROW)
@pytest.mark.parametrize("strategy", ["recomputed", "independent", "sequential"])
def test_requests_are_met_and_verified_by_a_text_encoder_of_a_folder(
    strategy: str, family: str, files
) -> None:
    of = files[family]
    done = run(of, "--text-encoder", of.encoder, "--strategy", strategy, *CLOSED)
    assert (done.exit_code, done.stdout) == (0, "run/002.safetensors\n"), done.stderr
    last = lines()[-1]
    assert {row["concept"]: row["request"] for row in last["verified"]} == {"van gogh": 1, "cat": 2}
    if strategy == "recomputed":
        assert next(r["residual"] for r in last["verified"] if r["request"] == 1) < 0.9
        asked = [word for name in sorted(NAMES) for word in ("--concept", name)]
        line = ["erase", of.file, *asked, "--lexicon", "lexicon.txt", "--text-encoder", of.encoder]
        made = CliRunner().invoke(app, [str(word) for word in [*line, *CLOSED, "-o", "both.st"]])
        assert made.exit_code == 0, made.stderr
        assert Checkpoint("both.st").data_sha256() == last["sha256"]


@pytest.mark.parametrize("strategy", ["recomputed", "independent"])
def test_embeddings_of_all_that_is_listed_are_as_good_as_their_encoder(
    strategy: str, files
) -> None:
    of, given = files["anima"], []
    how = ["--strategy", strategy, *CLOSED]
    table = load_outside(Checkpoint(of.file), FAMILIES["anima"], of.encoder, [])
    for _ in range(5):
        listed = run(of, *how, "--list-prompts", *given)
        assert listed.exit_code == 0, listed.output
        if not (prompts := listed.stdout.splitlines()):
            break
        rows = {prompt: table.read([prompt])[0].contiguous() for prompt in prompts}
        save_file((load_file("made.st") if given else {}) | rows, "made.st")
        given = ["--embeddings", "made.st"]
    assert not Path("run").exists() and not prompts
    assert run(of, *how, *given).exit_code == 0
    assert run(of, *how, "--text-encoder", of.encoder, into="other").exit_code == 0
    assert [line["verified"] for line in lines()] == [line["verified"] for line in lines("other")]
    assert lines()[-1]["sha256"] == lines("other")[-1]["sha256"]
    save_file(load_file("made.st") | {"more": torch.ones(1, WIDTH)}, "more.st")
    refused(run(of, *how, "--embeddings", "more.st"), "holds a run with another text_encoder")


def test_a_run_goes_on_with_the_same_encoder_and_not_with_another(files) -> None:
    of = files["chroma"]
    assert run(of, "--text-encoder", of.encoder, *CLOSED).exit_code == 0
    Path("list.txt").write_text("\n".join([*NAMES, "dog"]))
    other = pipeline(Path("other"), "chroma")
    model = t5()
    model.shared.weight.data *= 1.5
    model.save_pretrained(other / "text_encoder")
    refused(run(of, "--text-encoder", other, *CLOSED), "another text_encoder", "--force")
    assert len(lines()) == 2
    assert run(of, "--text-encoder", of.encoder, *CLOSED).exit_code == 0
    assert len(lines()) == 3
    page = CliRunner().invoke(app, ["report", "run", "--no-pictures", "-q", "-o", "-"])
    assert page.exit_code == 0 and "--text-encoder DIR" in page.stdout


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([], "anima files hold no text encoder; give --text-encoder FOLDER"),
        (["--text-encoder", "x", "--embeddings", "y"], "--embeddings or --text-encoder, not both"),
        (["--text-encoder", "x", "--clip-skip", "2"], "--clip-skip is of a text encoder in the"),
        (["--text-encoder", "x", "-m", "conabl"], "transformer instead of a UNet"),
        (["--embeddings", "x", "--strategy", "sequential"], "recomputed or independent"),
        (["--list-prompts", "--strategy", "sequential"], "recomputed or independent"),
        (["--text-encoder", "x", "--eval"], "leave out --text-encoder, or --eval"),
        (["--list-prompts", "--json"], "leave out --json"),
    ],
)
def test_what_cannot_be_done_there_says_so_in_a_line(more, said: str, files) -> None:
    refused(run(files["anima"], *more), said)
    assert not Path("run").exists()


def test_a_training_with_embeddings_is_refused(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["demo", "-o", "mini.safetensors"]).exit_code == 0
    of = SimpleNamespace(file="mini.safetensors")
    done = run(of, "--steps", "1", "--embeddings", "x")
    refused(done, "--embeddings is for closed forms, and conabl is trained")


def test_a_plan_s_jobs_read_what_the_plan_was_told_to(files) -> None:
    of = files["chroma"]
    Path("list.toml").write_text(
        '[defaults]\nlexicon = "lexicon.txt"\nmethod = "uce"\n'
        '[defaults.params]\nread = "sentences"\npositions = "all"\nerase = 10\n'
        + "".join(f'[[request]]\nconcept = "{name}"\n' for name in NAMES)
    )

    def plan(*more: object) -> Result:
        line = ["plan", of.file, "list.toml", "--json", "-q", "-o", "plan", *more]
        return CliRunner().invoke(app, [str(word) for word in line])

    refused(plan(), "chroma files hold no text encoder; give --text-encoder")
    refused(plan("--text-encoder", "nowhere"), "nowhere")
    refused(plan("--text-encoder", of.encoder, "--report"), "leave out --text-encoder")
    assert not Path("plan").exists()
    made = plan("--text-encoder", of.encoder, "--audit")
    assert made.exit_code == 0, made.stderr
    erase, merge, audit = json.loads(made.stdout)["stages"]
    Path("plan", "deltas").mkdir()
    assert all(f"--text-encoder={of.encoder}" in job["command"] for job in audit["jobs"])
    for job in (*erase["jobs"], *merge["jobs"]):
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir("plan")
            done = CliRunner().invoke(app, job["command"][1:])
        assert done.exit_code == 0, done.stderr
    assert Path("plan", "merged.safetensors").exists()

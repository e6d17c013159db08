"""docs/checkpoints.md says what works on what: every cell of its table is run."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from refusal import refused
from safetensors.torch import load_file, save_file
from small_models import KINDS, refiner, small
from transformer_files import LEXICON, NARROW, checkpoint, pipeline
from typer.testing import CliRunner, Result

from ckptedit.cli import app
from ckptedit.families import FAMILIES, kv_role
from ckptedit.files import Checkpoint
from ckptedit.text import load_text_encoder

DOCS = Path(__file__).parents[1] / "docs" / "checkpoints.md"
ROW = re.compile(r"^\| ([\w-]+) \| (single|folder|unet) \| (.+) \|$", re.MULTILINE)
COLUMNS = (
    "info",
    "diff",
    "delta",
    "merge",
    "lora",
    "convert",
    "project",
    "erase",
    "train",
    "sample",
)
CELLS = [
    (family, layout, column, said)
    for family, layout, cells in ROW.findall(DOCS.read_text())
    for column, said in zip(COLUMNS, cells.split(" | "), strict=True)
]
FEW = ["--steps", "1", "--pictures", "1", "--batch", "1", "--guard", "l2"]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, str], Path]]:
    """(family, layout) -> a checkpoint and, beside it, the same with one matrix edited; "words":
    a tokenizer; (family, "encoder"): the folder of its text encoder."""
    folder = tmp_path_factory.mktemp("models")
    found: dict[tuple[str, str], Path] = {("words", ""): folder / "words"}
    (folder / "lexicon.txt").write_text(LEXICON)
    with pytest.MonkeyPatch.context() as patch:
        for kind in KINDS:
            model = small(kind, folder / f"{kind}-family")
            patch.setitem(FAMILIES, kind, model.family)
            model.tokenizer.save_pretrained(folder / "words")
            single = model.ldm(folder / f"{kind}-single.safetensors")
            found[kind, "single"] = single
            found[kind, "folder"] = model.folder(folder / f"{kind}-folder")
            found[kind, "unet"] = folder / f"{kind}-unet.safetensors"
            unet = {n: t for n, t in load_file(single).items() if n.startswith("model.diff")}
            save_file(unet, found[kind, "unet"])
        found["sdxl-refiner", "single"] = folder / "refiner.safetensors"
        its = refiner(model, found["sdxl-refiner", "single"], folder / "refiner-family")
        patch.setitem(FAMILIES, "sdxl-refiner", its)
        for name, family in NARROW.items():
            patch.setitem(FAMILIES, name, family)
            found[name, "single"] = checkpoint(folder / f"{name}.safetensors", name)
            found[name, "encoder"] = pipeline(folder / f"{name}-pipeline", name)
        for path in list(found.values()):
            if path.suffix == ".safetensors":
                edit(path, path.with_suffix(".edited.safetensors"))
        for kind in KINDS:
            base, unet = found[kind, "folder"], "unet/diffusion_pytorch_model.safetensors"
            edit(base / unet, shutil.copytree(base, edited(base)) / unet)
        yield found


def edit(path: Path, output: Path) -> None:
    """Scales one matrix that reads text, by a tenth of rank one."""
    tensors = load_file(path)
    name = next(name for name in tensors if kv_role(name))
    torch.manual_seed(0)
    out, width = tensors[name].shape
    change = torch.randn(out, 1) @ torch.randn(1, width) / width
    tensors[name] = (tensors[name].float() + change).to(tensors[name].dtype)
    save_file(tensors, output, metadata={"format": "pt"})


def lexicon(models, family: str) -> list[object]:
    """The small families have theirs in their folders."""
    return (
        [] if family not in NARROW else ["--lexicon", models["words", ""].with_name("lexicon.txt")]
    )


def embeddings(models, family: str, column: str, output: Path) -> Path:
    """A file of all that a command asks for, as the family's own text encoder reads it."""
    whole = Checkpoint(models[family, "single"])
    encoder = load_text_encoder(whole, FAMILIES[family], tokenizer=models["words", ""])
    rows: dict[str, torch.Tensor] = {}
    asked = [column, models[family, "unet"], "--concept", "van gogh", "--list-prompts"]
    while prompts := run(*asked).stdout.splitlines():
        read = encoder.encode(prompts)
        each = zip(prompts, read.hidden, read.lengths, strict=True)
        rows |= {prompt: hidden[:length].contiguous() for prompt, hidden, length in each}
        save_file(rows, output)
        asked = [*asked[:5], "--embeddings", output]
    return output


def edited(base: Path) -> Path:
    if base.is_dir():
        return base.with_name(base.name + ".edited")
    return base.with_suffix(".edited.safetensors")


@pytest.mark.parametrize(("family", "layout", "column", "said"), CELLS)
def test_the_table_is_right(
    family: str, layout: str, column: str, said: str, models, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    base = models[family, layout]
    end = "" if layout == "folder" else ".safetensors"
    words = ["--tokenizer", models["words", ""]] if family not in NARROW else []
    if said == "encoder":
        words = ["--text-encoder", models[family, "encoder"]]
    if said == "embeddings":
        path = models["words", ""].with_name(f"{family}-{column}-embeddings.safetensors")
        words = ["--embeddings", embeddings(models, family, column, path)]
    if family == "sd2" and column in ("train", "sample", "convert"):
        words += ["--prediction", "epsilon"]
    concept = ["--concept", "van gogh"]
    commands = {
        "info": [["info", base]],
        "diff": [["diff", base, edited(base), "--max-rel", "9"]],
        "delta": [
            ["diff", base, edited(base), "-o", "d.safetensors"],
            ["apply", base, "d.safetensors", "-o", f"out{end}"],
        ],
        "merge": [["merge", base, edited(base), "-o", f"out{end}"]],
        "lora": [
            ["diff", base, edited(base), "-o", "d.safetensors"],
            ["export", "d.safetensors", "--rank", "1", "-o", "lora.safetensors"],
        ],
        "convert": [
            ["export", base, "-o", "there", *words]
            if end
            else ["export", base, "-o", "there.safetensors"]
        ],
        "project": [["project", base, *concept, "--neighbors", "0", "--rank", "4", *words]],
        "erase": [["erase", base, *concept, "-o", f"out{end}", *words, *lexicon(models, family)]],
        "train": [
            ["erase", base, *concept, "-m", "conabl", *FEW, "-o", f"out{end}", *words,
             *lexicon(models, family)]
        ],
        "sample": [
            ["sample", base, "a cat", "--steps", "1", "--seeds", "1", "-o", "x.png", *words]
        ],
    }[column]  # fmt: skip
    *first, last = [run(*command) for command in commands]
    assert all(done.exit_code == 0 for done in first), first[0].output
    if said == "no":
        refused(last)
        assert not list(tmp_path.iterdir())
    else:
        assert last.exit_code == 0, last.output

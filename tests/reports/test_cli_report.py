"""`ckptedit report` as a user runs it: what is on the page, what is refused, what is not told."""

import html
import json
import re
import shlex
import shutil
from base64 import b64decode
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from refusal import refused
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner, Result

from ckptedit import Checkpoint
from ckptedit.cli import app
from ckptedit.reports.pictures import data_uri
from ckptedit.reports.rows import spread
from ckptedit.reports.verdict import LIMITS

from .conftest import rewrite

ROOT = Path(__file__).parents[2]
HOSTILE = "\"><script>alert(1)</script><img src=x onerror='alert(2)'>{{ 7*7 }}"


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a copy of the run, whose checkpoints are links."""
    shutil.copytree(
        made / "run", tmp_path / "run", copy_function=lambda a, b: Path(b).symlink_to(a)
    )
    for name in ("run.json", "results.jsonl"):
        (tmp_path / "run" / name).unlink()
        shutil.copy(made / "run" / name, tmp_path / "run" / name)
    (tmp_path / "base.safetensors").symlink_to(made / "base.safetensors")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(line: str) -> Result:
    return CliRunner().invoke(app, ["report", *shlex.split(line)])


def page(line: str) -> str:
    done = run(line)
    assert done.exit_code == 0, done.output
    return Path(done.stdout.strip()).read_text()


class Tags(HTMLParser):
    """Tags, attributes and text of a page, as a browser would see them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data):
        self.texts.append(data)


def test_the_page_says_what_was_done_and_what_came_of_it(made):
    text = (made / "run.report.html").read_text()
    assert "<h1>Cat and Neon are erased from base.safetensors.</h1>" in text
    assert "Taken back: Van Gogh." in text
    assert "75.0% of the pictures" in text and "<small>60.0% to 90.0%</small>" in text
    for title in ("Erased", "Withdrawn", "Near what was erased", "Of another kind"):
        assert f"<h3>{title}" in text
    for line in [json.loads(row) for row in (made / "run/results.jsonl").read_text().splitlines()]:
        assert f"<td>{line['drift']['relative']:.3f}</td>" in text
    assert Checkpoint(made / "base.safetensors").data_sha256() in text
    assert Checkpoint(made / "run/003.safetensors").data_sha256() in text
    assert all(html.escape(limit, quote=False) in text for limit in LIMITS)


def test_the_limits_are_those_of_the_readme():
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert all(f"- {limit}" in readme for limit in LIMITS)


def test_one_json_object_says_what_is_on_the_page(made):
    facts = json.loads((made / "report.json").read_text())
    text = (made / "run.report.html").read_text()
    assert facts["output"] == "run.report.html" and facts["bytes"] == len(text.encode())
    assert facts["pictures"] == text.count("data:image/webp;base64,") > 20
    assert (facts["requests"], facts["erased"], facts["private"]) == (3, 2, False)


def test_the_same_run_gives_the_same_bytes_and_no_date(folder, monkeypatch):
    first = page("run --no-pictures -q")
    assert page("run --no-pictures -q --force") == first and "1970-01-01T" not in first
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    assert "1970-01-01T00:00:00Z" in page("run --no-pictures -q -o dated.html")


def test_the_commands_on_the_page_make_the_same_checkpoint(made, folder, tmp_path, monkeypatch):
    commands = html.unescape(
        re.search(r'class="commands">(.*?)</pre>', page("run --no-pictures"), re.S)[1]
    )
    listed = re.match(r"cat > requests.toml <<'END'\n(.*?)END\n", commands, re.S)
    (tmp_path / "again").mkdir()
    monkeypatch.chdir(tmp_path / "again")
    Path("base.safetensors").symlink_to(made / "base.safetensors")
    Path("requests.toml").write_text(listed[1])
    line = shlex.split(commands[listed.end() :].splitlines()[0])
    assert line[:2] == ["ckptedit", "continual"]
    line = [word for word in line[1:] if word != "--eval-at" and word != "2,3"]
    assert CliRunner().invoke(app, line).exit_code == 0
    shas = [Checkpoint(top / "run/003.safetensors").data_sha256() for top in (made, Path())]
    assert shas[0] == shas[1]


def test_a_merge_and_the_layer_read_are_part_of_the_command(folder):
    """Typed again in another folder, it is the same run: all its settings, and its bytes."""
    Path("one.txt").write_text("Neon\n")
    line = "continual base.safetensors one.txt -o one --method uce --strategy independent --scale 2"
    line += " --merge-param density=0.5 --clip-skip 2 -q"
    assert CliRunner().invoke(app, line.split()).exit_code == 0
    commands = re.search(r'class="commands">(.*?)</pre>', page("one --no-pictures -q"), re.S)[1]
    listed = re.match(r"cat > requests.toml <<'END'\n(.*?)END\n", html.unescape(commands), re.S)
    Path("requests.toml").write_text(listed[1])
    again = shlex.split(html.unescape(commands)[listed.end() :].splitlines()[0])
    again[again.index("-o") + 1] = "again"
    assert CliRunner().invoke(app, again[1:]).exit_code == 0
    first, second = (json.loads(Path(each, "run.json").read_text()) for each in ("one", "again"))
    assert second == first
    shas = [Checkpoint(Path(each, "001.safetensors")).data_sha256() for each in ("one", "again")]
    assert shas[0] == shas[1]


def test_an_edit_alone_is_a_report_too(folder):
    refused(run("run/003.safetensors"), "name it with --against")
    refused(run("base.safetensors --against base.safetensors"), "nothing was edited")
    text = page("run/003.safetensors --against base.safetensors --no-pictures -q")
    assert "<h1>Cat and Neon are erased from base.safetensors.</h1>" in text
    assert "ckptedit verify 003.safetensors --parent base.safetensors" in text
    assert 'class="heat"' in text and 'id="requests"' not in text


@pytest.mark.parametrize("where", ["results", "run", "ledger"])
def test_what_strangers_wrote_is_text_and_nothing_else(folder, where):
    line = "run --no-pictures -q"
    if where == "results":
        rewrite(Path("run"), lambda _, row: row | {
            "asked": [HOSTILE], "erased": [HOSTILE], "withdrawn": [HOSTILE], "warnings": [HOSTILE],
            "method": HOSTILE, "strategy": HOSTILE, "guards": [HOSTILE],
            "verified": [{"concept": HOSTILE, "request": 1, "residual": 0.5, "rebound": 0.4}],
        })  # fmt: skip
    elif where == "run":
        settings = json.loads(Path("run/run.json").read_text())
        settings |= {"strategy": HOSTILE, "version": HOSTILE, "asked": [{HOSTILE: HOSTILE}]}
        settings["base"]["label"] = HOSTILE.replace("/", "")
        Path("run/run.json").write_text(json.dumps(settings))
    else:
        entry = {"operation": HOSTILE, "concepts": [HOSTILE], "tool": HOSTILE, HOSTILE: HOSTILE}
        tensors = load_file("base.safetensors")
        save_file(tensors, "edited.safetensors", {"ckptedit.ledger": json.dumps([entry])})
        line = "edited.safetensors --against base.safetensors --no-pictures -q"
    text = page(line)
    seen = Tags(text)
    assert seen.tags.count("script") == 1 and "img" not in seen.tags
    assert not [name for name, _ in seen.attributes if name.startswith("on")]
    assert "alert(1)" in "".join(seen.texts) and "{{ 7*7 }}" in "".join(seen.texts)


@pytest.mark.parametrize(
    "broken",
    [
        {"asked": "Neon"},
        {"output": "../base.safetensors"},
        {"output": ".."},
        {"drift": None},
        {"seconds": "1"},
        {"verified": [{"concept": "x"}]},
        {"scores": {"ua": True}},
        {"request": None},
    ],
    ids=str,
)
def test_a_line_that_is_malformed_is_refused_by_its_place(folder, broken):
    rewrite(Path("run"), lambda n, row: row | broken if n == 1 else row)
    refused(run("run --no-pictures"), "run/results.jsonl: line 2 is not a line of `continual`")
    assert not Path("run.report.html").exists()


def test_a_checkpoint_that_was_changed_since_is_refused(folder):
    Path("run/003.safetensors").unlink()
    Path("run/003.safetensors").symlink_to(folder / "base.safetensors")
    refused(run("run --no-pictures"), "is not what request 3 wrote")


@pytest.mark.parametrize("older", [True, False])
def test_a_page_of_a_run_whose_newest_checkpoint_is_gone_says_so(folder, older):
    digest = Checkpoint("run/003.safetensors").data_sha256()
    for number in (3,) if older else (1, 2, 3):
        Path(f"run/{number:03}.safetensors").unlink()
    refused(run("run"), "run/003.safetensors, the run's newest checkpoint, is gone", "--no-pict")
    done = run("run --no-pictures --json")
    assert done.exit_code == 0 and "note: run/003.safetensors, the newest checkp" in done.stderr
    assert any("is gone" in note for note in json.loads(done.stdout)["notes"])
    text = Path("run.report.html").read_text()
    limits = text[text.index('id="limits"') : text.index("</main>")]
    assert "The newest checkpoint is gone" in limits
    assert ('class="heat"' in text) is older and "There is no checkpoint to ask." in text
    assert "No request was met" not in text and digest in text
    assert "<h1>Cat and Neon are erased from base.safetensors.</h1>" in text


def test_the_base_is_looked_for_and_never_mistaken(folder):
    Path("base.safetensors").rename("first.safetensors")
    Path("base.safetensors").symlink_to(folder / "run/001.safetensors")
    refused(run("run"), "base.safetensors, which this run began from, is not here", "--against")
    refused(run("run --against base.safetensors"), "is not what the run began from")
    done = run("run --no-pictures")
    assert done.exit_code == 0 and "where the weights moved is not shown" in done.stderr
    assert "was not at hand" in Path("run.report.html").read_text()
    assert 'class="heat"' in page("run --no-pictures --against first.safetensors --force")


def test_what_cannot_be_meant_is_refused(folder):
    refused(run("run --no-pictures --json -o -"), "both want stdout")
    refused(run("run --blur some"), "blur must be one of targets, all, none")
    refused(run("run --seeds 200"), "a page holds 250")
    refused(run("run --no-pictures --prompt x"), "nothing to draw these prompts with")
    refused(run("nowhere"), "nowhere")
    Path("empty").mkdir()
    refused(run("empty --against base.safetensors"), "neither the folder of a run nor a checkpoint")
    Path("run.report.html").write_text("mine")
    refused(run("run --no-pictures"), "run.report.html", "--force")
    assert Path("run.report.html").read_text() == "mine"


def test_a_run_that_a_budget_stopped_says_so_first(folder):
    gone = {"output": None, "sha256": None, "verified": [], "scores": None,
            "budget": {"limit": 0.1, "outcome": "stopped", "tried": []}}  # fmt: skip
    rewrite(Path("run"), lambda n, row: row | gone if n == 1 else row)
    rows = Path("run/results.jsonl").read_text().splitlines()
    Path("run/results.jsonl").write_text("\n".join(rows[:2]) + "\n")
    text = page("run --no-pictures -q")
    assert "stopped the run at request 2 (Cat, Neon): what it asks for is not done" in text
    assert "<h1>Van Gogh is erased from base.safetensors.</h1>" in text


def test_a_target_that_came_back_is_named_first(folder):
    def back(n, row):
        rows = [
            each | {"rebound": 0.3} if each["concept"] == "Neon" else each
            for each in row["verified"]
        ]
        return row | {"verified": rows}

    rewrite(Path("run"), back)
    text = page("run --no-pictures -q")
    assert "Came back since erased: Neon." in text
    assert '<li class="bad"><b>1</b><span>came back</span>' in text


def test_private_names_are_on_no_page(folder):
    line = "erase base.safetensors --concept Neon --private-concepts --method uce --neighbors 1"
    assert CliRunner().invoke(app, [*line.split(), "-q", "-o", "hidden.safetensors"]).exit_code == 0
    line = "hidden.safetensors --against base.safetensors -q"
    drawn = "--seeds 1 --steps 1 --concept Neon --concept Monet --prompt 'a boat'"
    text = page(f"{line} {drawn} -o drawn.html")
    assert "<h4>private concept" in text and "<h3>Erased</h3>" in text
    assert "<h4>a boat</h4>" in text and "monet" not in text.lower()
    for each in (text, page(f"{line} --no-pictures -o plain.html")):
        assert "neon" not in re.sub(r"base64,[^\"]*", "", each).lower() and "sha256:" in each


def test_small_pictures_are_kept_bit_for_bit_and_large_ones_made_small():
    drawn = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3), np.uint8)[0]
    kept, large = (data_uri(each) for each in (drawn, drawn.repeat(8, 0).repeat(8, 1)))
    assert kept == data_uri(drawn) and kept.startswith("data:image/webp;base64,")
    images = [Image.open(BytesIO(b64decode(uri.split(",")[1]))) for uri in (kept, large)]
    assert np.array_equal(np.asarray(images[0]), drawn) and images[1].size == (384, 256)


def test_many_names_are_thinned_evenly():
    assert spread("abcdefgh", 4) == ["a", "c", "e", "g"]
    assert spread("abc", 4) == ["a", "b", "c"] and spread("", 4) == []

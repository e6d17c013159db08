"""`ckptedit continual` as a user runs it: lists, interruptions, withdrawals, budgets."""

import json
import os
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from refusal import refused
from tiny_model import random_mini
from typer.testing import CliRunner, Result

from ckptedit import Checkpoint
from ckptedit.cli import app
from ckptedit.concepts.targets import erased
from ckptedit.continual.journal import Journal
from ckptedit.continual.requests import EVALUATION
from ckptedit.erasure.closed_forms import balanced
from ckptedit.families import FAMILIES
from ckptedit.subspaces.paired import aligned

NAMES = ("Van Gogh", "Cat")
QUICK = ("--method", "uce", "--neighbors", "1", "--device", "cpu")
TRAINED = ("--steps", "1", "--batch", "1", "--pictures", "1", "--guard", "none", "--neighbors", "1")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_mini(tmp_path_factory.mktemp("continual") / "base.safetensors")


@pytest.fixture
def folder(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: base.safetensors and a list of three styles and objects."""
    (tmp_path / "base.safetensors").symlink_to(base)
    listed(*NAMES, folder=tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def met(base: Path, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A run that met the list: its folder, and what it said."""
    place = tmp_path_factory.mktemp("met")
    listed(*NAMES, folder=place)
    line = ["continual", str(base), str(place / "list.toml"), "-o", str(place / "run"), *QUICK]
    return SimpleNamespace(folder=place / "run", done=CliRunner().invoke(app, line))


def listed(*names: str, folder: Path = Path(), more: str = "") -> None:
    rows = [f'[[request]]\nconcept = "{name}"\n' for name in names]
    (folder / "list.toml").write_text("".join(rows) + more)


def run(*more: str, into: str = "run", how: tuple[str, ...] = QUICK) -> Result:
    line = ["continual", "base.safetensors", "list.toml", "-o", into, *how, *more]
    return CliRunner().invoke(app, line)


def lines(into: str | Path = "run") -> list[dict]:
    return [json.loads(line) for line in Path(into, "results.jsonl").read_text().splitlines()]


def checkpoints(into: str = "run") -> list[str]:
    return sorted(path.name for path in Path(into).glob("*.safetensors"))


def test_a_list_is_met_in_order_and_every_target_verified_after_each(folder, met):
    shutil.copytree(met.folder, "run")
    assert met.done.exit_code == 0 and met.done.stdout == f"{met.folder}/002.safetensors\n"
    found = lines()
    assert [line["asked"] for line in found] == [["Van Gogh"], ["Cat"]]
    assert [line["erased"] for line in found] == [["Van Gogh"], ["Van Gogh", "Cat"]]
    assert [line["kind"] for line in found] == ["style", "object"]
    for line in found:
        assert line["strategy"] == "recomputed" and line["method"] == "uce"
        assert {row["concept"]: row["request"] for row in line["verified"]} == {
            name: n + 1 for n, name in enumerate(line["erased"])
        }
        assert all(row["residual"] > 0 for row in line["verified"])
    assert checkpoints() == ["002.safetensors"]
    edited = Checkpoint("run/002.safetensors")
    assert edited.data_sha256() == found[-1]["sha256"]
    assert set(edited.ledger[-1]["concepts"]) == set(NAMES) and len(edited.ledger) == 1
    assert [f"request {n} of 2" in met.done.stderr for n in (1, 2)] == [True] * 2


def test_a_finished_run_says_again_what_came_of_it(folder, met):
    shutil.copytree(met.folder, "run")
    report = json.loads(run("--json", "-q").stdout)
    assert report["output"] == "run/002.safetensors" and report["requests"] == 2
    assert report["erased"] == list(NAMES) and report["stopped"] is False
    assert report["sha256"] == lines()[-1]["sha256"]


def test_a_killed_sequence_goes_on_and_ends_in_the_same_bytes(folder):
    """SIGKILL between the second checkpoint and its line; the first is not made again."""
    how = (*QUICK, "--strategy", "sequential")
    assert run("--keep", "all", into="whole", how=how).exit_code == 0
    if not (child := os.fork()):
        append = Journal.append

        def killed(self, line):
            if line["request"] == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            append(self, line)

        Journal.append = killed
        run(how=how)
        os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    (first,) = lines()
    assert run(how=how).exit_code == 0
    assert lines()[0] == first  # its seconds, too
    assert [line["sha256"] for line in lines()] == [line["sha256"] for line in lines("whole")]
    assert checkpoints() == ["002.safetensors"]
    assert checkpoints("whole") == ["001.safetensors", "002.safetensors"]
    ledger = Checkpoint("run/002.safetensors").ledger
    assert [line["concepts"] for line in ledger] == [[name] for name in NAMES]


def test_a_run_goes_on_with_added_requests_and_not_with_other_ones(folder):
    listed("Neon")
    assert run().exit_code == 0
    listed("Neon", "Cat")
    assert run().stdout == "run/002.safetensors\n"
    assert [line["asked"] for line in lines()] == [["Neon"], ["Cat"]]
    listed("Cat", "Neon")
    refused(run(), "run holds a run with another request 1", "--force")
    listed("Neon")
    refused(run(), "2 requests, not 1")


def test_a_run_with_other_settings_is_refused_and_force_begins_anew(folder):
    listed("Neon")
    assert run().exit_code == 0
    before = lines()
    refused(run("-p", "erase=2"), "another options", "erase", "--force")
    refused(run("--strategy", "sequential"), "another strategy (recomputed, not sequential)")
    assert lines() == before
    assert run("-p", "erase=2", "--force").exit_code == 0
    assert lines()[0]["sha256"] != before[0]["sha256"]


def test_a_run_that_finished_nothing_holds_nobody_to_its_settings(folder):
    listed("Neon")
    refused(run("--tokenizer", "nowhere"), "there is no tokenizer nowhere")
    assert run("-p", "erase=2").exit_code == 0


def test_another_tokenizer_is_another_run_wherever_the_same_one_lies(folder):
    shipped = FAMILIES["mini"].folder / "tokenizer"
    for name in ("same", "other"):
        Path(name).mkdir()
        for file in ("vocab.json", "merges.txt", "tokenizer_config.json"):
            shutil.copy(shipped / file, name)
    words = json.loads(Path("other/vocab.json").read_text())
    words["!"], words["?"] = words["?"], words["!"]
    Path("other/vocab.json").write_text(json.dumps(words))
    listed("Neon")
    assert run().exit_code == 0
    listed("Neon", "Cat")
    refused(run("--tokenizer", "other"), "holds a run with another tokenizer", "--force")
    assert run("--tokenizer", "same").exit_code == 0 and len(lines()) == 2
    settings = json.loads(Path("run/run.json").read_text())
    assert len(settings.pop("tokenizer")) == 64 and settings.pop("text_encoder") is None
    Path("run/run.json").write_text(json.dumps(settings))  # as older runs have it
    assert run("--tokenizer", "other").exit_code == 0


def test_a_folder_of_something_else_is_left_alone(folder):
    Path("run").mkdir()
    Path("run/notes.txt").write_text("mine")
    refused(run("--force"), "neither empty nor of a run")
    assert [path.name for path in Path("run").iterdir()] == ["notes.txt"]


def test_a_checkpoint_that_was_changed_is_not_built_upon(folder):
    listed("Neon")
    assert run("--strategy", "sequential").exit_code == 0
    Path("run/001.safetensors").write_bytes(Path("base.safetensors").read_bytes())
    listed("Neon", "Cat")
    refused(run("--strategy", "sequential"), "is not what request 1 wrote")


@pytest.mark.parametrize("left", [None, b"torn"])
def test_a_finished_run_whose_checkpoint_is_gone_says_so(folder, met, left):
    shutil.copytree(met.folder, "run")
    Path("run/002.safetensors").unlink()
    if left:
        Path("run/002.safetensors").write_bytes(left)
    refused(run(), "run/002.safetensors", "request 2 wrote it", "--force")


def test_a_budget_that_a_finished_request_went_beyond_is_refused(folder, met):
    shutil.copytree(met.folder, "run")
    first, second = (line["drift"]["relative"] for line in lines())
    refused(run("--max-drift", str((first + second) / 2)), "request 2 is finished", "--force")
    assert run("--max-drift", str(second)).exit_code == 0


def test_withdrawing_leaves_what_the_others_alone_would_have_made(folder):
    back = '[[request]]\nwithdraw = "{}"\n'
    listed("Van Gogh", "Neon", more=back.format("van gogh") + back.format("Neon"))
    assert run().exit_code == 0
    listed("Neon")
    assert run(into="alone").exit_code == 0
    _, _, third, last = lines()
    assert third["withdrawn"] == ["Van Gogh"] and third["erased"] == ["Neon"]
    assert third["sha256"] == lines("alone")[-1]["sha256"]
    assert last["sha256"] == Checkpoint("base.safetensors").data_sha256()
    assert last["drift"]["relative"] == 0 and last["verified"] == []


def test_the_order_of_requests_does_not_matter_if_recomputed(folder, met):
    listed(*reversed(NAMES))
    assert run().exit_code == 0
    one, other = Checkpoint("run/002.safetensors"), Checkpoint(met.folder / "002.safetensors")
    for name in one:
        np.testing.assert_allclose(one.values(name), other.values(name), rtol=2e-3, atol=1e-5)


def test_a_recomputed_request_reads_its_own_targets_and_gives_the_bytes_of_all_at_once(
    folder, monkeypatch
):
    read: list[str] = []
    monkeypatch.setattr(balanced, "aligned", lambda *a, **k: read.append(a[1]) or aligned(*a, **k))
    names, quick = ("Neon", "Munch", "Chalk"), ("--neighbors", "1", "--device", "cpu")
    listed(*names)
    assert run(how=quick).exit_code == 0
    assert read == list(names)
    (folder / "list.toml").write_text(f"[[request]]\nconcepts = {json.dumps(names)}\n")
    assert run(into="at-once", how=quick).exit_code == 0
    assert lines()[-1]["sha256"] == lines("at-once")[-1]["sha256"]


def test_a_sequence_refuses_to_withdraw_and_names_who_can(folder):
    listed("Neon", more='[[request]]\nwithdraw = "Neon"\n')
    refused(run("--strategy", "sequential"), "list.toml: request 2 (Neon)", "recomputed")
    assert not Path("run").exists()


def test_requests_have_their_own_options(folder):
    listed("Neon", more='[[request]]\nconcept = "Cat"\nanchor = "Rabbit"\nparams = {erase = 3.0}\n')
    refused(run(), "request 2 (Cat) has params of its own", "[defaults]")
    assert run("--strategy", "sequential").exit_code == 0
    entry = Checkpoint("run/002.safetensors").ledger[-1]
    assert entry["targets"] == [{"concept": "Cat", "kind": "object", "anchor": "Rabbit"}]
    assert entry["options"]["params"]["uce"]["erase"] == 3.0


def test_the_command_goes_before_the_list_also_with_what_is_usual(folder):
    listed("Neon", more="[defaults]\nneighbors = 2\n")
    assert run("--neighbors", "8", how=("--method", "uce", "--device", "cpu")).exit_code == 0
    assert json.loads(Path("run/run.json").read_text())["options"]["neighbors"] == 8


def test_trained_together_it_is_the_erasure_of_all_from_the_original(folder):
    assert run("--strategy", "simultaneous", how=(*TRAINED, "--device", "cpu")).exit_code == 0
    one, two = lines()
    assert one["erased"] == [NAMES[0]] and two["erased"] == list(NAMES)
    named = [word for name in sorted(NAMES) for word in ("--concept", name)]
    line = ["erase", "base.safetensors", *named, *TRAINED, "--device", "cpu", "-o", "both.st"]
    assert CliRunner().invoke(app, line).exit_code == 0
    assert two["sha256"] == Checkpoint("both.st").data_sha256()


def test_aliases_are_erased_with_their_concept_and_as_its_kind(folder):
    listed("Neon", more='aliases = ["glowing tubes"]\n')
    assert run().exit_code == 0
    targets = Checkpoint("run/001.safetensors").ledger[-1]["targets"]
    assert {(t["concept"], t["kind"], t.get("alias_of")) for t in targets} == {
        ("Neon", "style", None),
        ("glowing tubes", "style", "Neon"),
    }
    assert len(lines()[0]["verified"]) == 2
    listed("Cat", more="[eval]\nretain = ['Monet']\ncompanions = 1\nsteps = 1\n")
    line = ["continual", "run/001.safetensors", "list.toml", "-o", "on", *QUICK, "--eval-at", "0"]
    assert CliRunner().invoke(app, line).exit_code == 0  # the base's aliases are not scored
    assert {row["concept"] for row in lines("on")[0]["scores"]["per_concept"]} >= {"Neon", "Cat"}


@pytest.mark.parametrize(
    ("more", "how", "said"),
    [
        (("--strategy", "recomputed"), TRAINED, "recomputed is for closed forms"),
        (("--strategy", "simultaneous"), QUICK, "simultaneous trains, and uce is a closed form"),
        (("--strategy", "nonsense"), QUICK, "no strategy is called 'nonsense'"),
        (("--steps", "3"), QUICK, "steps is of a training"),
        (("-p", "nonsense=1"), QUICK, "nothing in use has a parameter nonsense"),
        (("--keep", "some"), QUICK, "keep must be one of last, all"),
        (("--eval-at", "7"), QUICK, "there are 2 requests"),
        (("--eval-at", "x"), QUICK, "numbers with commas"),
        (("--eval-at", ","), QUICK, "numbers with commas"),
        (("--on-drift", "retry"), QUICK, "on_drift retry is of a budget"),
        (("--max-drift", "0"), QUICK, "max_drift must be above 0"),
        (("--max-drift", "1", "--on-drift", "x"), QUICK, "on_drift must be one of"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_written(folder, more, how, said):
    refused(run(*more, how=how), said)
    assert not Path("run").exists()


def test_wrong_words_in_a_list_are_refused_before_anything_is_written(folder):
    listed("Neon", more='[[request]]\nconcept = "Cat"\nretain = ["Neon"]\n')
    refused(run(), "request 2 (Cat): 'Neon' cannot be retained: 'Neon' was erased before")
    listed("Neon", more="[eval]\nnonsense = 3\n")
    refused(run(), "[eval] has an unknown key nonsense")
    assert not Path("run").exists()


def test_a_budget_of_drift_stops_the_run_and_a_larger_one_goes_on(folder, met):
    first, second = (line["drift"]["relative"] for line in lines(met.folder))
    assert second > first
    done = run("--max-drift", str((first + second) / 2))
    assert done.exit_code == 1 and done.stdout == "run/001.safetensors\n"
    assert "request 2 does not keep --max-drift" in done.stderr
    assert lines()[-1]["budget"]["outcome"] == "stopped" and lines()[-1]["output"] is None
    assert lines()[0]["budget"]["outcome"] == "kept" and checkpoints() == ["001.safetensors"]
    assert run("--max-drift", "1000").exit_code == 0
    assert [line["sha256"] for line in lines()] == [line["sha256"] for line in lines(met.folder)]


def test_scores_are_those_of_eval(folder):
    listed("Neon", "Van Gogh", more="[eval]\nretain = ['Monet']\ncompanions = 1\nsteps = 1\n")
    assert run("--eval-at", "2").exit_code == 0
    base, first, after = lines()
    assert first["scores"] is None
    assert base["request"] == 0 and base["sha256"] == Checkpoint("base.safetensors").data_sha256()
    line = "eval run/002.safetensors --retain Monet --companions 1 --steps 1 --json -q --device cpu"
    scored = json.loads(CliRunner().invoke(app, line.split()).stdout)
    for name, value in after["scores"].items():
        assert scored[name] == value, name


KEYS = {
    "erased": "['Neon']", "retain": "'Monet'", "prompts": "['a cat']", "seeds": "1",
    "companions": "1", "steps": "1", "suite": "'canvas'", "judge": "'canvas'",
    "classifier": "['x.pth']", "clip": "'x'", "detector": "'x {folder}'", "against": "'x'",
    "reference": "'x'", "cache": "false",
}  # fmt: skip


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        *((key, value, None) for key, value in KEYS.items()),
        ("nonsense", "3", "list.toml: [eval] has an unknown key nonsense; known: erased, retain"),
        ("device", "'cpu'", "[eval] has an unknown key device"),
        ("cache", "3", "[eval]: cache must be true or false"),
        ("seeds", "'many'", "[eval]: seeds must be a whole number"),
    ],
)
def test_both_commands_take_the_same_keys_of_eval(folder, key, value, said):
    assert KEYS.keys() == EVALUATION.keys()
    listed("Neon", more=f"[eval]\n{key} = {value}\n")
    refused(run("--eval-at", "9"), said or "there are 1 requests")  # what comes after the list
    line = ["plan", "base.safetensors", "list.toml", "-o", "plan", "--shards", "0"]
    planned = CliRunner().invoke(app, line)
    if said:
        refused(planned, said)
    assert (planned.exit_code == 0) is (said is None)


def test_what_eval_says_is_scored_the_way_it_says(folder, monkeypatch):
    monkeypatch.setenv("CKPTEDIT_CACHE", str(folder / "cache"))
    few = "retain = ['Monet', 'Fish']\nsteps = 1\n"
    only = "erased = ['cat']\nagainst = 'base.safetensors'\ncache = false\n"
    listed("Neon", "Cat", more=f"[eval]\n{few}{only}")
    assert run("--eval-at", "1,2").exit_code == 0
    gone = [
        [row["concept"] for row in line["scores"]["per_concept"] if row["role"] == "erased"]
        for line in lines()
    ]
    assert gone == [["Cat"], [], ["Cat"]]
    assert all(line["scores"]["differences"] for line in lines())
    assert not list(Path("cache").glob("*answers*"))
    listed("Neon", more="[eval]\nprompts = ['a cat']\nsteps = 1\n")
    assert run("--eval-at", "1", into="drawn").exit_code == 0
    assert [line["scores"]["n"] for line in lines("drawn")] == [1, 1]
    assert list(Path("cache").glob("*answers*"))


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("erased = ['Cat']", "erased names 'Cat', which nothing asks to erase"),
        ("erased = []", "erased names nothing"),
        ("prompts = ['a cat']\nerased = ['Neon']", "prompts are a suite of their own"),
    ],
)
def test_what_could_not_be_scored_is_refused_before_anything_is_written(folder, table, said):
    listed("Neon", more=f"[eval]\n{table}\n")
    refused(run("--eval"), "list.toml: the evaluation: ", said, "leave out --eval")
    line = ["plan", "base.safetensors", "list.toml", "-o", "run"]
    refused(CliRunner().invoke(app, line), said, "--shards 0")
    listed("Neon", "Grumpy Kitten")
    refused(run("--eval"), "the judge does not know 'Grumpy Kitten'", "erased, suite, judge")
    assert not Path("run").exists()


INDEPENDENT = (*QUICK, "--strategy", "independent")


def merged(*numbers: int, into: str = "run", how: str = "-m ties") -> str:
    """The digest of what `merge` makes of deltas of a run."""
    deltas = [f"{into}/deltas/{number:03}.safetensors" for number in numbers]
    line = ["merge", "base.safetensors", *deltas, *how.split(), "-o", "m.safetensors", "--force"]
    assert CliRunner().invoke(app, line).exit_code == 0
    return Checkpoint("m.safetensors").data_sha256()


@pytest.mark.parametrize("method", ["ties", "dare"])
def test_independent_deltas_are_merged_one_by_one_to_the_bytes_of_merge(folder, method):
    listed("Van Gogh", "Neon", "Cat")
    assert run("--merge", method, how=INDEPENDENT).exit_code == 0
    found = lines()
    assert [line["continued"] for line in found] == [False, method == "ties", method == "ties"]
    for count, line in enumerate(found, start=1):
        assert line["sha256"] == merged(*range(1, count + 1), how=f"-m {method}")
        assert line["delta"] == f"deltas/{count:03}.safetensors" and line["scale"] == 1
    targets = erased(Checkpoint("run/003.safetensors").ledger)
    assert {target.concept for target in targets} == {"Van Gogh", "Neon", "Cat"}


def test_sums_of_a_request_that_was_not_finished_are_not_continued(folder):
    """Killed after its sums, before its line; then the list asks for something else."""
    how = (*INDEPENDENT, "--keep", "all")
    assert run(how=how).exit_code == 0
    first, second = Path("run/results.jsonl").read_text().splitlines()
    Path("run/results.jsonl").write_text(first + "\n")
    listed(NAMES[0], "Neon")
    assert run(how=how).exit_code == 0
    assert lines()[1]["sha256"] == merged(1, 2) != json.loads(second)["sha256"]


def test_a_withdrawn_delta_is_left_out_and_only_as_a_whole(folder):
    listed(*NAMES, more='[[request]]\nwithdraw = "Van Gogh"\n[[request]]\nconcept = "Neon"\n')
    assert run(how=INDEPENDENT).exit_code == 0
    found = lines()
    assert [line["continued"] for line in found] == [False, True, False, True]
    assert found[2]["sha256"] == merged(2) and found[3]["sha256"] == merged(2, 4)
    more = '[[request]]\nconcepts = ["Cat", "Dog"]\n[[request]]\nwithdraw = "Dog"\n'
    listed("Neon", more=more)
    refused(run(into="other", how=INDEPENDENT), "withdraws a part of request 2")


def test_the_automatic_scale_goes_as_far_as_the_edits_alone(folder):
    """Of one edit it is 1; of a mean of two it makes up for the averaging."""
    assert run("--merge", "linear", "--scale", "auto", how=INDEPENDENT).exit_code == 0
    one, two = (line["scale"] for line in lines())
    assert one == pytest.approx(1, rel=1e-3) and two > 1.2
    assert lines()[-1]["sha256"] == merged(1, 2, how=f"-m linear -s {two}")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--merge", "ties"), "merge is of a merge, and recomputed merges nothing"),
        (("--strategy", "independent", "--merge", "x"), "no merge method is called 'x'"),
        (("--strategy", "independent", "--merge-param", "x=1"), "ties has no parameter x"),
        (("--strategy", "independent", "--scale", "much"), "must be a number or auto"),
    ],
)
def test_what_is_wrong_with_a_merge_is_refused_first(folder, more, said):
    refused(run(*more), said)
    assert not Path("run").exists()


def test_what_the_base_had_erased_is_scored_as_erased_and_hidden_names_are_refused(folder):
    erase = ("erase", "base.safetensors", "--concept", "Hokusai", *QUICK, "-q")
    for more, name in (((), "known"), (("--private-concepts",), "hidden")):
        made = CliRunner().invoke(app, [*erase, *more, "-o", f"{name}.safetensors"])
        assert made.exit_code == 0, made.stderr
    listed("Van Gogh", folder=folder, more='[eval]\nretain = ["Monet", "Cat"]\nsteps = 1\n')

    def scored(base: str) -> Result:
        line = ["continual", f"{base}.safetensors", "list.toml", "-o", base, *QUICK, "--eval"]
        return CliRunner().invoke(app, line)

    assert scored("known").exit_code == 0
    for line in lines("known"):
        roles = {each["concept"]: each["role"] for each in line["scores"]["per_concept"]}
        assert roles["Hokusai"] == roles["Van Gogh"] == "erased"
    refused(scored("hidden"), "salted hashes", "erase --earlier")
    assert not Path("hidden").exists()

"""`--private-concepts`: no name is in what is written, and whoever knows one can ask for it."""

import json
import shutil

import pytest
from refusal import refused
from tiny_model import random_mini
from typer.testing import CliRunner

import ckptedit
from ckptedit.cli import app
from ckptedit.concepts.private import HIDDEN, hidden, salt_of, stands_for
from ckptedit.families import FAMILIES
from ckptedit.files import Checkpoint, ledger, write_edited

NAMES = ("gogh", "monet", "hokusai", "dog", "castle")


def run(command, *args):
    return CliRunner().invoke(app, [command, *(str(arg) for arg in args)])


@pytest.fixture(scope="module")
def files(tmp_path_factory, checkpoint, family):
    """The tiny model, and what is left of it, as a checkpoint and as a delta."""
    folder = tmp_path_factory.mktemp("private")
    shutil.copyfile(checkpoint, folder / "base.safetensors")
    how = {"kind": "style", "retain": ["Monet"], "private_concepts": True, "anchor": "Hokusai"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FAMILIES, family.name, family)
        base = folder / "base.safetensors"
        ckptedit.erase(base, "Van Gogh", folder / "one.safetensors", **how)
        ckptedit.erase(base, "Van Gogh", folder / "d.safetensors", delta=True, **how)
        yield folder


def said(path):
    with Checkpoint(path) as opened:
        return opened.ledger, json.dumps(opened.metadata).lower()


@pytest.mark.parametrize("name", ["one", "d"])
def test_no_name_is_in_the_file_and_the_same_request_writes_the_same_bytes(files, name, tmp_path):
    (line,), text = said(files / f"{name}.safetensors")
    assert not [known for known in NAMES if known in text]
    (concept,), (target,) = line["concepts"], line["targets"]
    assert HIDDEN.fullmatch(concept) and target["concept"] == concept
    assert HIDDEN.fullmatch(target["anchor"]) and target["kind"] == "style"
    assert line["retain"] and all(map(HIDDEN.fullmatch, line["retain"]))
    assert len({HIDDEN.fullmatch(text)[1] for text in (concept, *line["retain"])}) == 1
    again = tmp_path / f"{name}.safetensors"
    run("erase", files / "base.safetensors", "--concept", "van-gogh", "--kind", "style", "--retain",
        "Monet", "--anchor", "Hokusai", "--private-concepts", "-o", again,
        *(["--delta"] if name == "d" else []))  # fmt: skip
    assert again.read_bytes() == (files / f"{name}.safetensors").read_bytes()


def test_another_name_of_a_concept_is_hidden_with_it(files, tmp_path):
    run("erase", files / "base.safetensors", "--concept", "Van Gogh", "--alias", "Dog",
        "--kind", "style", "--private-concepts", "-o", tmp_path / "x.safetensors")  # fmt: skip
    (line,), text = said(tmp_path / "x.safetensors")
    assert not [known for known in NAMES if known in text]
    (alias,) = (target for target in line["targets"] if "alias_of" in target)
    assert stands_for(alias["concept"], "Dog") and stands_for(alias["alias_of"], "Van Gogh")
    more = ("--earlier", "Van Gogh", "--earlier", "Dog", "-o", tmp_path / "y.safetensors")
    done = run("erase", tmp_path / "x.safetensors", "--concept", "Monet", *more)
    assert done.exit_code == 0, done.stderr


def test_info_tells_of_a_name_in_any_spelling_and_shows_none(files):
    one = files / "one.safetensors"
    result = run("info", one, "--quick", "--concept", "vincent van gogh", "--concept", "VAN-GOGH")
    assert "1 kept as salted hashes" in result.stdout
    assert "vincent van gogh: not erased, by the ledger\nVAN-GOGH: erased" in result.stdout
    report = json.loads(run("info", one, "--quick", "--json", "--concept", "Van Gogh").stdout)
    assert report["concepts"] == {"Van Gogh": True}
    ckptedit.apply(
        files / "base.safetensors", files / "d.safetensors", files / "applied.safetensors"
    )
    assert (
        "Van Gogh: erased"
        in run("info", files / "applied.safetensors", "--concept", "Van Gogh").stdout
    )


def test_what_needs_the_names_says_how_to_give_them(files, tmp_path):
    one, base, out = (
        files / "one.safetensors",
        files / "base.safetensors",
        tmp_path / "o.safetensors",
    )
    second = ["erase", one, "--concept", "Castle", "-o", out]
    refused(run(*second), "keeps 2 of the names", "with --earlier NAME or @file")
    refused(run(*second, "--earlier", "Van Gogh"), "keeps 1 of the names")
    refused(run(*second, "--from-original", base), "with --earlier NAME or @file")
    assert not out.exists()
    with Checkpoint(random_mini(tmp_path / "mini.safetensors")) as mini, Checkpoint(one) as edited:
        metadata = ledger.replaced(mini.metadata, edited.ledger)
        write_edited(tmp_path / "m.safetensors", mini, {}, metadata=metadata)
    refused(run("eval", tmp_path / "m.safetensors"), "with --erased NAME or @file")
    names = tmp_path / "names"
    names.write_text("van gogh\nhokusai\nmonet\n")
    told = ["--earlier", f"@{names}"]
    refused(run(*second, *told, "--earlier", "Dali"), "'Dali' is none of the names that the ledger")
    done = run(*second, *told)
    assert done.exit_code == 0, done.output
    refused(
        run("erase", one, "--concept", "Castle", "--retain", "Van Gogh", "--earlier", f"@{names}"),
        "'Van Gogh' cannot be retained: 'van gogh' was erased before",
    )


def test_a_history_that_hides_names_goes_on_to_and_has_one_salt(files, tmp_path):
    names = ["Van Gogh", "Hokusai", "Monet"]
    two, anew = tmp_path / "two.safetensors", tmp_path / "anew.safetensors"
    ckptedit.erase(files / "one.safetensors", "Castle", two, earlier=names)
    lines, text = said(two)
    assert not [known for known in NAMES if known in text]
    salts = {HIDDEN.fullmatch(name)[1] for line in lines for name in line["concepts"]}
    assert len(lines) == 2 and len(salts) == 1
    base = files / "base.safetensors"
    ckptedit.erase(files / "one.safetensors", "Castle", anew, earlier=names, original=base)
    lines, text = said(anew)
    assert not [known for known in NAMES if known in text] and len(lines[-1]["concepts"]) == 2
    assert run("verify", two, "--parent", base).exit_code == 0


def test_the_file_of_a_subspace_hides_the_names_that_the_ledger_hides(files, tmp_path):
    for name, hides in (("one", True), ("base", False)):
        out = tmp_path / f"{name}.basis.safetensors"
        done = run("project", files / f"{name}.safetensors", "--concept", "Hokusai", "-o", out)
        assert done.exit_code == 0, done.output
        with Checkpoint(out) as basis:
            told = json.loads(basis.metadata["ckptedit.subspace"])
        assert told["tokens"] == "concept" and len(told["concepts"]) == 1
        for text in (*told["concepts"], *told["neighbors"]):
            assert bool(HIDDEN.fullmatch(text)) == hides
        assert stands_for(told["concepts"][0], "hokusai")
    again = tmp_path / "two.safetensors"
    basis = tmp_path / "one.basis.safetensors"
    ckptedit.erase(files / "one.safetensors", "Castle", again, basis=basis,
                   earlier=["Van Gogh", "Hokusai", "Monet"])  # fmt: skip
    assert not [known for known in NAMES if known in said(again)[1]]


def test_parameters_that_are_names_are_hidden_and_usual_anchors_are_not(files, tmp_path):
    out = tmp_path / "o.safetensors"
    ckptedit.erase(files / "base.safetensors", "Monet", out, kind="style", private_concepts=True,
                   method="uce", params={"uce": {"debias": "Van Gogh,Hokusai"}})  # fmt: skip
    (line,), text = said(out)
    assert not [known for known in NAMES if known in text]
    assert len(line["options"]["params"]["uce"]["debias"].split(",")) == 2
    ckptedit.erase(files / "base.safetensors", "Monet", tmp_path / "p.safetensors", kind="style",
                   private_concepts=True)  # fmt: skip
    (line,), _ = said(tmp_path / "p.safetensors")
    assert line["targets"][0]["anchor"] == "photo"


def test_a_hash_stands_for_all_spellings_of_one_name_alone():
    salt = salt_of([], "0" * 64, ["Van Gogh"])
    text = hidden("Van Gogh", salt)
    assert hidden(text, "f" * 16) == text and stands_for(text, "vangogh")
    assert not stands_for(text, "van gog") and stands_for("Monet", "monet")
    assert salt_of([{"concepts": [text]}], "1" * 64, ["Monet"]) == salt
    assert salt != salt_of([], "0" * 64, ["Monet"]) != salt_of([], "1" * 64, ["Monet"])

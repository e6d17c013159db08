"""What every public function has in common: a path or an opened object, one name or several."""

import pytest
import torch
from tiny_model import random_mini

import ckptedit
from ckptedit.errors import BadParam, UnknownName
from ckptedit.families import MINI

QUICK = {"steps": 1, "batch": 1, "pictures": 1, "moments": 1, "neighbors": 1, "device": "cpu"}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return random_mini(tmp_path_factory.mktemp("api") / "base.safetensors")


def test_one_name_alone_is_a_name_and_not_its_letters(base):
    """A text is a sequence, too: "Cat" would be the concepts "C", "a" and "t"."""
    made = ckptedit.erase(base, "Cat", retain="Dog", guards="distill", kind="object", **QUICK)
    assert [target.concept for target in made.request.targets] == ["Cat"]
    assert made.request.retain["object"][0] == "Dog" and made.options.guarded_by == ("distill",)
    with pytest.raises(UnknownName, match="no guard is called 'dist'"):
        ckptedit.erase(base, "Cat", guards="dist", **QUICK)
    assert ckptedit.project(base, "Cat", neighbors=0).concepts == ("Cat",)
    assert len(ckptedit.sample(base, "a cat", steps=1)) == 1
    with pytest.raises(BadParam, match="does not know 'Banksy'"):
        ckptedit.evaluate(base, erased="Banksy")
    with pytest.raises(BadParam, match="does not know 'Banksy'"):
        ckptedit.evaluate(base, erased="Cat", retain="Banksy")


def test_files_may_be_given_by_name_or_opened(base):
    tokenizer, lexicon = f"{MINI.folder}/tokenizer", f"{MINI.folder}/lexicon.txt"
    files = {"tokenizer": tokenizer, "lexicon": lexicon}
    made = ckptedit.erase(str(base), ["Cat"], **files, **QUICK, guards=())
    plain = ckptedit.erase(base, ["Cat"], **QUICK, guards=())
    assert torch.equal(made.gram, plain.gram)
    assert ckptedit.project(base, "Cat", tokenizer=tokenizer, neighbors=0).rank
    assert ckptedit.open_model(base, tokenizer=tokenizer).text
    with ckptedit.Checkpoint(base) as opened:
        assert ckptedit.info(opened) == ckptedit.info(base)
        drawn = ckptedit.sample(opened, ["a cat"], steps=1)
        assert (drawn == ckptedit.sample(str(base), ["a cat"], steps=1)).all()

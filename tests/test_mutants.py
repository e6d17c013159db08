"""The faults of mutants.py can still be planted; whether they are caught is what it reports."""

from mutants import MUTANTS, ROOT


def test_every_fault_can_be_planted_and_changes_something():
    for mutant in MUTANTS:
        text = (ROOT / "ckptedit" / mutant.file).read_text()
        assert text.count(mutant.old) == 1, f"{mutant.file}: {mutant.story}"
        assert mutant.new != mutant.old
        for tests in mutant.tests.split():
            assert (ROOT / tests).exists(), tests


def test_no_fault_is_told_twice():
    assert len({mutant.story for mutant in MUTANTS}) == len(MUTANTS)

"""How the rules came out, as a JUnit report, which CI systems show: one test case per rule."""

from xml.sax.saxutils import escape as xml
from xml.sax.saxutils import quoteattr

from ckptedit.drift.comparison import Comparison
from ckptedit.drift.gates import Judgement, Outcome
from ckptedit.files import escape


def as_junit(comparison: Comparison, judgement: Judgement) -> str:
    """One test suite, named after the checkpoints; a rule that is broken is a failed test."""
    failures = sum(not outcome.passed for outcome in judgement.outcomes)
    suite = _attribute(f"ckptedit diff {comparison.old} {comparison.new}")
    counts = f'tests="{len(judgement.outcomes)}" failures="{failures}"'
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuites {counts}><testsuite name={suite} {counts} errors="0" skipped="0">',
        *map(_case, judgement.outcomes),
        "</testsuite></testsuites>",
    ]
    return "\n".join(lines) + "\n"


def _case(outcome: Outcome) -> str:
    head = f'<testcase classname="ckptedit.diff" name={_attribute(outcome.rule)}'
    if outcome.passed:
        return f"{head}/>"
    message = f"{len(outcome.tensors)} tensors"
    if outcome.measured is not None:
        message = f"measured {outcome.measured:.6g}"
    names = "\n".join(xml(escape(name)) for name in outcome.tensors)
    return f"{head}><failure message={_attribute(message)}>{names}</failure></testcase>"


def _attribute(text: str) -> str:
    return quoteattr(escape(text))

"""Verdicts as a JUnit report, which CI systems show: one test case per rule."""

from xml.sax.saxutils import escape as xml
from xml.sax.saxutils import quoteattr

from ckptedit.drift.gates import Judgement, Verdict
from ckptedit.drift.report import Report
from ckptedit.files import escape


def as_junit(report: Report, judgement: Judgement) -> str:
    """One test suite, named after the checkpoints; a rule that is broken is a failed test."""
    failures = sum(not verdict.passed for verdict in judgement.verdicts)
    suite = _attribute(f"ckptedit diff {report.old} {report.new}")
    counts = f'tests="{len(judgement.verdicts)}" failures="{failures}"'
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuites {counts}><testsuite name={suite} {counts} errors="0" skipped="0">',
        *map(_case, judgement.verdicts),
        "</testsuite></testsuites>",
    ]
    return "\n".join(lines) + "\n"


def _case(verdict: Verdict) -> str:
    head = f'<testcase classname="ckptedit.diff" name={_attribute(verdict.rule)}'
    if verdict.passed:
        return f"{head}/>"
    message = f"{len(verdict.tensors)} tensors"
    if verdict.measured is not None:
        message = f"measured {verdict.measured:.6g}"
    names = "\n".join(xml(escape(name)) for name in verdict.tensors)
    return f"{head}><failure message={_attribute(message)}>{names}</failure></testcase>"


def _attribute(text: str) -> str:
    return quoteattr(escape(text))

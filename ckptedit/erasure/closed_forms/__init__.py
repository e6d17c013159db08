"""Closed forms: erasures without training. To add one: write its file, and add its line below."""

from ckptedit.registry import Registry

CLOSED_FORMS = Registry("closed form", {"uce": "ckptedit.erasure.closed_forms.uce:UCE"})

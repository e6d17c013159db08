"""Compares methods where they delete the same: reports of `ckptedit eval --json` as lines.

for dial in 0.5 1 2; do
  ckptedit erase base.safetensors --concept Neon --method uce -p erase=$dial -o "$dial.safetensors"
  ckptedit eval "$dial.safetensors" --json | jq -c '. + {method: "uce"}' >> runs.jsonl
done
python recipes/matched.py runs.jsonl
"""

import json
import sys
from pathlib import Path

from ckptedit.evaluation.matched import common_ua, matched

FIGURES = ("ra_i", "ra_i_unseen", "ra_c")


def main(files: list[str]) -> None:
    runs: dict[str, list[dict]] = {}
    for file in files:
        for line in Path(file).read_text().splitlines():
            report = json.loads(line)
            runs.setdefault(report["method"], []).append(report)
    ua = common_ua(runs)
    print(f"at UA {ua:.1%}:", *FIGURES, sep="\t")
    found = {figure: matched(runs, figure=figure, ua=ua) for figure in FIGURES}
    for method in runs:
        values = [found[figure][method] for figure in FIGURES]
        print(method, *("none" if x is None else f"{x:.1%}" for x in values), sep="\t")


if __name__ == "__main__":
    main(sys.argv[1:])

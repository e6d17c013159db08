"""Draws what recipes/six-styles.sh measured: a figure of curves, and a table in Markdown.

    python recipes/plot_six_styles.py runs/six-styles docs/six-styles.png > docs/six-styles.md
"""

import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt

ARMS = {  # folder's name -> label, colour
    "none": ("no guard", "#888888"),
    "hard": ("gradproj:hard", "#d08a00"),
    "soft": ("gradproj:soft", "#1f77b4"),
    "distill": ("distill", "#2ca02c"),
    "soft+distill": ("gradproj:soft + distill", "#c2185b"),
}
PANELS = (
    ("ua", "UA, all targets so far"),
    ("ra_i_shown", "RA-I, shown to the guard"),
    ("ra_i_unseen", "RA-I, never shown"),
    ("ra_c", "RA-C"),
    ("drift", "relative drift of K/V"),
)


def rows(folder: Path, arm: str) -> list[dict[str, float]]:
    """One dictionary a request, in order."""
    found = []
    for path in sorted(folder.glob(f"{arm}.[0-9].eval.json")):
        scores = json.loads(path.read_text())
        drift = json.loads(Path(str(path).replace(".eval.", ".diff.")).read_text())
        changed = [t for t in drift["tensors"] if t["l2"]]
        base = sum((t["l2"] / t["relative"]) ** 2 for t in changed) ** 0.5
        found.append({**scores, "drift": drift["total"]["l2"] / base})
    return found


def main(folder: Path, picture: Path) -> None:
    figure, axes = plt.subplots(1, len(PANELS), figsize=(17, 3.4))
    print("| guard | after | UA | RA-I shown | RA-I unseen | RA-C | drift |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for arm, (label, colour) in ARMS.items():
        measured = rows(folder, arm)
        for axis, (key, title) in zip(axes, PANELS, strict=True):
            values = [row[key] for row in measured]
            axis.plot(range(1, len(values) + 1), values, "o-", ms=4, label=label, color=colour)
            axis.set_title(title, fontsize=10)
            axis.set_xlabel("styles erased, one after another", fontsize=8)
            axis.grid(alpha=0.3)
            if key != "drift":
                axis.set_ylim(-0.03, 1.03)
        for i, row in enumerate(measured, 1):
            cells = " | ".join(f"{row[key]:.1%}" for key, _ in PANELS[:4])
            print(f"| {label} | {i} | {cells} | {row['drift']:.3f} |")
    axes[0].legend(fontsize=7, loc="lower left")
    figure.tight_layout()
    figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

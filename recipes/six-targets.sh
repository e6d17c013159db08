#!/usr/bin/env bash
# Three styles and three objects, each erased from the base model by training with its defaults, and scored; then
# the base model itself, on the same noise.
#   recipes/six-targets.sh [FOLDER]
set -euo pipefail
folder=${1:-runs/six-targets}
mkdir -p "$folder"
[ -e "$folder/base.safetensors" ] || ckptedit demo -o "$folder/base.safetensors" > /dev/null
score() { ckptedit eval "$@" --companions 8 --steps 12 --quiet --json; }
row() {
  python - "$@" <<'PY'
import json, sys
name, scores, *edit = sys.argv[1:]
scores = json.load(open(scores))
shares = " | ".join(f"{scores[key]:.1%}" for key in ("ua", "ra_i", "ra_c"))
edit = json.load(open(edit[0])) if edit else None
cost = f"{edit['seconds']:.0f} | {edit['drift']['relative']:.3f}" if edit else " | "
print(f"| {name} | {shares} | {cost} |", flush=True)
PY
}
echo "| target | UA | RA-I | RA-C | seconds | drift |"
echo "|---|--:|--:|--:|--:|--:|"
for target in "Van Gogh" Mondrian Neon Cat Car Star; do
  stem=$folder/${target// /-}
  [ -s "$stem.safetensors" ] ||
    ckptedit erase "$folder/base.safetensors" --concept "$target" --method conabl --quiet --json -o "$stem.safetensors" > "$stem.erase.json"
  [ -s "$stem.eval.json" ] || score "$stem.safetensors" > "$stem.eval.json"
  row "$target" "$stem.eval.json" "$stem.erase.json"
done
styles=(--erased "Van Gogh" --erased Mondrian --erased Neon)
objects=(--erased Cat --erased Car --erased Star)
[ -s "$folder/styles.json" ] || score "$folder/base.safetensors" "${styles[@]}" > "$folder/styles.json"
[ -s "$folder/objects.json" ] || score "$folder/base.safetensors" "${objects[@]}" > "$folder/objects.json"
row "base, the three styles" "$folder/styles.json"
row "base, the three objects" "$folder/objects.json"

#!/usr/bin/env bash
# Three styles and three objects, each erased from the base model with the defaults, and scored
# beside the base model on the same noise.
#   recipes/six-targets.sh [FOLDER]
set -euo pipefail
folder=${1:-runs/six-targets}
mkdir -p "$folder"
[ -e "$folder/base.safetensors" ] || ckptedit demo -o "$folder/base.safetensors" > /dev/null
echo "| target | UA | RA-I | RA-C | base: RA-I | base: RA-C | seconds | drift |"
echo "|---|--:|--:|--:|--:|--:|--:|--:|"
for target in "Van Gogh" Mondrian Neon Cat Car Star; do
  stem=$folder/${target// /-}
  [ -s "$stem.safetensors" ] ||
    ckptedit erase "$folder/base.safetensors" --concept "$target" --quiet --json -o "$stem.safetensors" > "$stem.erase.json"
  [ -s "$stem.eval.json" ] || ckptedit eval "$stem.safetensors" --companions 8 --quiet --json > "$stem.eval.json"
  [ -s "$stem.base.json" ] ||
    ckptedit eval "$folder/base.safetensors" --erased "$target" --companions 8 --quiet --json > "$stem.base.json"
  python - "$target" "$stem" <<'PY'
import json, sys
target, stem = sys.argv[1:]
edit, scores, base = (json.load(open(f"{stem}.{n}.json")) for n in ("erase", "eval", "base"))
shares = [f"{s[k]:.1%}" for s, k in ((scores, "ua"), (scores, "ra_i"), (scores, "ra_c"), (base, "ra_i"), (base, "ra_c"))]
print(f"| {target} | {' | '.join(shares)} | {edit['seconds']:.0f} | {edit['drift']['relative']:.3f} |", flush=True)
PY
done

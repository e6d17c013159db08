#!/usr/bin/env bash
# Six erasures made apart and merged by TIES: the scale that `--scale auto` finds without pictures,
# beside a grid of scale and density that is scored on pictures.
#   recipes/merge-scale.sh [FOLDER]        (default: runs/merge-scale)
# Some minutes on two cores; goes on where it was stopped.
set -euo pipefail
folder=${1:-runs/merge-scale}
mkdir -p "$folder" && cd "$folder"
[ -e base.safetensors ] || ckptedit demo
targets=("Van Gogh" Hokusai Neon Mosaic Munch Sketch)
printf '%s\n' "${targets[@]}" > requests.txt

score() {  # CHECKPOINT NAME
  local erased=() target
  for target in "${targets[@]}"; do erased+=(--erased "$target"); done
  [ -s "$2.eval.json" ] ||
    ckptedit eval "$1" "${erased[@]}" --companions 2 --steps 8 --quiet --json > "$2.eval.json"
  python - "$2" <<'PY'
import json, sys
scores = json.load(open(sys.argv[1] + ".eval.json"))
print(f"{sys.argv[1]:<16} UA {scores['ua']:.3f}  RA-I {scores['ra_i']:.3f}  RA-C {scores['ra_c']:.3f}")
PY
}

score base.safetensors base
for density in 0.2 0.4 0.6 0.8; do
  ckptedit continual base.safetensors requests.txt -o "auto-$density" --quiet \
    --strategy independent --merge-param "density=$density" --scale auto > /dev/null
  score "auto-$density/006.safetensors" "auto-$density"
  tail -n 1 "auto-$density/results.jsonl" |
    python -c 'import json, sys; print("    scale", round(json.load(sys.stdin)["scale"], 2))'
  for scale in 1 1.25 1.75 2.25 2.75 3.25; do
    ckptedit merge base.safetensors auto-0.2/deltas/00?.safetensors --density "$density" \
      --scale "$scale" -o merged.safetensors --force --quiet > /dev/null
    score merged.safetensors "$density-$scale"
  done
done

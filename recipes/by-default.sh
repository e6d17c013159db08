#!/usr/bin/env bash
# `erase` with its defaults on mini: one concept, six, and twelve at once, scored beside the base
# model on the same noise; then twelve objects with a short training after the closed form. Objects
# that go together are scored on three seeds: six pictures of each say too little.
#   recipes/by-default.sh [FOLDER]
set -euo pipefail
folder=${1:-runs/by-default}
mkdir -p "$folder" && cd "$folder"
[ -e base.safetensors ] || ckptedit demo -o base.safetensors > /dev/null
styles=("Van Gogh" Hokusai Neon Mosaic Munch Sketch Rothko Chalk Mondrian Embroidery Woodcut "Pixel Art")
objects=(Cat Car Star Fish Boat Key Apple Bird Flower Moon Tree Umbrella)
score() { ckptedit eval "$@" --companions 6 --steps 12 --seeds "$seeds" --quiet --json; }
each() { option=$1; shift; for name in "$@"; do printf '%s\n%s\n' "$option" "$name"; done; }
row() {  # NAME COUNT-OF-CONCEPTS CONCEPT... [OPTION...]
  local name=$1 count=$2; shift 2
  mapfile -t asked < <(each --concept "${@:1:count}")
  mapfile -t gone < <(each --erased "${@:1:count}")
  [ -s "$name.safetensors" ] ||
    ckptedit erase base.safetensors "${asked[@]}" "${@:count+1}" --quiet --json -o "$name.safetensors" > "$name.erase.json"
  [ -s "$name.eval.json" ] || score "$name.safetensors" > "$name.eval.json"
  [ -s "$name.base.json" ] || score base.safetensors "${gone[@]}" > "$name.base.json"
  python - "$name" <<'PY'
import json, sys
name = sys.argv[1]
after, base, edit = (json.load(open(f"{name}.{part}.json")) for part in ("eval", "base", "erase"))
both = [f"{after[key]:.1%} ({base[key]:.1%})" for key in ("ra_i", "ra_c")]
apart = " / ".join("–" if after[key] is None else f"{after[key]:.1%}" for key in ("ra_i_shown", "ra_i_unseen"))
print(f"| {name} | {after['ua']:.1%} | {both[0]} | {apart} | {both[1]} | {edit['drift']['relative']:.2f} | {edit['seconds']:.0f} | {after['n']} |", flush=True)
PY
}
echo "| erased | UA | RA-I (base) | shown / unseen | RA-C (base) | drift | seconds | pictures |"
echo "|---|--:|--:|--:|--:|--:|--:|--:|"
seeds=1
for name in "Van Gogh" Neon Cat Star; do row "$name" 1 "$name"; done
row "six styles" 6 "${styles[@]:0:6}"
row "twelve styles" 12 "${styles[@]}"
seeds=3
row "six objects" 6 "${objects[@]:0:6}"
row "twelve objects" 12 "${objects[@]}"
row "twelve objects, trained after" 12 "${objects[@]}" --method conabl --init balanced \
  -p balanced.tau_v=0.25 -p balanced.tau_k=0.35 --guard gradproj:soft -p rank=48 \
  -p gradproj:soft.ridge=0.03 --guard distill --steps 40 --lr 1e-3 --pictures 60

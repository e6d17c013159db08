#!/usr/bin/env bash
# Continual unlearning in miniature: six styles erased one after another, under each guard.
#   recipes/six-styles.sh [FOLDER] [ARM...]
# Writes FOLDER/<arm>.<n>.safetensors, .erase.json, .eval.json and .diff.json; goes on where it was
# stopped. `python recipes/plot_six_styles.py FOLDER` draws the figure and the pictures.
#
# Nine of the styles that stay are shown to the guards, nine and their names in the lexicon are not.
set -euo pipefail
folder=${1:-runs/six-styles}; shift || true
here=$(cd "$(dirname "$0")" && pwd)
arms=("$@"); [ ${#arms[@]} -gt 0 ] || arms=(none hard soft distill soft+distill)
targets=("Van Gogh" Hokusai Neon Mosaic Munch Sketch)
declare -A guards=(
  [none]="--guard none" [hard]="--guard gradproj:hard" [soft]="--guard gradproj:soft"
  [distill]="--guard distill" [soft+distill]="--guard gradproj:soft --guard distill"
)
mkdir -p "$folder"
[ -e "$folder/base.safetensors" ] || ckptedit demo -o "$folder/base.safetensors"
for arm in "${arms[@]}"; do
  current=$folder/base.safetensors
  for i in "${!targets[@]}"; do
    stem=$folder/$arm.$((i + 1))
    # shellcheck disable=SC2086
    [ -e "$stem.safetensors" ] || ckptedit erase "$current" --concept "${targets[$i]}" --kind style \
      --neighbors 0 --retain "@$here/shown-styles.txt" --lexicon "$here/shown-lexicon.txt" \
      ${guards[$arm]} --quiet --json -o "$stem.safetensors" > "$stem.erase.json"
    [ -s "$stem.diff.json" ] ||
      ckptedit diff "$folder/base.safetensors" "$stem.safetensors" --keys '**.attn2.to_[kv].weight' \
        --json > "$stem.diff.json" || [ $? = 1 ]
    [ -s "$stem.eval.json" ] ||
      ckptedit eval "$stem.safetensors" --companions 8 --steps 12 --quiet --json > "$stem.eval.json"
    current=$stem.safetensors
    printf '%-14s %d %-10s ' "$arm" $((i + 1)) "${targets[$i]}"
    python -c 'import json,sys; e=json.load(open(sys.argv[1])); print(*(f"{k} {e[k]:.3f}" for k in ("ua","ra_i_shown","ra_i_unseen","ra_c")))' "$stem.eval.json"
  done
done

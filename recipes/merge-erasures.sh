#!/usr/bin/env bash
# Erasures made apart from each other, merged: which way of merging keeps them all?
#   recipes/merge-erasures.sh [FOLDER] [METHOD...]
# Erases three styles from the embedded model, each from the base and none knowing of the others;
# merges the three by each method, and scores every merge. Writes FOLDER/<style>.delta.safetensors,
# FOLDER/<method>.safetensors, .merge.json and .eval.json; goes on where it was stopped.
set -euo pipefail
folder=${1:-runs/merge-erasures}; shift || true
methods=("$@"); [ ${#methods[@]} -gt 0 ] || methods=(linear task ties dare della breadcrumbs model-stock fuse)
targets=("Van Gogh" Hokusai Neon)
mkdir -p "$folder"
base=$folder/base.safetensors
[ -e "$base" ] || ckptedit demo -o "$base"

edits=()
for target in "${targets[@]}"; do
  edit=$folder/${target// /-}.delta.safetensors
  [ -e "$edit" ] || ckptedit erase "$base" --concept "$target" --kind style --delta --quiet -o "$edit"
  edits+=("$edit")
done

printf '%-16s %7s %7s %7s %9s  %s\n' method UA RA-I RA-C drift "cosine of the merge with each edit"
for method in "${methods[@]}"; do
  stem=$folder/$method
  [ -e "$stem.safetensors" ] ||
    ckptedit merge "$base" "${edits[@]}" --method "$method" --keys '**.attn2.to_[kv].weight' \
      --quiet --json -o "$stem.safetensors" > "$stem.merge.json"
  [ -s "$stem.eval.json" ] || ckptedit eval "$stem.safetensors" --quiet --json > "$stem.eval.json"
  python - "$method" "$stem.merge.json" "$stem.eval.json" <<'PY'
import json, sys
method, merge, scores = sys.argv[1], *(json.load(open(path)) for path in sys.argv[2:])
figures = (scores["ua"], scores["ra_i"], scores["ra_c"], merge["drift"]["relative"])
found = (edit["cosine"] for edit in merge["edits"])  # none where nothing was added
cosines = " ".join("-" if cosine is None else f"{cosine:.2f}" for cosine in found)
print(f"{method:<16} {figures[0]:7.3f} {figures[1]:7.3f} {figures[2]:7.3f} {figures[3]:9.4f}  {cosines}")
PY
done

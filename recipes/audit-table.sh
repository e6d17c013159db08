#!/usr/bin/env bash
# One style and one object, erased from mini by several methods, audited by every probe: a line of
# JSON for each, which docs/audit.md shows as a table (recipes/audit_table.py).
#   recipes/audit-table.sh [FOLDER [CONCEPT...]]
# Goes on where it was stopped; a quarter of an hour on one core.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-runs/audit}
shift || true
[ $# -gt 0 ] || set -- "Van Gogh" Cat
mkdir -p "$folder" && cd "$folder"
[ -e base.safetensors ] || ckptedit demo -o base.safetensors > /dev/null
trained=(--steps 40 --lr 2e-3 --batch 12 --pictures 16)
read_all=(-p read=sentences -p positions=all -p erase=10)
probes=(--deep -p gap.pictures=8 -p inversion.pictures=8 -p inversion.steps=20
  -p prefix.rounds=6 -p prefix.tried=12 -p prefix.pictures=3 -p prefix.asked=8
  -p relearning.steps=80 -p relearning.pictures=24 -p relearning.asked=8)
row() {  # CONCEPT NAME OPTION...
  local file="${1// /-}.$2"
  [ -s "$file.safetensors" ] ||
    ckptedit erase base.safetensors --concept "$1" "${@:3}" --quiet -o "$file.safetensors" > /dev/null
  if [ ! -s "$file.json" ]; then
    ckptedit audit "$file.safetensors" --original base.safetensors --concept "$1" "${probes[@]}" \
      --json --quiet > "$file.part" && mv "$file.part" "$file.json"
  fi
}
for concept in "$@"; do
  row "$concept" balanced
  row "$concept" uce --method uce "${read_all[@]}"
  row "$concept" conabl --method conabl --guard none "${trained[@]}"
  row "$concept" conabl+soft --method conabl --guard gradproj:soft "${trained[@]}"
  row "$concept" esd --method esd --guard none -p eta=3 "${trained[@]}"
  row "$concept" sculpmem --method sculpmem --guard none "${trained[@]}"
done
python "$here/audit_table.py" .

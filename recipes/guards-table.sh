#!/usr/bin/env bash
# One style under one guard at a time, from mini, as a table.
#   recipes/guards-table.sh [FOLDER]
# Goes on where it was stopped. Some minutes on two cores.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-runs/guards}
guards=(none gradproj:hard gradproj:soft gradproj:gradient anchor l1 l2 ewc selft)
python "$here/methods_table.py" --folder "$folder" --seeds 1 --concept "Van Gogh" \
  "${guards[@]/#/--guard=}" conabl >&2
python "$here/describe_methods.py" --table "$folder/rows.jsonl"

#!/usr/bin/env bash
# Every method of erasing on mini: erased, scored, and written into docs/methods.md.
#   recipes/methods-table.sh [FOLDER] [SEEDS]
# Goes on where it was stopped. Three seeds take some hours on two cores.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-runs/methods}
python "$here/methods_table.py" --folder "$folder" --seeds "${2:-3}"
python "$here/describe_methods.py" --figures "$folder/rows.jsonl"
python "$here/describe_methods.py" > "$here/../docs/methods.md"

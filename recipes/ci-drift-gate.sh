#!/usr/bin/env bash
# Refuses a checkpoint that drifted from its base beyond the rules.
#
#   recipes/ci-drift-gate.sh BASE NEW [RULES.toml] [FOLDER]
#
# Leaves drift.json, drift.md, drift.xml (JUnit) and drift.png in FOLDER (default: drift).
# Exit status: 0 within the rules, 1 beyond them, 2 if a checkpoint cannot be read.
set -euo pipefail

base=${1:?usage: ci-drift-gate.sh BASE NEW [RULES.toml] [FOLDER]}
new=${2:?usage: ci-drift-gate.sh BASE NEW [RULES.toml] [FOLDER]}
rules=${3:-$(dirname "$0")/ci-drift-gate.toml}
folder=${4:-drift}
mkdir -p "$folder"
rm -f "$folder"/drift.{json,md,xml,png} # no report of an earlier run shall pass for this one's

status=0
ckptedit diff "$base" "$new" --rules "$rules" --quiet --force --json \
    --markdown "$folder/drift.md" --junit "$folder/drift.xml" --plot "$folder/drift.png" \
    >"$folder/drift.json" || status=$?

if [[ $status -lt 2 ]]; then # which drift is limited, and what it is
    python3 -c 'import json, sys
for gate in json.load(sys.stdin)["gates"]:
    if gate["limit"] is not None:
        print(gate["rule"] + ": " + format(gate["measured"], ".4g"))' <"$folder/drift.json"
fi
case $status in
    0) echo "drift: within the rules" ;;
    1) echo "drift: beyond the rules, see $folder/drift.md" ;;
    *) echo "drift: no verdict, a checkpoint or a rule could not be read" ;;
esac
if [[ $status -lt 2 && -n ${GITHUB_STEP_SUMMARY:-} ]]; then
    cat "$folder/drift.md" >>"$GITHUB_STEP_SUMMARY"
    [[ $status -eq 0 ]] || echo "::error title=Checkpoint drift::The checkpoint moved beyond its rules"
fi
exit "$status"

#!/bin/sh
# A stage binary that computes nothing and obeys the protocol: `describe`, `--check`, a run. The tests link it under the
# name of every stage; `COMMIT` puts its files into the store. What it did is appended to `events` in the store; files in the store change its behaviour:
# `slow` makes every step wait until that file is gone, `fail-<step>` makes a step fail, and `unsaved` has an interrupted
# step fail to save its state.
set -eu
stage=$(basename "$0")
stage=${stage#w2s-}
if [ "$1" = describe ]; then
    cat "$(dirname "$0")/$stage.json"
    exit 0
fi
operation=$1
shift
if [ "$operation" = export ]; then
    echo "$*" >"$5"
    exit 0
fi

store='' step='' threads='' device=flex check='' force='' refuse=''
parameters="$stage $operation"
while [ $# -gt 0 ]; do
    case $1 in
    --store) store=$2 && shift ;;
    --step) step=$2 && shift ;;
    --threads) threads=$2 && shift ;;
    --device) device=$2 && shift ;;
    --check) check=1 ;;
    --force) force=1 ;;
    --refuse) refuse=1 ;;
    *) parameters="$parameters $1" ;;
    esac
    shift
done

case $operation in
task) kind=examples ;;
label) kind=labels ;;
finetune | classify) kind=checkpoint ;;
predict) kind=predictions ;;
build) kind=report ;;
esac
key=$(printf '%08x%056d' "$(printf %s "$parameters" | cksum | cut -d ' ' -f 1)" 0)
folder=$store/artifacts/$kind/$key
cached=false
[ -f "$folder/manifest.json" ] && [ -z "$force" ] && cached=true

if [ -n "$check" ]; then
    if [ -n "$refuse" ]; then
        printf 'error: the source is empty\n  caused by: it has 0 bytes\nhint: fill it\n' >&2
        exit 1
    fi
    reason='never made'
    $cached && reason='made before'
    echo "{\"artifact\":\"$kind/$key\",\"cached\":$cached,\"reason\":\"$reason\"}"
    exit 0
fi

signals=0
trap 'signals=1; echo "signal $step" >>"$store/events"' INT TERM
echo "start $step threads=$threads device=$device force=$force" >>"$store/events"
if [ -f "$store/fail-$step" ]; then
    for line in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25; do echo "line $line" >&2; done
    echo "error: the loss is NaN" >&2
    exit 1
fi
echo "working on $step" >&2
while [ -f "$store/slow" ] && [ $signals = 0 ]; do sleep 0.05; done
if [ $signals = 1 ]; then
    # A second signal would come now.
    sleep 0.3
    if [ -f "$store/unsaved" ]; then
        echo "error: cannot write the state: the disk is full" >&2
        exit 1
    fi
    echo "saved $step" >>"$store/events"
    exit 130
fi
files=$(mktemp -d)
if [ "$kind" = report ]; then
    cat >"$files/report.json" <<REPORT
{"format": 3, "recipe": "small", "title": "small, seeds 0, 1", "headline": "naive recovers half.", "overrides": [],
 "findings": ["the gap is clear"], "warnings": [],
 "sections": [{"id": "arms", "title": "Arms", "text": [], "charts": [], "tables": [{"id": "arms", "title": "Arms",
  "columns": [{"key": "arm", "name": "arm", "align": "left"}, {"key": "accuracy", "name": "accuracy", "align": "right"}],
  "rows": [{"cells": [{"text": "weak"}, {"text": "0.750", "value": 0.75}], "artifacts": []},
           {"cells": [{"text": "naive"}, {"text": "0.800", "value": 0.8}], "artifacts": []}]}]}],
 "steps": [{"step": "data[seed=0]", "seconds": 12.5, "cached": false}]}
REPORT
    echo '# report' >"$files/report.md"
fi
"$COMMIT" "$store" "$kind/$key" "$stage" "$operation" "$step" "$files"
rm -r "$files"
echo "end $step" >>"$store/events"
echo "{\"artifact\":\"$kind/$key\",\"path\":\"$folder\",\"cached\":$cached,\"seconds\":0.1,\"summary\":{\"line\":\"1,200 rows\"}}"

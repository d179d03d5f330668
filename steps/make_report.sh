#!/usr/bin/env bash
# The report of a model: curves, retrieval, matchmaps, units and the picture dictionary on one page that opens offline.
#
#   steps/make_report.sh [options] <model-dir> <data-dir> <out-dir>
#   e.g.: steps/make_report.sh --no-audio true exp/mini data/mini exp/mini/report
#
# Writes <out-dir>/index.html: one file up to 30 MB, else with a folder assets/ beside it. Parts that do not exist are left out,
# and the page says so. Recordings whose utt2share says no are never in it.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# begin options
results=           # folder of eval/ and lexicon/ (default: <model-dir>)
no_audio=false     # leave all recordings out
allow_pipes=false  # run the commands that wav.scp holds
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
[ $# -eq 3 ] || usage_error "expected three arguments, <model-dir> <data-dir> <out-dir>"
model=$1 data=$2 out=$3
# shellcheck source=utils/step.sh
. "$root/utils/step.sh"

need_files "run stage 4 (train) first" "$model/config.yaml"
arguments=(--results "${results:-$model}")
[ "$no_audio" = false ] || arguments+=(--no-audio)
[ "$allow_pipes" = false ] || arguments+=(--allow-pipes)
python -m vgspeech.bin.make_report --model "$model" --data "$data" --out "$out" "${arguments[@]}"

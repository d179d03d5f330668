#!/usr/bin/env bash
# A page on discrete units: several layers or models side by side, detectors to listen to, captions over time.
#
#   steps/make_unit_report.sh [--no-audio true] <model-dir> <data-dir> <split> <language> <out-dir> [NAME=]<units-dir>...
#   e.g.: steps/make_unit_report.sh exp/mini data/mini train en exp/mini/eval/mini/train/units_page \
#           output=exp/mini/eval/mini/train/units/en other=exp/other/eval/mini/train/units/en
#
# Shows what steps/dump_codes.sh, score_word_detectors.sh and score_segmentation.sh left in each <units-dir>; units of
# another model of the same split are compared by naming them too. Writes <out-dir>/index.html, which opens offline.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# begin options
no_audio=false     # leave all recordings out
allow_pipes=false  # run the commands that wav.scp holds
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
[ $# -ge 6 ] || usage_error "expected <model-dir> <data-dir> <split> <language> <out-dir> and at least one <units-dir>"
model=$1 data=$2 split=$3 language=$4 out=$5
shift 5
# shellcheck source=utils/step.sh
. "$root/utils/step.sh"

arguments=()
[ "$no_audio" = false ] || arguments+=(--no-audio)
[ "$allow_pipes" = false ] || arguments+=(--allow-pipes)
for units; do need_files "write the codes first (steps/dump_codes.sh)" "${units##*=}/runs.scp" "${units##*=}/codes.json"; done
python -m vgspeech.bin.make_unit_report --model "$model" --data "$data" --split "$split" --language "$language" \
  --out "$out" "${arguments[@]}" "$@"

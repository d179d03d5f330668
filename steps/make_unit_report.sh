#!/usr/bin/env bash
# A page on discrete units: several layers or models side by side, detectors to listen to, captions over time.
#
#   steps/make_unit_report.sh [--units [NAME=]DIR]... <model-dir> <data-dir> <split> <language> <out-dir>
#   e.g.: steps/make_unit_report.sh --units k-means=exp/mini/eval/mini/train/units/en \
#           --units other=exp/other/eval/mini/train/units/en exp/mini data/mini train en exp/mini/eval/mini/train/units_page
#
# Shows what steps/dump_codes.sh, score_word_detectors.sh and score_segmentation.sh left in each folder of units; those of
# another model, of the same split, are compared by naming them too. Writes <out-dir>/index.html, which opens offline.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# begin options
units=()           # [NAME=]DIR, a folder of codes; may be repeated; by default those of stage 8
no_audio=false     # leave all recordings out
allow_pipes=false  # run the commands that wav.scp holds
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
[ $# -eq 5 ] || usage_error "expected five arguments, <model-dir> <data-dir> <split> <language> <out-dir>"
model=$1 data=$2 split=$3 language=$4 out=$5
# shellcheck source=utils/step.sh
. "$root/utils/step.sh"

((${#units[@]} > 0)) || units=("$model/eval/$(basename "$data")/$split/units/$language")
for folder in "${units[@]}"; do
  need_files "write the codes first (steps/dump_codes.sh)" "${folder##*=}/runs.scp" "${folder##*=}/codes.json"
done
arguments=()
[ "$no_audio" = false ] || arguments+=(--no-audio)
[ "$allow_pipes" = false ] || arguments+=(--allow-pipes)
python -m vgspeech.bin.make_unit_report --model "$model" --data "$data" --split "$split" --language "$language" \
  --out "$out" "${arguments[@]}" "${units[@]}"

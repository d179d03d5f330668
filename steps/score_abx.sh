#!/usr/bin/env bash
# ABX: how well the layers of a model tell phones apart, within and across speakers, beside the features it reads.
#
#   steps/score_abx.sh [--items FILE] [--units DIR]... <model-dir> <data-dir> <split> <language> <out-dir>
#   e.g.: steps/score_abx.sh exp/mini data/mini test en exp/mini/eval/mini/test/abx/en
#
# Sounds come from a ZeroSpeech item file or, without one, are the triphones of the split's phone times (ctm_phones).
# Frames are compared by dynamic time warping, codes (of quantisers, and of --units) by their edit distance. Writes
# <out-dir>/abx.tsv and abx.json: error in percent (50 is chance) of every layer, and bits a second of codes.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# begin options
items=             # ZeroSpeech item file whose #file names are utterances of the split; by default triphones are made
layers=            # names, separated by commas: logmel (the features), stem, stage<n>, output, codes<n>; by default all
units=()           # folder of codes of this split (steps/dump_codes.sh) to be scored too; may be repeated
metric=angular     # distance of frames: angular, euclidean, kl
segments=false     # collapse repeated codes first
max_size_group=10  # most sounds of one phone, context and speaker; 0 takes all
max_x_across=5     # most other speakers that one sound is compared with; 0 takes all
seed=1             # of the choice of sounds
cmd=run.pl         # job runner
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
[ $# -eq 5 ] || usage_error "expected five arguments, <model-dir> <data-dir> <split> <language> <out-dir>"
model=$1 data=$2 split=$3 language=$4 out=$5
# shellcheck source=utils/step.sh
. "$root/utils/step.sh"

need_model "$model"
[ -z "$items" ] || need_files "--items names it" "$items"

arguments=(--metric "$metric" --max-size-group "$max_size_group" --max-x-across "$max_x_across" --seed "$seed")
[ -z "$items" ] || arguments+=(--items "$items")
[ "$segments" = false ] || arguments+=(--segments)
mkdir -p "$out/log"
$cmd "$out/log/score_abx.log" python -m vgspeech.bin.score_abx --model "$model" --data "$data" --split "$split" \
  --language "$language" --layers "$layers" "${arguments[@]}" "${units[@]/#/--units=}" "$out"
cat "$out/abx.tsv"
say "$(grep -h '^score_abx: ' "$out/log/score_abx.log" | tail -n 1 | cut -d ' ' -f 2-)"

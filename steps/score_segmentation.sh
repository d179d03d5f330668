#!/usr/bin/env bash
# Score units as a segmentation of speech: do runs of codes begin and end where words and phones do?
#
#   steps/score_segmentation.sh [--tolerance SECONDS]... <speech-dir> <units-dir>
#   e.g.: steps/score_segmentation.sh data/mini/speech/train_en exp/mini/eval/mini/train/units/en
#
# Reads <units-dir>/runs.scp and the alignments <speech-dir>/ctm and ctm_phones, whichever there are. Writes
# <units-dir>/segmentation.json: boundary and token precision, recall and F1, R-value and over-segmentation for each
# tolerance; NMI and purity of codes with words and phones; all of it also for the same runs in random order (chance).
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# begin options
tolerance=()  # seconds; may be repeated; by default 0.02 and 0.04
cmd=run.pl    # job runner
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
[ $# -eq 2 ] || usage_error "expected two arguments, <speech-dir> <units-dir>"
speech=$1 units=$2
# shellcheck source=utils/step.sh
. "$root/utils/step.sh"

need_files "write the units first (steps/dump_codes.sh)" "$units/runs.scp" "$units/codes.json"

mkdir -p "$units/log"
$cmd "$units/log/score_segmentation.log" python -m vgspeech.bin.score_segmentation "${tolerance[@]/#/--tolerance=}" \
  "$speech" "$units"
grep -hE '^(words|phones), ' "$units/log/score_segmentation.log"
say "$(grep -h '^score_segmentation: ' "$units/log/score_segmentation.log" | tail -n 1 | cut -d ' ' -f 2-)"

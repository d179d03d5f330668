#!/usr/bin/env bash
# Learn longer units, pseudo-words, from codes: byte-pair encoding (sentencepiece) of run-length-collapsed codes.
#
#   steps/learn_units_bpe.sh [--vocabulary N] [--learn-from UNITS] <units-dir> <out-dir>
#   e.g.: steps/learn_units_bpe.sh exp/mini/eval/mini/train/units/en exp/mini/eval/mini/train/units_bpe/en
#
# Reads <units-dir>/runs.scp; writes the pseudo-words to <out-dir> in the form of steps/dump_codes.sh (codes.scp, runs.scp,
# codes.ctm, codes.json), so that steps/score_word_detectors.sh and steps/score_segmentation.sh score them; pieces.tsv
# says which codes each stands for, pieces.model is sentencepiece's.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# begin options
vocabulary=1000  # pieces to learn, single codes included
longest=16       # most codes in a piece
learn_from=      # other units of the same codebook to learn the pieces from, such as those of the training split
ctm=true         # also write codes.ctm
cmd=run.pl       # job runner
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
[ $# -eq 2 ] || usage_error "expected two arguments, <units-dir> <out-dir>"
units=$1 out=$2
# shellcheck source=utils/step.sh
. "$root/utils/step.sh"

need_files "write the codes first (steps/dump_codes.sh)" "$units/runs.scp" "$units/codes.json"
[ ! "$units" -ef "$out" ] || usage_error "<out-dir> must be another folder than <units-dir>"

arguments=(--vocabulary "$vocabulary" --longest "$longest")
[ -z "$learn_from" ] || arguments+=(--learn-from "$learn_from")
[ "$ctm" = false ] || arguments+=(--ctm)
mkdir -p "$out/log"
$cmd "$out/log/learn_units_bpe.log" python -m vgspeech.bin.learn_units_bpe "${arguments[@]}" "$units" "$out"
say "$(grep -h '^learn_units_bpe: ' "$out/log/learn_units_bpe.log" | tail -n 1 | cut -d ' ' -f 2-)"

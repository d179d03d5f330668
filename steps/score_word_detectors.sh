#!/usr/bin/env bash
# Score codes as word detectors: F1 of how surely a code means a word and how many of the word's tokens it finds.
#
#   steps/score_word_detectors.sh [--stop-words FILE] <speech-dir> <units-dir>
#   e.g.: steps/score_word_detectors.sh data/mini/speech/train_en exp/mini/eval/mini/train/units/en
#
# Reads the word times of <speech-dir>/ctm and the codes of <units-dir>; writes <units-dir>/word_detectors.tsv (ranked:
# code, word, F1, precision, recall, occurrences; and the second-best word), scores.json (how many words pass F1 .5 and
# other thresholds, mean F1 of the best 250) and word_detectors.png.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# begin options
stop_words=        # file of words to leave out; by default local/stopwords/<language>.txt where there is one
min_occurrences=5  # pairs of code and word with fewer covered tokens are left out
precision=frame    # what it counts: code frames (frame), or word tokens that the code is in (segment; not comparable)
cmd=run.pl         # job runner
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
[ $# -eq 2 ] || usage_error "expected two arguments, <speech-dir> <units-dir>"
speech=$1 units=$2
# shellcheck source=utils/step.sh
. "$root/utils/step.sh"

need_files "word detectors need word times (ctm) and codes (steps/dump_codes.sh)" \
  "$speech/ctm" "$units/codes.scp" "$units/codes.json"

language=$(cut -d ' ' -f 2 "$speech/utt2lang" | sort -u | head -n 1)
[ -n "$stop_words" ] || stop_words=$root/local/stopwords/${language%%-*}.txt
arguments=(--min-occurrences "$min_occurrences" --precision "$precision")
[ ! -f "$stop_words" ] || arguments+=(--stop-words "$stop_words")
mkdir -p "$units/log"
$cmd "$units/log/score_word_detectors.log" python -m vgspeech.bin.score_word_detectors "${arguments[@]}" "$speech" "$units"
say "$(grep -h '^score_word_detectors: ' "$units/log/score_word_detectors.log" | tail -n 1 | cut -d ' ' -f 2-)"

#!/usr/bin/env bash
# Write the words that a discovered lexicon found in the captions as annotations of the recordings.
#
#   steps/export_words.sh <lexicon-dir> <data-dir> <split> <out-dir>
#   e.g.: steps/export_words.sh exp/mini/lexicon/mini/en-hi data/mini train exp/mini/lexicon/mini/en-hi/words
#
# Writes for both languages words_<language>.tsv and .json, and for every recording elan/<recording>.eaf and
# praat/<recording>.TextGrid with a tier of found words (cluster names such as en12) and a tier of the clusters linked with
# them in the other language. Recordings whose speakers did not agree to be shown (utt2share) are left out.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# begin options
cmd=run.pl  # job runner
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
[ $# -eq 4 ] || usage_error "expected four arguments, <lexicon-dir> <data-dir> <split> <out-dir>"
lexicon=$1 data=$2 split=$3 out=$4
# shellcheck source=utils/step.sh
. "$root/utils/step.sh"

need_files "run stage 9 (lexicon) first" "$lexicon/scores.json" "$lexicon/lexicon.tsv" "$lexicon/peaks.tsv"
mkdir -p "$out/log"
$cmd "$out/log/export_words.log" python -m vgspeech.bin.export_words "$lexicon" "$data" "$split" "$out"
say "$(grep -h '^export_words: ' "$out/log/export_words.log" | tail -n 1 | cut -d ' ' -f 2-)"

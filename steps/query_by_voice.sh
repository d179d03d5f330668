#!/usr/bin/env bash
# Search the captions of a split for recorded words: where is each, or its translation, said, and which images show it?
#
#   steps/query_by_voice.sh [options] <model-dir> <embed-dir> <data-dir> <split> <language> <queries> <out-dir>
#   e.g.: steps/query_by_voice.sh --others-only true exp/mini exp/mini/eval/mini/test/embed data/mini test hi \
#           data/mini/words_en exp/mini/eval/mini/test/query/en-hi
#
# <language> is that of the captions to search; <queries> a speech set of recorded words in any language of the model.
# Writes <out-dir>/captions.tsv (best captions of each query, with the time of the word), images.tsv and, where a lexicon
# and the words of the queries (text) are known, scores.json: P@10, P@N, equal error rate, and P@10 with the right time.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# begin options
top=10             # captions and images listed for each query
background=20      # captions that the usual response of a frame, which is subtracted, is over
others_only=false  # score without captions of the image that a query was cut from the caption of
lexicon=           # the true lexicon; by default lexicon.tsv of the corpus, if there is one
cmd=run.pl         # job runner
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
[ $# -eq 7 ] || usage_error \
  "expected seven arguments, <model-dir> <embed-dir> <data-dir> <split> <language> <queries> <out-dir>"
model=$1 embed=$2 data=$3 split=$4 language=$5 queries=$6 out=$7
# shellcheck source=utils/step.sh
. "$root/utils/step.sh"

need_model "$model"
need_files "run stage 5 (embed) first" "$embed/embed.json"
need_files "queries are a speech set, such as utils/cut_words.sh makes" "$queries/wav.scp" "$queries/utt2lang"
arguments=(--top "$top" --background "$background")
[ -z "$lexicon" ] || arguments+=(--lexicon "$lexicon")
[ "$others_only" = false ] || arguments+=(--others-only)
mkdir -p "$out/log"
$cmd "$out/log/query_by_voice.log" python -m vgspeech.bin.query_by_voice "${arguments[@]}" \
  "$model" "$embed" "$data" "$split" "$language" "$queries" "$out"
say "$(grep -h '^query_by_voice: ' "$out/log/query_by_voice.log" | tail -n 1 | cut -d ' ' -f 2-)"

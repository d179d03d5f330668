#!/usr/bin/env bash
# Apply a trained model to a new set: embed it, score retrieval where captions are known to belong to images, and list the best
# images of every caption and the best captions of every image.
#
#   steps/apply.sh [options] <model-dir> <data-dir> <out-dir>
#   e.g.: steps/apply.sh --nj 4 exp/mini data/new exp/mini/applied/new
#
# <data-dir> holds images/<split>/ and speech/<split>_<language>/, for example from local/manifest_data_prep.sh; text, times and
# utt2image may be missing, and nothing is written there. Features and packed images are taken from it where they are those
# that the model was trained on, else made in <out-dir>/data, at the model's sample rate. Writes for each split
# <out-dir>/<split>/embed, retrieval/results.json (scored ones only), captions.tsv (the best images of every caption) and
# images.tsv (the best captions of every image, in each language); "own" says yes where utt2image does.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# begin options
split=             # one split (default: all that have images and captions in a language of the model)
top=10             # images listed for each caption, and captions for each image
nj=4               # parallel jobs, one thread each
cmd=run.pl         # job runner
device=cpu         # for embedding: cpu or cuda
max_bad=0.01       # fraction of unusable recordings, and of images, that is tolerated
allow_pipes=false  # run the commands that stand in wav.scp; read them first
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
[ $# -eq 3 ] || usage_error "expected three arguments, <model-dir> <data-dir> <out-dir>"
model=$1 data=$2 out=$3
# shellcheck source=utils/step.sh
. "$root/utils/step.sh"

need_model "$model"
for folder in "$data/images" "$data/speech"; do
  [ -d "$folder" ] || fail 4 "no such folder: $folder" "prepare the data first: local/*_data_prep.sh"
done

laid=$out/data/$(basename "$(realpath "$data")")
mkdir -p "$laid"
python -m vgspeech.bin.lay_out_set ${split:+--split "$split"} "$model" "$data" "$laid" >"$laid/plan"
jobs=(--nj "$nj" --cmd "$cmd")
splits=0 scored=0
while read -r what name state <&3; do
  case $what in
    features)
      "$root/steps/make_fbank.sh" "${jobs[@]}" --max-bad "$max_bad" --allow-pipes "$allow_pipes" \
        "$laid/speech/$name" "$laid/front_end.yaml"
      ;;
    images) "$root/steps/pack_images.sh" "${jobs[@]}" --max-bad "$max_bad" "$laid/images/$name" ;;
    split)
      splits=$((splits + 1))
      "$root/steps/embed.sh" "${jobs[@]}" --device "$device" "$model" "$laid" "$name" "$out/$name/embed"
      rm -rf "${out:?}/$name/retrieval" # what an earlier call scored
      if [ "$state" = scored ]; then
        scored=$((scored + 1))
        "$root/steps/score_retrieval.sh" "$model" "$out/$name/embed" "$laid" "$name" "$out/$name/retrieval"
      fi
      python -m vgspeech.bin.list_matches --top "$top" "$model" "$out/$name/embed" "$laid" "$name" "$out/$name"
      ;;
  esac
done 3<"$laid/plan"
say "applied $model to $data: $splits splits, $scored of them scored, in $out"

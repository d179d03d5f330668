#!/usr/bin/env bash
# Copyright 2026  The vgspeech authors  (BSD-3-Clause)
#
# Flickr8k Audio: five read-aloud English captions an image. Retrieval both ways, matchmaps, codes as word detectors.
#
#   run.sh                                    the built-in mini corpus: synthetic, no GPU needed, a few minutes
#   run.sh --flickr-audio DIR --flickr-text DIR --images DIR --ngpu 1
#                                             the Flickr8k Audio Captions (local/flickr8k_audio_data_prep.sh --help)
#   run.sh --stage train --ngpu 4             start at a stage, by number or name
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# begin options
flickr_audio=         # folder of the Flickr8k Audio Captions (wav2capt.txt, wav2spk.txt, wavs/)
flickr_text=          # folder of Flickr8k's text files (splits; written captions and word times where there are any)
images=               # folder of the Flickr8k photos
mini_config=          # settings of the mini corpus (default: conf/mini_corpus.yaml)
mini_set=()           # a=b, changes one setting of the mini corpus; may be repeated
front_end_config=     # front end (default: conf/<front_end>.yaml, as the training configuration says)
allow_overlap=false   # keep splits that share images
subset=0              # images a split at most; 0 takes all
discovery_split=train # split in which units and lexicon are looked for
# end options
langs=en
path_options="flickr_audio flickr_text images mini_config front_end_config"
declare -A corpus_of=([flickr_audio]=flickr8k [flickr_text]=flickr8k [images]=flickr8k)
declare -A default_config=([mini]=conf/mini.yaml [flickr8k]=conf/flickr8k.yaml)
stage_script=$root/steps/stages.sh
. "$root/utils/recipe.sh"
# shellcheck source=steps/stages.sh
. "$stage_script"

# 0. The corpus as data directories. Ids, missing files and splits that share images are checked here.
read_release() {
  "$recipe"/local/flickr8k_audio_data_prep.sh --nj "$nj" --max-bad "$max_bad" --allow-overlap "$allow_overlap" \
    --subset "$subset" --flickr-audio "$flickr_audio" --flickr-text "$flickr_text" --images "$images" "$data"
}
if [ "$corpus" != mini ]; then
  need_paths flickr_audio flickr_text images
  need_release read_release "$flickr_audio/wav2*.txt" "$flickr_text/*Images.txt"
fi
if [ "$corpus" = mini ]; then
  stage_mini_data
elif stage 0 data "read Flickr8k Audio" --stamp "$data/.stages" \
  --in "$flickr_audio/wav2*.txt" --in "$flickr_text/*Images.txt" --maybe "$flickr_text/flickr_8k.ctm" \
  --opt "images max_bad allow_overlap subset" \
  --out "$data/speech/*/wav.scp" --out "$data/images/*/images.scp" --verb prepare_corpus; then
  read_release
  stage_done
fi

stage_features   # 1. audio features to archives
stage_images     # 2. images decoded, shrunk, packed
stage_statistics # 3. what is in the corpus, on a page
stage_train      # 4. the grounding model
stage_embed      # 5. captions and images in the shared space
stage_retrieval  # 6. recall in both directions
stage_matchmaps  # 7. what each word lights up
stage_units      # 8. codes as word detectors
stage_lexicon    # 9. word clusters with pictures
stage_report     # 10. everything on one page

#!/usr/bin/env bash
# Copyright 2026  The vgspeech authors  (BSD-3-Clause)
#
# English captions of images: retrieval both ways, matchmaps, codes as word detectors, a dictionary of words and pictures.
#
#   run.sh                                    the built-in mini corpus: synthetic, no GPU needed, a few minutes
#   run.sh --places-audio DIR --images DIR --ngpu 4
#                                             Places Audio English over Places205
#   run.sh --stage train --ngpu 4             start at a stage, by number or name
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# begin options
places_audio=         # folder of Places Audio English (metadata/, wavs/)
images=               # folder of the Places205 images
mini_config=          # settings of the mini corpus (default: conf/mini_corpus.yaml)
mini_set=()           # a=b, changes one setting of the mini corpus; may be repeated
front_end_config=     # front end (default: conf/<front_end>.yaml, as the training configuration says)
allow_overlap=false   # keep splits that share images
subset=0              # images a split at most; 0 takes all
discovery_split=train # split in which units and lexicon are looked for
# end options
langs=en
path_options="places_audio images mini_config front_end_config"
declare -A corpus_of=([places_audio]=places [images]=places)
declare -A default_config=([mini]=conf/mini.yaml [places]=conf/resdavenet.yaml)
stage_script=$root/steps/stages.sh
. "$root/utils/recipe.sh"
# shellcheck source=steps/stages.sh
. "$stage_script"

# 0. The corpus as data directories. Ids, missing files and splits that share images are checked here.
read_release() {
  "$recipe"/local/places_data_prep.sh --nj "$nj" --max-bad "$max_bad" --allow-overlap "$allow_overlap" --subset "$subset" \
    --places-audio "$places_audio" --images "$images" "$data"
}
if [ "$corpus" != mini ]; then
  need_paths places_audio images
  need_release read_release "$places_audio/metadata/*.json"
fi
if [ "$corpus" = mini ]; then
  stage_mini_data
elif stage 0 data "read Places Audio English" --stamp "$data/.stages" \
  --in "$places_audio/metadata/*.json" --opt "images max_bad allow_overlap subset" \
  --out "$data/speech/*/wav.scp" --out "$data/images/*/images.scp" --verb prepare_places; then
  read_release
  stage_done
fi

stage_features   # 1. audio features to archives
stage_images     # 2. images decoded, shrunk, packed
stage_statistics # 3. what is in the corpus, on a page
stage_train      # 4. the grounding model
stage_embed      # 5. captions and images in the shared space
stage_retrieval  # 6. recall in both directions, baselines beside it
stage_matchmaps  # 7. what each word lights up
stage_units      # 8. codes as word detectors
stage_lexicon    # 9. word clusters with pictures
stage_report     # 10. everything on one page

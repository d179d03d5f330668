#!/usr/bin/env bash
# Data directories from the Flickr8k Audio Captions: 40,000 captions read aloud, of 8,000 photos.
#
#   local/flickr8k_audio_data_prep.sh --flickr-audio DIR --flickr-text DIR --images DIR <data-dir>
#   e.g.: local/flickr8k_audio_data_prep.sh --flickr-audio /corpora/flickr_audio --flickr-text /corpora/Flickr8k_text \
#           --images /corpora/Flicker8k_Dataset data/flickr8k
#
# Three folders:
#
#   flickr_audio/
#     wav2capt.txt wav2spk.txt
#     wavs/
#       2571096893_694ce79768_1.wav ...
#   Flickr8k_text/
#     Flickr_8k.trainImages.txt Flickr_8k.devImages.txt Flickr_8k.testImages.txt
#     Flickr8k.token.txt         (optional: the written captions)
#     flickr_8k.ctm              (optional: word times of the forced alignment)
#   Flicker8k_Dataset/
#     2571096893_694ce79768.jpg ...
#
# Where to get it: the captions (CC BY-SA) were at https://groups.csail.mit.edu/sls/downloads/flickraudio; that page has been
# reported dead, and copies are listed at https://github.com/embeddings-benchmark/mteb/issues/2298. Photos and text files
# are those of Flickr8k (Hodosh, Young, Hockenmaier 2013), for research only. flickr_8k.ctm comes with
# https://github.com/kamperh/recipe_semantic_flickraudio. Speakers are not kept apart by the splits, which go by image.
#
# Writes <data-dir>/speech/<split>_en and <data-dir>/images/<split>. The folders are checked first, and what is missing is
# listed; sizes are compared with the published ones. Recordings and images that cannot be used are listed in each set's
# `rejected`. Nothing is written into the release. An interrupted run is simply started again.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# begin options
flickr_audio=        # folder of the captions (required)
flickr_text=         # folder of Flickr8k's text files (required)
images=              # folder of the photos (required)
max_bad=0.01         # fraction of unusable captions, or images, in a set that is tolerated
allow_overlap=false  # keep splits that share images
subset=0             # images a split at most, chosen by a hash of their ids; 0 takes all
nj=4                 # processes that read headers
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
[ $# -eq 1 ] || usage_error "expected one argument, <data-dir>"
[ -n "$flickr_audio" ] || usage_error "which release? give --flickr-audio DIR"
[ -n "$flickr_text" ] || usage_error "where are the text files of Flickr8k? give --flickr-text DIR"
[ -n "$images" ] || usage_error "where are the images? give --images DIR"
# shellcheck source=utils/step.sh
. "$root/utils/step.sh"

python -m vgspeech.bin.prepare_corpus flickr8k --audio "$flickr_audio" --text "$flickr_text" --images "$images" \
  --max-bad "$max_bad" --allow-overlap "$allow_overlap" --subset "$subset" --nj "$nj" "$1"

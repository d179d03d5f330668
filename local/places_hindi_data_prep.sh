#!/usr/bin/env bash
# Data directories from a release of Places Hindi, alone or joined by image with Places Audio (English).
#
#   local/places_hindi_data_prep.sh --hindi-audio DIR --images DIR [--places-audio DIR] <data-dir>
#   e.g.: local/places_hindi_data_prep.sh --hindi-audio /corpora/PlacesHindi100k --images /corpora/places205 \
#           --places-audio /corpora/PlacesAudio_400k_distro data/places_hindi
#
# --hindi-audio is the folder that the release unpacks to:
#
#   PlacesHindi100k/
#     PlacesHindi100k_train.json PlacesHindi100k_dev.json PlacesHindi100k_test.json
#     hindi_wavs/
#       train/....wav dev/....wav test/....wav
#
# --images is the folder that the image paths in the metadata are relative to (Places205, a/abbey/gsun_....jpg).
# --places-audio: see local/places_data_prep.sh --help.
#
# Where to get it: https://groups.csail.mit.edu/sls/downloads/placesaudio (PlacesHindi100k.tar.gz). The licence is the
# one stated there and in the archive: read it before use. The images are those of Places205, which come separately and
# under terms of their own: http://places.csail.mit.edu.
#
# Writes <data-dir>/speech/<split>_hi, <data-dir>/speech/<split>_en and <data-dir>/images/<split>. The splits are those of
# the Hindi release; English captions of these images are taken from any English split. Speakers and utterances of joined
# corpora have the language in front. The folders are checked first, and what is missing is listed; sizes are compared with
# the published ones. Recordings and images that are missing or unreadable are listed in each set's `rejected`. Nothing is
# written into the releases. An interrupted run is simply started again.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# begin options
hindi_audio=                # folder of the Hindi release, see above (required)
places_audio=               # folder of the English release
images=                     # folder of the images (required)
truth=                      # folder of word times, object boxes and lexicon, if there are any (the mini corpus has them)
max_bad=0.01                # fraction of unusable captions, or images, in a set that is tolerated
allow_overlap=false         # keep splits that share images
require_all_languages=true  # leave out images without a caption in one of the languages
subset=0                    # images a split at most, chosen by a hash of their ids; 0 takes all
nj=4                        # processes that read headers
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
[ $# -eq 1 ] || usage_error "expected one argument, <data-dir>"
[ -n "$hindi_audio" ] || usage_error "which release? give --hindi-audio DIR"
[ -n "$images" ] || usage_error "where are the images? give --images DIR"
# shellcheck source=utils/step.sh
. "$root/utils/step.sh"

python -m vgspeech.bin.prepare_places --hindi "$hindi_audio" ${places_audio:+--english "$places_audio"} \
  --images "$images" ${truth:+--truth "$truth"} --max-bad "$max_bad" --allow-overlap "$allow_overlap" \
  --require-all-languages "$require_all_languages" --subset "$subset" --nj "$nj" "$1"

#!/usr/bin/env bash
# Data directories from a release of Places Audio (English), 2018 or 2020 metadata.
#
#   local/places_data_prep.sh --places-audio DIR --images DIR <data-dir>
#   e.g.: local/places_data_prep.sh --places-audio /corpora/PlacesAudio_400k_distro --images /corpora/places205 data/places
#
# --places-audio is the folder that the release unpacks to:
#
#   PlacesAudio_400k_distro/
#     metadata/
#       train_2020.json dev_seen_2020.json dev_unseen_2020.json test_seen_2020.json test_unseen_2020.json
#       (or, release of 2018: train.json val.json)
#     wavs/
#       0/utterance_230846.wav ...
#
# --images is the folder that the image paths in the metadata are relative to (Places205, a/abbey/gsun_....jpg).
#
# Where to get it: https://groups.csail.mit.edu/sls/downloads/placesaudio (placesaudio_2020_splits.tar.gz, 85 GB). The
# licence is the one stated there and in the archive: read it before use. The images are those of Places205, which come
# separately and under terms of their own: http://places.csail.mit.edu.
#
# Writes <data-dir>/speech/<split>_en and <data-dir>/images/<split>; `val` of 2018 becomes dev. The folders are checked
# first, and what is missing is listed; sizes are compared with the published ones. Recordings and images that are missing or
# unreadable are listed in each set's `rejected`. Nothing is written into the release. An interrupted run is simply started
# again.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# begin options
places_audio=        # folder of the release, see above (required)
images=              # folder of the images (required)
truth=               # folder of word times, object boxes and lexicon, if there are any (the mini corpus has them)
max_bad=0.01         # fraction of unusable captions, or images, in a set that is tolerated
allow_overlap=false  # keep splits that share images
subset=0             # images a split at most, chosen by a hash of their ids; 0 takes all
nj=4                 # processes that read headers
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
[ $# -eq 1 ] || usage_error "expected one argument, <data-dir>"
[ -n "$places_audio" ] || usage_error "which release? give --places-audio DIR"
[ -n "$images" ] || usage_error "where are the images? give --images DIR"
# shellcheck source=utils/step.sh
. "$root/utils/step.sh"

python -m vgspeech.bin.prepare_places --english "$places_audio" --images "$images" ${truth:+--truth "$truth"} \
  --max-bad "$max_bad" --allow-overlap "$allow_overlap" --subset "$subset" --nj "$nj" "$1"

#!/usr/bin/env bash
# Data directories from Spoken ObjectNet-50k: spoken captions of ObjectNet's images, recorded at 48 kHz.
#
#   local/spoken_objectnet_data_prep.sh --objectnet-audio DIR --images DIR <data-dir>
#   e.g.: local/spoken_objectnet_data_prep.sh --objectnet-audio /corpora/Spoken-ObjectNet-50k \
#           --images /corpora/objectnet-1.0/images data/spoken_objectnet
#
# --objectnet-audio is the folder that the release unpacks to:
#
#   Spoken-ObjectNet-50k/
#     metadata/
#       SON-train.json SON-val.json SON-test.json
#     wavs/
#       ....wav
#
# --images is the folder that the image paths in the metadata are relative to. Recordings are brought to the front end's rate
# when features are made, once.
#
# Where to get it: https://groups.csail.mit.edu/sls/downloads/placesaudio; the licence is the one stated there. Images:
# https://objectnet.dev; its authors do not permit fine-tuning image networks on them, so keep image weights frozen.
#
# Writes <data-dir>/speech/<split>_en and <data-dir>/images/<split>. The folders are checked first, and what is missing is
# listed; sizes are compared with the published ones. Recordings and images that cannot be used are listed in each set's
# `rejected`. Nothing is written into the release. An interrupted run is simply started again.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# begin options
objectnet_audio=     # folder of the release (required)
images=              # folder of the images (required)
max_bad=0.01         # fraction of unusable captions, or images, in a set that is tolerated
allow_overlap=false  # keep splits that share images
subset=0             # images a split at most, chosen by a hash of their ids; 0 takes all
nj=4                 # processes that read headers
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
[ $# -eq 1 ] || usage_error "expected one argument, <data-dir>"
[ -n "$objectnet_audio" ] || usage_error "which release? give --objectnet-audio DIR"
[ -n "$images" ] || usage_error "where are the images? give --images DIR"
# shellcheck source=utils/step.sh
. "$root/utils/step.sh"

python -m vgspeech.bin.prepare_corpus objectnet --audio "$objectnet_audio" --images "$images" \
  --max-bad "$max_bad" --allow-overlap "$allow_overlap" --subset "$subset" --nj "$nj" "$1"

#!/usr/bin/env bash
# Data directories from SPEECH-COCO: the captions of COCO by eight synthetic voices, with exact word and phone times.
#
#   local/speechcoco_data_prep.sh --speech-coco DIR --images DIR [--karpathy FILE] <data-dir>
#   e.g.: local/speechcoco_data_prep.sh --speech-coco /corpora/CORPUS-MSCOCO --images /corpora/coco data/speechcoco
#
# --speech-coco is the folder that the release unpacks to:
#
#   CORPUS-MSCOCO/
#     train2014/
#       json/ wav/
#         298817_26763_Phil_None_0-9.json and .wav ...
#     val2014/
#       json/ wav/
#
# Images are those of COCO 2014 (https://cocodataset.org, train2014.zip and val2014.zip; terms there):
#
#   coco/
#     train2014/ val2014/
#       COCO_val2014_000000325114.jpg ...
#
# train2014 becomes train, val2014 dev; with --karpathy dataset_coco.json the splits are Karpathy's.
#
# Where to get it: https://zenodo.org/records/4282267 (616,767 captions; CC BY 4.0). The voices are synthetic: results say
# nothing about accuracy on real speech.
#
# Writes <data-dir>/speech/<split>_en and <data-dir>/images/<split>. The folders are checked first, and what is missing is
# listed; sizes are compared with the published ones. Recordings and images that cannot be used are listed in each set's
# `rejected`. Nothing is written into the release. An interrupted run is simply started again.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# begin options
speech_coco=         # folder of the release (required)
images=              # folder with train2014 and val2014 (required)
karpathy=            # dataset_coco.json: its splits instead of the release's
max_bad=0.01         # fraction of unusable captions, or images, in a set that is tolerated
allow_overlap=false  # keep splits that share images
subset=0             # images a split at most, chosen by a hash of their ids; 0 takes all
nj=4                 # processes that read headers
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
[ $# -eq 1 ] || usage_error "expected one argument, <data-dir>"
[ -n "$speech_coco" ] || usage_error "which release? give --speech-coco DIR"
[ -n "$images" ] || usage_error "where are the images? give --images DIR"
# shellcheck source=utils/step.sh
. "$root/utils/step.sh"

python -m vgspeech.bin.prepare_corpus speechcoco --audio "$speech_coco" --images "$images" ${karpathy:+--karpathy "$karpathy"} \
  --max-bad "$max_bad" --allow-overlap "$allow_overlap" --subset "$subset" --nj "$nj" "$1"

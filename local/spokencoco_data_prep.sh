#!/usr/bin/env bash
# Data directories from SpokenCOCO: the captions of COCO read aloud, about 605,000 by 2,350 people.
#
#   local/spokencoco_data_prep.sh --spoken-coco DIR --images DIR [--karpathy FILE] <data-dir>
#   e.g.: local/spokencoco_data_prep.sh --spoken-coco /corpora/SpokenCOCO --images /corpora/coco data/spokencoco
#
# --spoken-coco is the folder that the release unpacks to:
#
#   SpokenCOCO/
#     SpokenCOCO_train.json SpokenCOCO_val.json
#     (or, splits of Karpathy: SpokenCOCO_{train,val,test}_karpathy.json, unrolled or not, with alignments or without)
#     wavs/
#       train/....wav val/....wav
#
# Images are those of COCO 2014 (https://cocodataset.org, train2014.zip and val2014.zip; terms there):
#
#   coco/
#     train2014/ val2014/
#       COCO_val2014_000000325114.jpg ...
#
# The release has the splits of COCO 2014 (train, val; val becomes dev). Research uses those of Karpathy: 113,287, 5,000 and
# 5,000 images, 25,031 test captions. They are taken where the folder has metadata with "karpathy" in their names, or are
# made from the release with --karpathy dataset_coco.json.
#
# Where to get it: SpokenCOCO.tar.gz (64 GB), https://groups.csail.mit.edu/sls/downloads/placesaudio; the licence is the one
# stated there and in the archive.
#
# Writes <data-dir>/speech/<split>_en and <data-dir>/images/<split>. The folders are checked first, and what is missing is
# listed; sizes are compared with the published ones. Recordings and images that cannot be used are listed in each set's
# `rejected`. Nothing is written into the release. An interrupted run is simply started again.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# begin options
spoken_coco=         # folder of the release (required)
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
[ -n "$spoken_coco" ] || usage_error "which release? give --spoken-coco DIR"
[ -n "$images" ] || usage_error "where are the images? give --images DIR"
# shellcheck source=utils/step.sh
. "$root/utils/step.sh"

python -m vgspeech.bin.prepare_corpus spokencoco --audio "$spoken_coco" --images "$images" ${karpathy:+--karpathy "$karpathy"} \
  --max-bad "$max_bad" --allow-overlap "$allow_overlap" --subset "$subset" --nj "$nj" "$1"

#!/usr/bin/env bash
# Data directories from Spoken Moments in Time: spoken captions of three-second videos.
#
#   local/spoken_moments_data_prep.sh --spoken-moments DIR --videos DIR <data-dir>
#   e.g.: local/spoken_moments_data_prep.sh --spoken-moments /corpora/SpokenMoments \
#           --videos /corpora/Moments_in_Time data/spoken_moments
#
# --spoken-moments is the folder with the recordings and their metadata:
#
#   SpokenMoments/
#     metadata/
#       train.json val.json test.json     (or .csv or .tsv; anything may stand before the split: spoken_moments_train.json)
#     wavs/
#       ....wav
#
# The metadata are JSON as in Places Audio, {"data": [{"uttid", "speaker", "asr_text", "wav", "video"}, ...]}, or tables with these
# columns; only wav and video are needed. We had no copy of the release to look at: where it has other names for the same things,
# rename them, or write a manifest (local/manifest_data_prep.sh).
#
# --videos is the folder that the paths of videos are relative to, as Moments in Time unpacks:
#
#   Moments_in_Time/
#     training/
#       <action>/....mp4
#     validation/
#       <action>/....mp4
#
# Instead of a video, <action>/a.mp4, there may be the folder <action>/a/ with its video frames as image files, 0001.jpg ...
#
# Every clip becomes --frames video frames, at the middles of as many equal stretches (of a folder: as many files, evenly spread);
# the default, 3, is one a second, as in Monfort et al. 2021. Reading videos needs PyAV: pip install av
#
# Where to get it: http://moments.csail.mit.edu/spoken.html, by the form there, for research that is not commercial; the videos,
# http://moments.csail.mit.edu, have a licence of their own.
#
# Writes <data-dir>/speech/<split>_en and <data-dir>/images/<split>. The folders are checked first, and what is missing is
# listed; sizes are compared with the published ones. Recordings and videos that cannot be used are listed in each set's
# `rejected`. Nothing is written into the release. An interrupted run is simply started again.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# begin options
spoken_moments=      # folder of the recordings and metadata (required)
videos=              # folder of the videos, or of folders of video frames (required)
frames=3             # video frames of each clip, 1 to 64
max_bad=0.01         # fraction of unusable captions, or images, in a set that is tolerated
allow_overlap=false  # keep splits that share clips
subset=0             # clips a split at most, chosen by a hash of their ids; 0 takes all
nj=4                 # processes that read headers
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
[ $# -eq 1 ] || usage_error "expected one argument, <data-dir>"
[ -n "$spoken_moments" ] || usage_error "which release? give --spoken-moments DIR"
[ -n "$videos" ] || usage_error "where are the videos? give --videos DIR"
# shellcheck source=utils/step.sh
. "$root/utils/step.sh"

python -m vgspeech.bin.prepare_corpus spokenmoments --audio "$spoken_moments" --images "$videos" --frames "$frames" \
  --max-bad "$max_bad" --allow-overlap "$allow_overlap" --subset "$subset" --nj "$nj" "$1"

#!/usr/bin/env bash
# A released DAVEnet or ResDAVEnet-VQ checkpoint pair as a model directory, to embed, score and analyse like any other.
#
#   local/import_released.sh [options] <audio.pth> <image.pth> <model-dir>
#   e.g.: local/import_released.sh best_audio_model.pth best_image_model.pth exp/released
#         run.sh --places-audio DIR --images DIR --model exp/released
#
# The two files are the state dicts that the released code saves (names with or without "module."); they hold no settings,
# but widths, depths, quantisers and sizes follow from the shapes of the tensors. Only tensors are read, nothing in the
# files is executed. Writes <model-dir>/config.yaml and best.pt, and names every tensor that was not used.
#
# The model reads the features of conf/logmel.yaml, the front end the checkpoints were trained on. With --compat true (the
# default) it computes as the released code does: captions padded to 2,048 frames, padding read by the convolutions, the
# last partial frame dropped. --compat false gives the same networks without the influence of padding.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# begin options
language=en      # language of the captions
similarity=      # SISA, MISA or SIMA (default: as released, MISA for DAVEnet and SISA for ResDAVEnet)
last_pool=true   # DAVEnet only: whether it was trained with its fourth pooling
quantizers=auto  # positions of the quantisers in use, such as 2,3, or none (default: those in the file)
compat=true      # compute as the released code does
# end options

# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
[ $# -eq 3 ] || usage_error "expected three arguments, <audio.pth> <image.pth> <model-dir>"
# shellcheck source=utils/step.sh
. "$root/utils/step.sh"

need_files "give the released state dicts: audio first, then image" "$1" "$2"
python -m vgspeech.bin.import_released --language "$language" ${similarity:+--similarity "$similarity"} \
  --last-pool "$last_pool" --quantizers "$quantizers" --compat "$compat" "$1" "$2" "$3"

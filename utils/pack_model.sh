#!/usr/bin/env bash
# Copyright 2026  The vgspeech authors  (BSD-3-Clause)
#
# Pack a trained model into one file that can be handed on: weights, configuration, front end, scores, licence, version. It is
# safetensors: nothing in it can be executed. vgspeech.load() opens it as it is; unpack_model.sh makes a model directory of it.
#
# Usage: pack_model.sh [options] <model-dir> <file.safetensors>      (--help lists the options)
#  e.g.: utils/pack_model.sh --licence CC-BY-4.0 exp/mini mini.safetensors
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/utils/verb.sh"
run_verb pack_model "$@"

#!/usr/bin/env bash
# Copyright 2026  The vgspeech authors  (BSD-3-Clause)
#
# Say what is in a packed model and, where a folder is named, make a model directory of it, which every step takes.
#
# Usage: unpack_model.sh <file.safetensors> [<model-dir>]      (--help lists the options)
#  e.g.: utils/unpack_model.sh mini.safetensors exp/mini
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/utils/verb.sh"
run_verb unpack_model "$@"

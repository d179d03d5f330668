#!/usr/bin/env bash
# Copyright 2026  The vgspeech authors  (BSD-3-Clause)
#
# Split a speech set for parallel jobs: <set>/split<N>/1 to N. Prints the number of parts.
#
# Usage: split_data_dir.sh [options] <set> <number-of-parts>      (--help lists the options)
#  e.g.: utils/split_data_dir.sh data/mini/speech/train_en 8
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/utils/verb.sh"
run_verb split_data "$@"

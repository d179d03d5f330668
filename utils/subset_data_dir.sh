#!/usr/bin/env bash
# Copyright 2026  The vgspeech authors  (BSD-3-Clause)
#
# Make a smaller speech set: a number of utterances, speakers or images, the shortest, or a list.
#
# Usage: subset_data_dir.sh [options] <set> [<number>] <new-set>      (--help lists the options)
#  e.g.: utils/subset_data_dir.sh data/mini/speech/train_en 100 data/mini/speech/train100_en
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/utils/verb.sh"
run_verb subset_data "$@"

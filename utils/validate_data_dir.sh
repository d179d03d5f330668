#!/usr/bin/env bash
# Copyright 2026  The vgspeech authors  (BSD-3-Clause)
#
# Check a speech or image directory: every file well-formed and sorted, ids consistent. Exit 0 or 4.
#
# Usage: validate_data_dir.sh [options of vgspeech.bin.validate_data] <directory>...
#  e.g.: utils/validate_data_dir.sh data/mini/speech/train_en
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/utils/verb.sh"
run_verb validate_data "$@"

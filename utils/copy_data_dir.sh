#!/usr/bin/env bash
# Copyright 2026  The vgspeech authors  (BSD-3-Clause)
#
# Copy a speech set, with a prefix before its ids when wanted.
#
# Usage: copy_data_dir.sh [options] <set> <new-set>      (--help lists the options)
#  e.g.: utils/copy_data_dir.sh --utt-prefix b- --spk-prefix b- data/b/speech/train_en data/b2/speech/train_en
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/utils/verb.sh"
run_verb copy_data "$@"

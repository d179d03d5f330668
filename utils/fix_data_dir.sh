#!/usr/bin/env bash
# Copyright 2026  The vgspeech authors  (BSD-3-Clause)
#
# Repair a speech set: sorts, puts in form, keeps what all tables have, and says why each utterance went.
#
# Usage: fix_data_dir.sh [options] <set>      (--help lists the options)
#  e.g.: utils/fix_data_dir.sh data/mini/speech/train_en
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/utils/verb.sh"
run_verb fix_data "$@"

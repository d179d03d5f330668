#!/usr/bin/env bash
# Copyright 2026  The vgspeech authors  (BSD-3-Clause)
#
# Combine speech sets of one language into a new one.
#
# Usage: combine_data_dir.sh [options] <new-set> <set>...      (--help lists the options)
#  e.g.: utils/combine_data_dir.sh data/both/speech/train_en data/a/speech/train_en data/b/speech/train_en
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/utils/verb.sh"
run_verb combine_data "$@"

#!/usr/bin/env bash
# Copyright 2026  The vgspeech authors  (BSD-3-Clause)
#
# Cut single words out of the captions of a speech set by its word times, as queries for search by voice.
#
# Usage: cut_words.sh [options] <set> <new-set>      (--help lists the options)
#  e.g.: utils/cut_words.sh --lexicon data/mini/lexicon.tsv data/mini/speech/test_en data/mini/words_en
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/utils/verb.sh"
run_verb cut_words "$@"

#!/usr/bin/env bash
# Copyright 2026  The vgspeech authors  (BSD-3-Clause)
#
# Search an embedded set by speaking (a recording) or showing (an image): ranked captions and images, and which part of each
# answers. Prints a table, or writes it (results.tsv) with a page to look at and listen to (index.html).
#
# Usage: search.sh [options] (--speak FILE | --show FILE) <model-dir>      (--help lists the options)
#  e.g.: utils/search.sh --show photo.jpg --out found exp/mini
#        utils/search.sh --speak word.wav --spoken en --lang hi exp/mini
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/utils/verb.sh"
run_verb search "$@"

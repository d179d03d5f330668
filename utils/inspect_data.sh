#!/usr/bin/env bash
# Copyright 2026  The vgspeech authors  (BSD-3-Clause)
#
# Listen to every recording of a speech set or a corpus, once: lengths, rates, loudness, clipping, silence, copies (the same
# sound, nearly the same words). Writes <data>/inspect/index.html, with the worst recordings to play, and inspect.json.
#
# Usage: inspect_data.sh [options] <data>      (--help lists the options)
#  e.g.: utils/inspect_data.sh --nj 8 data/own
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/utils/verb.sh"
run_verb inspect_data "$@"

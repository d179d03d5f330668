#!/usr/bin/env bash
# Copyright 2026  The vgspeech authors  (BSD-3-Clause)
#
# What the models of a work directory reached, one row each; with --compare, whether one of two is better than the other
# (paired bootstrap). Reads result files only.
#
# Usage: show_results.sh [options] [<exp-dir> | <model-dir>...]      (--help lists the options)
#  e.g.: utils/show_results.sh exp
#        utils/show_results.sh --compare exp/mini exp/mini_short
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/utils/verb.sh"
run_verb show_results "$@"

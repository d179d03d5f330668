#!/usr/bin/env bash
# Copyright 2026  The vgspeech authors  (BSD-3-Clause)
#
# The test command. Sets up what is missing, then runs the tests; ends with pytest's closing line.
#
#   tests/run.sh                 everything that needs no root, in under 10 minutes
#   tests/run.sh --full          also the recipes end to end with their quality bars, and every stage of one recipe killed
#                                once (about half an hour on 2 cores)
#   tests/run.sh --nightly       also every stage of both recipes killed three times, and more than 20,000 fuzzed
#                                files and records
#   tests/run.sh -k archive      further words go to pytest
#
# Tests on real recordings look for them in $VGS_TEST_DATA and are skipped without it.

set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

export VGS_FULL=0 VGS_NIGHTLY=0
case ${1:-} in
  --full)
    VGS_FULL=1
    shift
    ;;
  --nightly)
    VGS_FULL=1 VGS_NIGHTLY=1
    shift
    ;;
esac

export VGS_EXTRA_REQUIREMENTS=$root/requirements-test.lock
. "$root/path.sh"
exec python -m pytest -p no:cacheprovider "$@"

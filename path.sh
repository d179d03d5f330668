# shellcheck shell=bash
# The environment of everything here: source it (recipes do). Sets the locale, puts the library on PYTHONPATH, utils/ and
# a suitable Python on PATH:
#
#   $VGS_PYTHON, if that is set: a Python that has what pyproject.toml asks for;
#   the active virtual or conda environment, if it has;
#   else .venv beside this file, built from requirements.lock on first use.
#
# A second start compares one marker and takes milliseconds. A set-up that was cut short is finished by the next start;
# two starts at once wait for each other. Jobs ($VGS_JOB, set by the job runner) never build anything. Tests add a second
# lock file, $VGS_EXTRA_REQUIREMENTS.

export LC_ALL=C PYTHONUTF8=1

_vgs_root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
_vgs_locks=("$_vgs_root/requirements.lock" ${VGS_EXTRA_REQUIREMENTS:+"$VGS_EXTRA_REQUIREMENTS"})

_vgs_say() { printf 'path.sh: %s\n' "$*" >&2; }

# Puts a folder at the front of a colon-separated variable, once.
_vgs_prepend() {
  case ":${!1-}:" in
    ":$2:"*) ;;
    *) export "$1=$2${!1:+:${!1}}" ;;
  esac
}

# Makes `python` and `python3` mean the given interpreter.
_vgs_use() {
  local folder
  folder=$(dirname "$1")
  if [[ ! $folder/python -ef $1 || ! $folder/python3 -ef $1 ]]; then
    # A link would make Python forget the environment it belongs to; a wrapper does not.
    folder=$_vgs_root/.venv.link/bin
    mkdir -p "$folder" || return
    local name
    for name in python python3; do
      # shellcheck disable=SC2016  # $@ is for the wrapper
      printf '#!/bin/sh\nexec "%s" "$@"\n' "$1" >"$folder/.$name.$$" && chmod +x "$folder/.$name.$$" &&
        mv -f "$folder/.$name.$$" "$folder/$name" || return
    done
  fi
  _vgs_prepend PATH "$_vgs_root/utils"
  _vgs_prepend PATH "$folder"
}

_vgs_check() { "$1" "$_vgs_root/utils/check_environment.py" mini ${VGS_EXTRA_REQUIREMENTS:+test} 2>&1; }

# Is the environment at .venv whole, and built from today's lock files? Each one that was installed left a copy there.
_vgs_complete() {
  local venv=$_vgs_root/.venv lock
  [[ -x $venv/bin/python ]] || return
  for lock in "${_vgs_locks[@]}"; do
    [[ -f $venv/complete.${lock##*/} && $(<"$venv/complete.${lock##*/}") == "$(<"$lock")" ]] || return
  done
}

# A Python that can build an environment, or a line that says what to install.
_vgs_base_python() {
  local name found='' why=''
  for name in python3 python3.13 python3.12 python3.11; do
    command -v "$name" >/dev/null || continue
    found=$("$name" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
    case $found in
      3.11 | 3.12 | 3.13) ;;
      *)
        why=${why:-"$name is Python $found"}
        continue
        ;;
    esac
    if ! "$name" -c 'import venv, ensurepip' 2>/dev/null; then
      why="$name cannot make virtual environments (Debian and Ubuntu: apt install python$found-venv)"
      continue
    fi
    printf '%s' "$name"
    return
  done
  _vgs_say "Python 3.11, 3.12 or 3.13 is needed, ${why:-there is none}: install one (Debian and Ubuntu: apt install" \
    "python3 python3-venv; macOS: brew install python@3.13; without root: https://docs.astral.sh/uv) or set VGS_PYTHON"
  return 1
}

_vgs_build() {
  local venv=$_vgs_root/.venv base lock free needed=2 size="about 0.5 GB to download, 2 GB on disk"
  if [[ ${VGS_JOB-} == 1 ]]; then
    _vgs_say "$venv is missing or incomplete, and a job does not build it: start a recipe or tests/run.sh once, outside"
    return 1
  fi
  base=$(_vgs_base_python) || return
  mkdir -p "$venv" && exec {lock}>>"$venv/.lock" || return
  if ! "$base" -c 'import fcntl, sys; fcntl.flock(int(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)' "$lock" 2>/dev/null; then
    _vgs_say "another start is setting up $venv; waiting for it"
    "$base" -c 'import fcntl, sys; fcntl.flock(int(sys.argv[1]), fcntl.LOCK_EX)' "$lock" || return
  fi
  if ! _vgs_complete; then
    if [[ $(uname -sm) == 'Linux x86_64' ]]; then
      needed=6 size="about 3 GB to download, 5.5 GB on disk"
    fi
    if [[ -x $venv/bin/python ]]; then
      _vgs_say "completing the Python environment in $venv (up to: $size)"
    else
      free=$(df -Pk "$venv" | awk 'NR == 2 { print int($4 / 1048576) }')
      if ((free < needed)); then
        _vgs_say "setting up $venv needs $needed GB, its file system has $free GB free"
        return 1
      fi
      _vgs_say "setting up the Python environment in $venv with $base, once ($size)"
      # The lock file stays: others may be waiting on it.
      rm -rf "${venv:?}"/{bin,include,lib,lib64,pyvenv.cfg}
    fi
    _vgs_install "$base" "$venv" || return
  fi
  exec {lock}>&-
}

_vgs_install() {
  local quiet=() requirements=() lock
  [[ -t 2 ]] || quiet=(--quiet)
  for lock in "${_vgs_locks[@]}"; do requirements+=(-r "$lock"); done
  if ! { { "$2/bin/python" -m pip --version || "$1" -m venv "$2"; } &>/dev/null &&
    "$2/bin/python" -m pip install --disable-pip-version-check "${quiet[@]}" "${requirements[@]}" >&2; }; then
    _vgs_say "the set-up did not finish (no network?); the same command goes on where it stopped"
    return 1
  fi
  for lock in "${_vgs_locks[@]}"; do
    cp "$lock" "$2/.complete.$$" && mv -f "$2/.complete.$$" "$2/complete.${lock##*/}" || return
  done
  _vgs_say "the environment is ready"
}

_vgs_setup() {
  local missing active=''
  if [[ -n ${VGS_PYTHON-} ]]; then
    if ! command -v "$VGS_PYTHON" >/dev/null; then
      _vgs_say "VGS_PYTHON=$VGS_PYTHON cannot be run (give the whole path of a Python)"
      return 1
    fi
    if ! missing=$(_vgs_check "$VGS_PYTHON"); then
      _vgs_say "VGS_PYTHON=$VGS_PYTHON lacks:"$'\n'"$missing"
      return 1
    fi
    _vgs_use "$(command -v "$VGS_PYTHON")"
    return
  fi
  active=${VIRTUAL_ENV:-${CONDA_PREFIX:-}}
  if [[ -n $active && -x $active/bin/python && ! $active -ef $_vgs_root/.venv ]]; then
    if missing=$(_vgs_check "$active/bin/python"); then
      _vgs_use "$active/bin/python"
      return
    fi
    _vgs_say "the active environment $active lacks ${missing//$'\n'/; }: using $_vgs_root/.venv instead"
  fi
  _vgs_complete || _vgs_build || return
  export VIRTUAL_ENV=$_vgs_root/.venv
  _vgs_use "$_vgs_root/.venv/bin/python"
}

_vgs_prepend PYTHONPATH "$_vgs_root/pylib"
# Threads of GNU OpenMP spin for 300,000 turns before they sleep. Where another process holds a core, they spin away the time that
# the one they wait for needs: small convolutions took three times as long then.
[[ -n ${OMP_WAIT_POLICY-} ]] || export GOMP_SPINCOUNT=${GOMP_SPINCOUNT:-10000}
_vgs_setup || return

# Sourced by driver/assay and tests/run: finds a Python and makes a virtual environment from a lock.
# POSIX sh; reads `assay_root`, sets and exports `ASSAY_HOME`, defines `environment NAME LOCK`.
# shellcheck shell=sh disable=SC2154  # the caller sets assay_root

assay_fault() { # MESSAGE REMEDY; exit code 3 is "the environment", as everywhere in Assay
    printf 'assay: %s\n  → %s\n' "$1" "$2" >&2
    exit 3
}

# The folder of environments, wheels and caches: ASSAY_HOME, else `home` of assay.local.toml, else .assay.
# ASSAY_HOME_NOT_TYPED says which one nobody typed, so that no command in a remedy repeats it.
assay_home() {
    assay_typed=${ASSAY_HOME:-}
    if [ -z "${ASSAY_HOME:-}" ] && [ -f "$assay_root/assay.local.toml" ]; then
        ASSAY_HOME=$(sed -n "s/^home[[:space:]]*=[[:space:]]*[\"']\(.*\)[\"'][[:space:]]*\(#.*\)\{0,1\}\$/\1/p" \
            "$assay_root/assay.local.toml")
        case $ASSAY_HOME in '' | /*) ;; *) ASSAY_HOME=$assay_root/$ASSAY_HOME ;; esac
    fi
    ASSAY_HOME=${ASSAY_HOME:-$assay_root/.assay}
    case $ASSAY_HOME in /*) ;; *) ASSAY_HOME=$PWD/$ASSAY_HOME ;; esac
    [ -n "$assay_typed" ] || export ASSAY_HOME_NOT_TYPED="$ASSAY_HOME"
    export ASSAY_HOME
    for folder in "$assay_root" "$ASSAY_HOME"; do
        case $folder in *:*) assay_fault "$folder has a ':' in its path, where PATH and PYTHONPATH would split it" \
            "use a folder without one: move the checkout, or set ASSAY_HOME" ;; esac
    done
}

assay_unwritable() { # REASON: the folder of environments is missing, full or not ours, and one is to be made
    case $1 in *'No space left'* | *'quota exceeded'*)
        assay_fault "the disk of $ASSAY_HOME is full" \
            "free 500 MB there, or choose a folder on another disk: ASSAY_HOME=<folder>" ;;
    esac
    case $ASSAY_HOME in
    "$assay_root"/*) assay_fault "$ASSAY_HOME cannot be written: this checkout is read-only for you" \
        "name folders of your own, for environments and for results: ASSAY_HOME=${HOME:-}/.assay OUT=${HOME:-}/results" ;;
    *) assay_fault "$ASSAY_HOME cannot be written" "set ASSAY_HOME to a folder that you own" ;;
    esac
}

# OFFLINE, else `offline` of assay.local.toml; 0 when nothing is to be fetched from an index.
assay_offline() {
    case ${OFFLINE:-} in
    '') grep -qs '^offline[[:space:]]*=[[:space:]]*true' "$assay_root/assay.local.toml" ;;
    0 | false | no | off) return 1 ;;
    esac
}

assay_python() { # print the path of a Python ≥ 3.11 that can make environments
    for candidate in "${ASSAY_PYTHON:-}" python3.11 python3.12 python3.13 python3.14 python3 \
        "${HOME:-}"/.pyenv/versions/3.1[1-9]*/bin/python3; do
        [ -n "$candidate" ] || continue
        "$candidate" -I -c 'import sys, venv, ensurepip
sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue
        command -v "$candidate"
        return
    done
    return 1
}

# Make the environment in $venv from $lock; runs under the environment's flock, in a subshell.
assay_build() {
    python=$(assay_python) || assay_fault \
        "no Python 3.11 or newer with venv was found (${ASSAY_PYTHON:-python3} is $(python3 --version 2>&1 || true))" \
        "install one (Debian: apt-get install python3 python3-venv), or name it: ASSAY_PYTHON=/path/to/python3.11"
    printf 'assay: making the environment of %s (once, about 10 s) …\n' "$1" >&2
    online=1
    if assay_offline; then online=0; fi
    # -I: no variable of the caller's (PYTHONHOME, PYTHONPATH …), no user's packages.
    "$python" -I -c 'import sys; sys.path.insert(0, sys.argv[1])
from driver.stacks.install.first_environment import main; main(sys.argv[2:])' \
        "$assay_root" "$1" "$lock" "$venv" "$ASSAY_HOME" "$online" </dev/null
}

environment() { # NAME LOCK: set $venv to a finished environment of this lock, made when missing
    lock=$2
    [ -f "$lock" ] || assay_fault "$lock is missing" "git checkout -- '$lock', or: make lock"
    digest=$(sha256sum <"$lock") || assay_fault "sha256sum is missing" "install coreutils"
    venv=$ASSAY_HOME/venvs/$1-$(printf %.12s "$digest")
    # bin/python dangles when the Python that it was made from has been removed.
    [ -f "$venv/.complete" ] && [ -x "$venv/bin/python" ] && return
    reason=$(LC_ALL=C mkdir -p "$ASSAY_HOME/venvs" 2>&1) || assay_unwritable "$reason"
    reason=$( (LC_ALL=C && : >>"$venv.lock") 2>&1) || assay_unwritable "$reason"
    command -v flock >/dev/null || assay_fault "flock is missing" "apt-get install util-linux"
    (
        flock 9
        # Another call may have made it while this one waited.
        [ -f "$venv/.complete" ] && [ -x "$venv/bin/python" ] || assay_build "$1"
    ) 9>"$venv.lock" || exit $?
}

assay_home

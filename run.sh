#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# run.sh - from a fresh Debian 12 to a running Flamenco Manager: installs what is missing, builds, starts.
# shellcheck disable=SC2317 # functions called by with_lock and trap
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P) || exit 1
# shellcheck source=tools/setup/common.sh
. "$root/tools/setup/common.sh"

usage()
{
    cat <<'END'
usage: ./run.sh [options] [-- options of flamenco-manager]

Installs the Debian packages that are missing (says which; asks sudo when it is not run by root), builds into build/,
and starts Flamenco Manager. What it stores is in .flamenco/ beside this script, its working directory. Ctrl-C stops it.

  --demo          also start a simulated farm, submit a render job to it, and show its progress
  --once          with --demo: stop when the job has ended; exit code 0 when it is completed
  --port N        listen on port N, from now on (written to .flamenco/flamenco-manager.yaml)
  --listen ADDR   the same with an address: 127.0.0.1:8080, [::]:8080, :8080
  --no-install    do not look for missing packages
  --build-only    do not start anything
  --help
END
}

demo=0 once=0 install=1 start=1 listen=''
while (($#)); do
    case $1 in
    --demo) demo=1 ;;
    --once) once=1 ;;
    --no-install) install=0 ;;
    --build-only) start=0 ;;
    --port | --listen)
        (($# > 1)) || die "$1 needs a value; --help explains"
        if [[ $1 == --port ]]; then listen=":$2"; else listen=$2; fi
        shift
        ;;
    --port=*) listen=":${1#*=}" ;;
    --listen=*) listen=${1#*=} ;;
    -h | --help)
        usage
        exit 0
        ;;
    --)
        shift
        break
        ;;
    *)
        complain "$1 is not an option"
        usage >&2
        exit 2
        ;;
    esac
    shift
done
if ((once && !demo)); then
    complain "--once goes with --demo"
    exit 2
fi
if [[ -n $listen && ! $listen =~ ^([A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})$ ]]; then
    complain "$listen is not an address to listen on; --help explains"
    exit 2
fi
if [[ -n $listen ]] && ((10#${listen##*:} < 1 || 10#${listen##*:} > 65535)); then
    complain "ports are numbers from 1 to 65535"
    exit 2
fi

build_folder="$root/build"
manager="$build_folder/core/flamenco-manager"
farm_sim="$build_folder/tools/farm-sim/farm-sim"
data="$root/.flamenco"
settings="$data/flamenco-manager.yaml"
log="$data/manager.log"

prepare()
{
    if ((install)); then
        install_packages run || return 1
        fetch_swagger_ui
    fi
    # -O2 with symbols: as fast as it gets, and a crash report names functions.
    configure "$build_folder" --buildtype=debugoptimized -Db_ndebug=true -Dtests=false || return 1
    build "$build_folder" || return 1
    link_swagger_ui "$build_folder"
}

# get_setting KEY: prints what the manager's own settings file says; nothing when it says nothing.
get_setting()
{
    local line value='' found=0
    [[ -r $settings ]] || return 0
    while IFS= read -r line || [[ -n $line ]]; do
        if ((found)); then
            [[ $line == ' '* ]] || break # the manager folds long values
            value+=" ${line#"${line%%[! ]*}"}"
        elif [[ $line == "$1:"* ]]; then
            found=1
            value=${line#*:}
            value=${value#"${value%%[! ]*}"}
        fi
    done <"$settings"
    case $value in
    \'*\') value=${value:1:-1} value=${value//"''"/"'"} ;;
    \"*\") value=${value:1:-1} ;;
    esac
    printf '%s' "$value"
}

# set_setting KEY VALUE: writes it into that file, where the Settings page would write it.
set_setting()
{
    local line found=0 skipping=0 entry="$1: '${2//"'"/"''"}'"
    {
        if [[ -e $settings ]]; then
            while IFS= read -r line || [[ -n $line ]]; do
                if ((skipping)) && [[ $line == ' '* ]]; then
                    continue
                fi
                skipping=0
                if [[ $line == "$1:"* ]]; then
                    line=$entry found=1 skipping=1
                fi
                printf '%s\n' "$line"
            done <"$settings" || return 1
        else
            printf '_meta:\n  version: 3\n'
        fi
        ((found)) || printf '%s\n' "$entry"
    } >"$settings.new" && mv "$settings.new" "$settings"
}

# The manager's files belong here, not beside the program in the build folder. Whoever chose another place keeps it.
settle_storage()
{
    local place="$data/flamenco-manager-storage" now
    now=$(get_setting local_manager_storage_path)
    # Ours, but of the place where the checkout was before.
    [[ $now != "$place" && $now == */.flamenco/flamenco-manager-storage && ! -d $now ]] && now=''
    case $now in
    '' | ./flamenco-manager-storage) set_setting local_manager_storage_path "$place" ;;
    esac
}

# Sets host and port as this machine reaches the manager.
find_address()
{
    local address
    address=$(get_setting listen)
    [[ -n $address ]] || address=:8080
    host=${address%:*}
    port=${address##*:}
    case $host in
    '' | 0.0.0.0 | '[::]') host=127.0.0.1 ;;
    '['*) host=${host:1:-1} ;;
    esac
}

manager_pid='' farm_pid='' stopping=0

# Each signal goes on to the children once: a manager that gets two gives up its orderly stop.
on_signal()
{
    stopping=1
    if [[ -n $farm_pid ]]; then
        kill -TERM "$farm_pid" 2>/dev/null
    elif [[ -n $manager_pid ]]; then
        kill -TERM "$manager_pid" 2>/dev/null
    fi
}

stop_manager()
{
    local code
    [[ -n $manager_pid ]] || return 0
    kill -TERM "$manager_pid" 2>/dev/null
    await "$manager_pid"
    code=$?
    manager_pid=''
    return "$code"
}

# The manager ended by itself: says why, as far as its log does.
report_death()
{
    complain "the manager ended with exit code $1"
    if ((demo)); then
        complain "its last words, from $log:"
        tail -n 20 "$log" >&2
    fi
}

await_ready()
{
    local end=$((SECONDS + 60)) code
    until is_ready "$host" "$port"; do
        if ! kill -0 "$manager_pid" 2>/dev/null; then
            await "$manager_pid"
            code=$?
            manager_pid=''
            ((stopping)) || report_death "$code"
            return 1
        fi
        ((stopping)) && return 1
        if ((SECONDS >= end)); then
            complain "the manager does not answer at $url after a minute"
            ((demo)) || return 0 # -- --config FILE may have sent it to another address
            complain "its log: $log"
            return 1
        fi
        sleep 0.05
    done
}

# Returns farm-sim's exit code; 1 when the manager ends before.
run_demo()
{
    local code ended
    start_child "$farm_sim" demo --url "$url" --state "$data/demo-workers.json" --quit-workers &
    farm_pid=$!
    while :; do
        wait -n -p ended "$farm_pid" "$manager_pid" 2>/dev/null
        code=$?
        [[ -z ${ended:-} ]] || break # unset: a signal came in
    done
    if [[ $ended == "$manager_pid" ]]; then
        manager_pid=''
        report_death "$code"
        kill -TERM "$farm_pid" 2>/dev/null
        await "$farm_pid"
        code=1
    fi
    farm_pid=''
    return "$code"
}

with_lock prepare || exit 1
((start)) || exit 0
[[ -x $manager ]] || die "the build folder has no $manager; remove $build_folder and try again"

if ! mkdir -p "$data" || ! cd "$data"; then
    die "cannot use $data"
fi
settle_storage || die "cannot write $settings"
if [[ -n $listen ]]; then
    set_setting listen "$listen" || die "cannot write $settings"
fi
find_address
url="http://$host:$port"
[[ $host == *:* ]] && url="http://[$host]:$port"
[[ $host == 127.0.0.1 ]] && url="http://localhost:$port"
if port_answers "$host" "$port"; then
    die "port $port is in use already, maybe by another manager. Choose another one: ./run.sh --port $((port + 1))"
fi

trap on_signal INT TERM HUP
if ((demo)); then
    say "Starting the manager; its log: $log"
    start_child "$manager" "$@" >"$log" 2>&1 </dev/null &
else
    start_child "$manager" "$@" </dev/null &
fi
manager_pid=$!
if ! await_ready; then
    stop_manager
    exit 1
fi
say "Flamenco Manager is at $url"

code=0
if ((demo)); then
    run_demo
    code=$?
    if ((code && !stopping)); then
        complain "the demo failed; the manager's log: $log"
    fi
fi
if ((once || stopping)) || [[ -z $manager_pid ]]; then
    stop_manager || { stopped=$?; complain "the manager stopped with exit code $stopped"; ((code)) || code=$stopped; }
    exit "$code"
fi
say "Stop the manager with Ctrl-C."
await "$manager_pid"
code=$?
manager_pid=''
((stopping)) || report_death "$code"
exit "$code"

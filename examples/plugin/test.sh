#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# test.sh - builds this plugin as a third party would: out of the tree, against an installation of the manager, with nothing
# but pkg-config; then has it loaded and lets it work.
# usage: examples/plugin/test.sh BUILD-FOLDER    The manager built there is installed into its prefix. Prints TAP.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P) || exit 1
root=$(cd "$here/../.." && pwd -P) || exit 1
# shellcheck source=tools/setup/common.sh
. "$root/tools/setup/common.sh"
(($# == 1)) || die "usage: test.sh BUILD-FOLDER"
folder=$(cd "$1" && pwd -P) || exit 1
prefix=$(meson introspect --buildoptions "$folder" |
    python3 -c 'import json, sys; print(next(o["value"] for o in json.load(sys.stdin) if o["name"] == "prefix"))')
manager="$prefix/bin/flamenco-manager"
work=$(mktemp -d) || exit 1
manager_pid=''
number=0 failures=0

clean_up()
{
    [[ -z $manager_pid ]] || kill -KILL "$manager_pid" 2>/dev/null
    rm -rf "$work"
}
trap clean_up EXIT

# result CODE NAME: one line of TAP; the output of the step is in $work/out.
result()
{
    number=$((number + 1))
    if (($1 == 0)); then
        say "ok $number $2"
    else
        failures=$((failures + 1))
        say "not ok $number $2"
        tail -n 40 "$work/out" | sed 's/^/# /'
    fi
}

# step NAME COMMAND...
step()
{
    local name=$1
    shift
    "$@" >"$work/out" 2>&1 </dev/null
    result $? "$name"
}

install_manager()
{
    [[ $prefix == "$folder"/* ]] || die "the prefix of $folder is $prefix; this test installs only below the build folder"
    rm -rf "$prefix" && meson install -C "$folder" --no-rebuild --quiet
}

# The plugin's folder is copied, so that nothing of the tree is beside it.
build_plugin()
{
    local pc
    pc=$(find "$prefix" -name flamenco-plugin.pc)
    cp -r "$here" "$work/plugin" &&
        PKG_CONFIG_PATH="${pc%/*}" meson setup "$work/plugin/build" "$work/plugin" &&
        ninja -C "$work/plugin/build"
}

write_config()
{
    local settings=$1
    # The shipped file, with one more forwarder.
    sed "s|^  event_forwarder:\$|&\n    - {name: eventlog, file: events-jsonl, settings: $settings}|" \
        "$prefix/etc/flamenco/manager.yaml" >"$work/manager.yaml"
    grep -q eventlog "$work/manager.yaml"
}

in_work()
{
    (cd "$work" && "$@")
}

is_listed()
{
    write_config "{path: events.jsonl}" || return 1
    in_work "$manager" --config manager.yaml --list-plugins >"$work/list"
    local code=$?
    cat "$work/list"
    ((code == 0)) && grep -q '^event_forwarder .*eventlog .*1[.]0[.]0' "$work/list" && [[ ! -e $work/events.jsonl ]]
}

is_accepted()
{
    write_config "{path: events.jsonl, kinds: [job, lifecycle]}" && in_work "$manager" --config manager.yaml --check-config
}

# is_refused SETTINGS PATTERN: the manager must not accept them, and must say why.
is_refused()
{
    write_config "$1" || return 1
    in_work "$manager" --config manager.yaml --check-config >"$work/refusal" 2>&1
    local code=$?
    cat "$work/refusal"
    ((code == 1)) && grep -q "$2" "$work/refusal"
}

# Runs a job on the simulated farm, and stops the manager.
run_farm()
{
    local port code
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    printf '_meta: {version: 3}\nlisten: 127.0.0.1:%s\nlocal_manager_storage_path: %s\n' "$port" "$work/storage" \
        >"$work/flamenco-manager.yaml"
    write_config "{path: events.jsonl}" || return 1
    (cd "$work" && start_child "$manager" --config manager.yaml >"$work/log" 2>&1) &
    manager_pid=$!
    until is_ready 127.0.0.1 "$port"; do
        if ! kill -0 "$manager_pid" 2>/dev/null || ((SECONDS > 120)); then
            cat "$work/log"
            return 1
        fi
        sleep 0.05
    done
    "$prefix/bin/farm-sim" demo --url "http://127.0.0.1:$port" --frames 1-4 --frame-time 20ms --time-scale 0.02 \
        --quit-workers
    code=$?
    kill -TERM "$manager_pid"
    await "$manager_pid" || code=1
    manager_pid=''
    ((code == 0)) || cat "$work/log"
    return "$code"
}

# Every line is JSON, in order, and the job's whole life is there.
events_tell_the_story()
{
    python3 - "$work/events.jsonl" <<'END'
import json, sys
events = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
numbers = [e["seq"] for e in events]
assert numbers == sorted(set(numbers)), numbers
jobs = [e["payload"].get("status") for e in events if e["kind"] == "job"]
assert "active" in jobs and jobs[-1] == "completed", jobs
assert events[-1]["kind"] == "lifecycle", events[-1]
assert not any(e["kind"] == "task_log" for e in events)
print(len(events), "events")
END
}

step "the manager is installed below a prefix" install_manager
step "the plugin builds with pkg-config flamenco-plugin alone" build_plugin
step "it is installed into the manager's plugin folder" ninja -C "$work/plugin/build" install
step "--list-plugins shows it, and starts nothing" is_listed
step "--check-config accepts its settings" is_accepted
step "a kind of events that does not exist is refused, with its place" is_refused \
    "{path: x, kinds: [job, rain]}" "manager.yaml:[0-9].*rain"
step "a setting that is left out but must be given is refused" is_refused "{kinds: [job]}" "path"
step "an unknown setting is refused, with its place" is_refused "{path: x, colour: red}" "manager.yaml:[0-9].*colour"
step "the installed manager runs a job with it" run_farm
step "its file tells the job's story" events_tell_the_story
say "1..$number"
((failures == 0))

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# test.sh - builds this plugin as a third party would: out of the tree, against an installation of the manager, with nothing
# but pkg-config; lets flamenco-plugin-check look at it, and has a farm work with it.
# usage: examples/log-archive/test.sh BUILD-FOLDER    The manager built there is installed into its prefix. Prints TAP.
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

# step NAME COMMAND...: one line of TAP; what a failed step said follows it.
step()
{
    local name=$1
    shift
    number=$((number + 1))
    if "$@" >"$work/out" 2>&1 </dev/null; then
        say "ok $number $name"
    else
        failures=$((failures + 1))
        say "not ok $number $name"
        tail -n 40 "$work/out" | sed 's/^/# /'
    fi
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
        ninja -C "$work/plugin/build" install
}

passes_the_kit()
{
    "$prefix/bin/flamenco-plugin-check" "$prefix/lib/flamenco/plugins/log-archive.so"
}

# The shipped file, with this plugin in the place of log-storage.
write_config()
{
    sed 's|^    file: log-storage$|    file: log-archive|' "$prefix/etc/flamenco/manager.yaml" >"$work/manager.yaml"
    grep -q 'file: log-archive' "$work/manager.yaml"
}

in_work()
{
    (cd "$work" && "$@")
}

is_accepted()
{
    write_config && in_work "$manager" --config manager.yaml --check-config
}

# Runs a job on the simulated farm, and stops the manager.
run_farm()
{
    local port code
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    printf '_meta: {version: 3}\nlisten: 127.0.0.1:%s\nlocal_manager_storage_path: %s\n' "$port" "$work/storage" \
        >"$work/flamenco-manager.yaml"
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
    has_logs "$port" || code=1
    kill -TERM "$manager_pid"
    await "$manager_pid" || code=1
    manager_pid=''
    ((code == 0)) || cat "$work/log"
    return "$code"
}

# The API gives the end of a task's log, and the file is smaller than what is in it.
has_logs()
{
    python3 - "http://127.0.0.1:$1" "$work/storage" <<'END'
import json, pathlib, sys, urllib.request
url, storage = sys.argv[1:]
def get(path):
    with urllib.request.urlopen(url + path) as reply:
        return reply.read().decode()
job = json.loads(get("/api/v3/jobs"))["jobs"][0]["id"]
task = json.loads(get(f"/api/v3/jobs/{job}/tasks"))["tasks"][0]["id"]
tail = get(f"/api/v3/tasks/{task}/logtail")
assert tail.endswith("\n") and "completed" in tail, tail
files = list(pathlib.Path(storage).rglob("*"))
names = [f.name for f in files if f.is_file()]
assert "logs.flz" in names and not any(n.startswith("task-") for n in names), names
END
}

step "the manager is installed below a prefix" install_manager
step "the plugin builds with pkg-config flamenco-plugin alone" build_plugin
step "flamenco-plugin-check finds nothing wrong" passes_the_kit
step "--check-config accepts it in the place of log-storage" is_accepted
step "the installed manager runs a job with it" run_farm
say "1..$number"
((failures == 0))

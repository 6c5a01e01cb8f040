#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# test.sh - builds this plugin as a third party would: out of the tree, against an installation of the manager, with nothing
# but pkg-config; then has the tests over HTTP run with it in the place of the manager's own.
# usage: examples/shaman-flat/test.sh BUILD-FOLDER    The manager built there is installed into its prefix. Prints TAP.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P) || exit 1
root=$(cd "$here/../.." && pwd -P) || exit 1
# shellcheck source=tools/setup/common.sh
. "$root/tools/setup/common.sh"
(($# == 1)) || die "usage: test.sh BUILD-FOLDER"
folder=$(cd "$1" && pwd -P) || exit 1
prefix=$(meson introspect --buildoptions "$folder" |
    python3 -c 'import json, sys; print(next(o["value"] for o in json.load(sys.stdin) if o["name"] == "prefix"))')
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
number=0 failures=0

# step NAME COMMAND...: one line of TAP; the output of a step that failed is shown.
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
        ninja -C "$work/plugin/build"
}

run_tests()
{
    FLAMENCO_BUILD="$folder" FLAMENCO_TEST_SHAMAN="$work/plugin/build/shaman-flat.so" \
        python3 -B -m pytest -q -p no:cacheprovider "$root"/tests/api/test_shaman_{files,checkout,streams,addon,jobs}.py
}

step "the manager is installed below a prefix" install_manager
step "the plugin builds with pkg-config flamenco-plugin alone" build_plugin
step "the tests over HTTP pass with it" run_tests
say "1..$number"
((failures == 0))

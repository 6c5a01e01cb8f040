# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154 # root is the caller's
#
# common.sh - what run.sh and test.sh share: messages, Debian packages, the build. Sourced, never run; the caller has set
# `root` to the checkout's folder and uses `set -u`. Functions print what goes wrong and return non-zero.

# Debian's own programs first: the packages named in tools/setup/packages are made for them.
PATH="/usr/sbin:/usr/bin:/sbin:/bin:$PATH"
export PATH

say()
{
    printf '%s\n' "$*"
}

complain()
{
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

die()
{
    complain "$@"
    exit 1
}

# Sets `missing` to those packages of the kinds given that are not installed. Asks dpkg alone: needs no network.
find_missing_packages()
{
    local kinds=" $* " kind name program _ installed
    local -a wanted=()
    while read -r kind name program _; do
        # Some packages of others bring it along, and Debian's own could not be installed beside them.
        [[ -n $program ]] && command -v "$program" >/dev/null && continue
        [[ $kinds == *" $kind "* ]] && wanted+=("$name")
    done <"$root/tools/setup/packages"
    # Fails when one of them is unknown to dpkg: that is an answer, too.
    installed=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' "${wanted[@]}" 2>/dev/null)
    missing=()
    for name in "${wanted[@]}"; do
        [[ $'\n'$installed$'\n' == *$'\nii  '"$name"$'\n'* ]] || missing+=("$name")
    done
}

# Installs the packages of the kinds given, if any is missing.
install_packages()
{
    local -a missing as_root=()
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        complain "this is not Debian. Install the packages of tools/setup/packages in your system's way," \
            "then use the option --no-install."
        return 1
    fi
    find_missing_packages "$@"
    ((${#missing[@]})) || return 0
    say "Packages to be installed: ${missing[*]}"
    if ((EUID != 0)); then
        if ! command -v sudo >/dev/null; then
            complain "installing packages needs root, and there is no sudo. As root, run:" \
                "apt-get install ${missing[*]}"
            return 1
        fi
        as_root=(sudo)
    fi
    as_root+=(env DEBIAN_FRONTEND=noninteractive)
    if ! "${as_root[@]}" apt-get -q update; then
        complain "apt-get update failed (see above). Is there a network?"
        return 1
    fi
    if ! "${as_root[@]}" apt-get -q install -y --no-install-recommends -o Dpkg::Use-Pty=0 "${missing[@]}"; then
        complain "apt-get install failed (see above)"
        return 1
    fi
    say "All packages are installed."
}

# fetch_swagger_ui: puts Swagger UI's files into .deps, once. Without network it says so and no more: what is missing then is
# one page.
fetch_swagger_ui()
{
    local place="$root/.deps/swagger-ui" pin="$root/tools/setup/swagger-ui.txt" folder code=1
    [[ -f $place/pin && $(<"$place/pin") == "$(<"$pin")" ]] && return 0
    say "Fetching Swagger UI"
    mkdir -p "$root/.deps" && folder=$(mktemp -d "$root/.deps/fetch.XXXXXX") || return 1
    if python3 -m pip --disable-pip-version-check download -q --retries 1 --no-deps --only-binary :all: --require-hashes \
        -r "$pin" -d "$folder/wheel" >"$folder/log" 2>&1 &&
        python3 "$root/tools/setup/unpack_swagger_ui.py" "$folder/wheel" "$folder/files" >>"$folder/log" 2>&1 &&
        cp "$pin" "$folder/files/pin" && rm -rf "$place" && mv "$folder/files" "$place"; then
        code=0
    else
        tail -n 1 "$folder/log" >&2
        complain "Swagger UI could not be fetched, so the manager will not show its API documentation as a page"
    fi
    rm -rf "$folder"
    return "$code"
}

# link_swagger_ui FOLDER: lets the manager of a build folder find these files.
link_swagger_ui()
{
    if [[ -d $root/.deps/swagger-ui && -d $1/plugins/webapp ]]; then
        ln -sfn "$root/.deps/swagger-ui" "$1/plugins/webapp/swagger-ui"
    fi
}

# Says on stdout which compiler meson shall use.
compiler()
{
    local cc=${CC:-gcc}
    if command -v ccache >/dev/null && [[ $cc != ccache* ]]; then
        cc="ccache $cc"
    fi
    printf '%s' "$cc"
}

# configure FOLDER [MESON OPTION...]: makes the build folder ready. One that these scripts made is made anew when the
# checkout was moved or the options have changed; one that a developer configured by hand is used as it is.
configure()
{
    local folder=$1 log stamp made_for
    shift
    stamp="$folder/.made-by-script"
    made_for="$root"$'\n'"$*"
    if [[ -f $folder/build.ninja ]]; then
        [[ ! -f $stamp || $(<"$stamp") == "$made_for" ]] && return 0
    fi
    # A folder without build.ninja is a configuration that failed, or nothing at all.
    if [[ -f $stamp || -d $folder/meson-private ]]; then
        rm -rf "$folder" || return 1
    fi
    say "Configuring ${folder#"$root"/}"
    mkdir -p "$folder" || return 1
    printf '%s\n' "$made_for" >"$stamp" || return 1
    log="$folder/configure.log"
    if ! CC=$(compiler) meson setup "$folder" "$root" "$@" >"$log" 2>&1; then
        cat "$log" >&2
        complain "meson could not configure the build (see above; all of it is in $folder/meson-logs)"
        return 1
    fi
}

# build FOLDER: brings the folder's targets up to date. Quiet when there is nothing to do.
build()
{
    local folder=$1 steps out
    # The look at git's commit is always among the steps to be done, and so are those that follow if that has changed.
    steps=$(ninja -C "$folder" -n 2>/dev/null | grep -c '^\[')
    if ((steps <= 3)); then
        out=$(ninja -C "$folder" 2>&1) && return 0
        printf '%s\n' "$out" >&2
    else
        say "Building ${folder#"$root"/}"
        ninja -C "$folder" && return 0
    fi
    complain "the build failed (see above)"
    return 1
}

# with_lock COMMAND...: runs the command while no other run of these scripts builds in this checkout.
with_lock()
{
    (
        # The folder itself is what is locked: no file to be left behind.
        if ! flock -n 9; then
            say "Waiting for another run that is building here"
            flock 9 || exit 1
        fi
        "$@" 9<&-
    ) 9<"$root/tools/setup"
}

# ---- Programs beside the script ----

# start_child COMMAND...: to be put in the background; the command is $! then. It gets a session of its own, so that the
# terminal's Ctrl-C reaches the script alone, and it ends with the script, even when that one is killed.
start_child()
{
    exec setsid setpriv --pdeathsig TERM -- "$@"
}

# await PID: waits for a child to end, whatever signals come in between. Returns its exit code.
await()
{
    local code
    while :; do
        wait "$1" 2>/dev/null # bash would tell of every killed child
        code=$?
        kill -0 "$1" 2>/dev/null || break
    done
    # Above 128 it may be the signal that ended the wait; bash still knows how the process ended.
    if ((code > 128)); then
        wait "$1" 2>/dev/null
        code=$?
    fi
    return "$code"
}

# port_answers HOST PORT
port_answers()
{
    (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null
}

# is_ready HOST PORT: asks the manager whether its start is over and what it needs works.
is_ready()
{
    (
        exec 3<>"/dev/tcp/$1/$2" || exit 1
        printf 'GET /health/ready HTTP/1.0\r\n\r\n' >&3
        IFS= read -r -t 2 line <&3
        [[ $line == "HTTP/1."?" 200 "* ]]
    ) 2>/dev/null
}

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2317 # functions called by part and with_lock
#
# test.sh - installs what is missing, builds, and runs every test. The last line says how many passed and failed.
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P) || exit 1
# shellcheck source=tools/setup/common.sh
. "$root/tools/setup/common.sh"

usage()
{
    cat <<'END'
usage: ./test.sh [options] [PART...]

Installs the Debian packages that are missing and runs every test, or the parts that are named:
  shell format tidy     shellcheck; clang-format and licence lines; clang-tidy
  unit api farm         unit and ABI tests; black box tests over HTTP; runs of the simulated farm
  postgres              the manager on PostgreSQL, and standby managers: a server of its own is restarted, crashed, cut off
  schema                a minute of schemathesis, which calls every operation with valid and broken input
  clients               Socket.IO's own clients of both generations, in JavaScript and Python; curl
  fuzz                  the fuzz targets, a minute each
  plugin script         the examples, built against an installation and loaded; run.sh itself
  web                   pages in a real browser
  asan tsan             the same tests with the address and undefined-behaviour, and with the thread sanitizer
  coverage              lines covered in core and plugins; only when it is asked for

  --quick       shell, format and unit
  --coverage    coverage
  --no-install  do not look for missing packages
  --help
END
}

all_parts=(shell format unit api farm postgres web schema clients plugin script fuzz asan tsan tidy)
parts=() install=1
while (($#)); do
    case $1 in
    --quick) parts+=(shell format unit) ;;
    --coverage) parts+=(coverage) ;;
    --no-install) install=0 ;;
    -h | --help)
        usage
        exit 0
        ;;
    shell | format | tidy | unit | api | farm | postgres | web | schema | clients | plugin | script | fuzz | asan | tsan | coverage)
        parts+=("$1")
        ;;
    *)
        complain "$1 is not understood"
        usage >&2
        exit 2
        ;;
    esac
    shift
done
((${#parts[@]})) || parts=("${all_parts[@]}")

cd "$root" || exit 1
[[ $root != *[[:space:]]* ]] ||
    complain "warning: $root has a space in it, with which make, pkg-config and LD_PRELOAD cannot cope: the tests that use them will fail"
scratch=$(mktemp -d) || exit 1
child_pid=''
clean_up()
{
    [[ -z $child_pid ]] || kill -TERM "$child_pid" 2>/dev/null
    rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# ---- Counting ----

passed=0 failed=0 summary=() failures="$scratch/failures"

count()
{
    passed=$((passed + $1))
    failed=$((failed + $2))
}

# has_failed NAME FILE: what the summary says of a failure: the end of what it printed.
has_failed()
{
    {
        say "FAILED $1"
        tail -n 25 "$2" | sed 's/^/    /'
    } >>"$failures"
}

# count_lines NAME WORD COMMAND...: shows what the command says, and counts its lines that begin with "ok", and with the word
# for a failure.
count_lines()
{
    local name=$1 word=$2 out="$scratch/lines.out" bad code
    shift 2
    "$@" >"$out" 2>&1
    code=$?
    cat "$out"
    bad=$(grep -c "^$word " "$out")
    count "$(grep -c '^ok ' "$out")" "$bad"
    ((code == 0 && bad == 0)) || has_failed "$name" "$out"
    return "$code"
}

# check NAME COMMAND...: one test; its output is shown when it fails.
check()
{
    local name=$1 out="$scratch/check.out"
    shift
    if "$@" >"$out" 2>&1 </dev/null; then
        say "ok     $name"
        count 1 0
    else
        say "FAILED $name"
        head -n 200 "$out"
        (($(wc -l <"$out") <= 200)) || say "… ($(wc -l <"$out") lines in all)"
        has_failed "$name" "$out"
        count 0 1
    fi
}

# part NAME: runs the function run_NAME, says how long it took, and counts a failure that it did not count itself.
part()
{
    local name=$1 before_passed=$passed before_failed=$failed start=$SECONDS
    printf "\n==== %s\n" "$name"
    if ! "run_$name" && ((failed == before_failed)); then
        say "FAILED $name" | tee -a "$failures"
        count 0 1
    fi
    summary+=("$(printf '%-10s %6d passed %4d failed %5d s' "$name" $((passed - before_passed)) \
        $((failed - before_failed)) $((SECONDS - start)))")
    say "${summary[-1]}"
}

# meson_tests FOLDER [MESON TEST OPTION...]
meson_tests()
{
    local folder=$1 counts
    shift
    rm -f "$folder/meson-logs/testlog.json"
    meson test -C "$folder" --no-rebuild --print-errorlogs --num-processes "$(nproc)" "$@"
    counts=$(python3 tools/setup/count_results.py meson "$folder/meson-logs/testlog.json" "$failures")
    # shellcheck disable=SC2086 # two numbers
    count $counts
}

# black_box FOLDER SUITE...: pytest, with the programs built in FOLDER. Most tests wait more than they work, so a few files run side by
# side; those that measure how the manager does beside an attack run alone.
black_box()
{
    local folder=$1 suite
    shift
    for suite in "$@"; do
        if [[ $suite == tests/faults ]]; then
            pytest_run "$folder" "$suite" -m alone
            pytest_run "$folder" "$suite" -n "$(($(nproc) + 1))" --dist loadfile -m 'not alone'
        else
            pytest_run "$folder" "$suite" -n "$(($(nproc) * 2))" --dist loadfile
        fi
    done
}

# pytest_run FOLDER PYTEST-ARGUMENT...: counts what pytest reports, and one failure when it broke off or found nothing to run.
pytest_run()
{
    local folder=$1 counts report="$scratch/pytest.xml"
    shift
    rm -f "$report"
    FLAMENCO_BUILD="$folder" python3 -B -m pytest -q -p no:cacheprovider --junitxml="$report" "$@"
    (($? <= 1)) || count 0 1
    counts=$(python3 tools/setup/count_results.py junit "$report" "$failures")
    # shellcheck disable=SC2086 # two numbers
    count $counts
}

free_port()
{
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# with_manager FOLDER COMMAND...: starts the manager built in FOLDER with empty data, runs the command with the option
# --url, stops the manager. Fails when either fails; then it shows the end of the manager's log.
with_manager()
{
    local folder=$1 data port code stop_code end
    shift
    data=$(mktemp -d "$scratch/manager.XXXXXX") || return 1
    port=$(free_port) || return 1
    printf '_meta: {version: 3}\nlisten: 127.0.0.1:%s\nautodiscoverable: false\nlocal_manager_storage_path: %s\n' \
        "$port" "$data/storage" >"$data/flamenco-manager.yaml"
    (cd "$data" && start_child "$folder/core/flamenco-manager" >"$data/log" 2>&1) &
    child_pid=$!
    end=$((SECONDS + 60))
    until is_ready 127.0.0.1 "$port"; do
        if ! kill -0 "$child_pid" 2>/dev/null || ((SECONDS > end)); then
            say "the manager did not start:"
            tail -n 20 "$data/log"
            kill -KILL "$child_pid" 2>/dev/null
            await "$child_pid"
            child_pid=''
            return 1
        fi
        sleep 0.05
    done
    "$@" --url "http://127.0.0.1:$port"
    code=$?
    kill -TERM "$child_pid" 2>/dev/null
    await "$child_pid"
    stop_code=$?
    child_pid=''
    if ((code || stop_code)); then
        say "exit codes: $code of the command, $stop_code of the manager, whose log ends with:"
        tail -n 20 "$data/log"
        return 1
    fi
    rm -rf "$data"
}

# farm_runs FOLDER WHAT DEMO LOAD SOAK: the simulated farm; each of the last three is a string of options.
farm_runs()
{
    local folder=$1 what=$2 mode
    local sim="$folder/tools/farm-sim/farm-sim"
    local -a options
    shift 2
    for mode in demo load soak; do
        read -ra options <<<"$1"
        check "farm-sim $mode ${options[*]}, $what" with_manager "$folder" "$sim" "$mode" "${options[@]}"
        shift
    done
}

# Our own text files that match the patterns; generated ones and other people's are not in git.
files()
{
    git ls-files -co --exclude-standard -- "$@"
}

# ---- Builds ----

prepare()
{
    local name=$1 folder="$root/build-$1"
    shift
    configure "$folder" "$@" || return 1
    build "$folder" || return 1
    link_swagger_ui "$folder"
}

build_test()
{
    with_lock prepare test --prefix="$root/build-test/installed"
}

build_asan()
{
    with_lock prepare asan -Db_sanitize=address,undefined -Db_lundef=false
}

build_tsan()
{
    with_lock prepare tsan -Db_sanitize=thread -Db_lundef=false
}

build_coverage()
{
    with_lock prepare coverage -Db_coverage=true --buildtype=debug -Dwerror=false # gcc guesses worse without optimising
}

# ---- Parts ----

run_shell()
{
    local file
    local -a scripts=()
    while IFS= read -r file; do
        if [[ $file == *.sh ]] || { [[ -x $file && $file != *.* ]] && head -n 1 "$file" | grep -q '^#!.*sh$'; }; then
            scripts+=("$file")
        fi
    done < <(files)
    for file in "${scripts[@]}"; do
        check "shellcheck $file" shellcheck -x "$file"
    done
}

has_licence()
{
    local file bad=0
    while IFS= read -r file; do
        if ! head -n 3 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0'; then
            say "$file: no SPDX line"
            bad=1
        fi
    done < <(files '*.c' '*.h' '*.py' '*.sh' '*meson.build' '*.js' ':!web' && printf '%s\n' run.sh test.sh .ci/run)
    return "$bad"
}

run_format()
{
    local -a sources
    mapfile -t sources < <(files '*.c' '*.h' ':!tests/abi/[0-9]*')
    check "clang-format" clang-format --dry-run -Werror "${sources[@]}"
    check "every source file has its SPDX line" has_licence
}

run_unit()
{
    build_test || return 1
    meson_tests "$root/build-test" --no-suite bench
}

run_api()
{
    build_test || return 1
    black_box "$root/build-test" tests/api tests/faults tests/farm_sim
}

# On persist-postgres: the black box tests that lean on the store most, what happens when the server or the manager dies, and
# the simulated farm. FLAMENCO_TEST_STORE=postgres lets all of tests/api run on it.
run_postgres()
{
    build_test || return 1
    local -a leaning=(blocklist failures fair job_deletion job_status lists repair scheduling task_update timeouts worker_life worker_tags)
    leaning=("${leaning[@]/#/tests/api/test_}")
    FLAMENCO_TEST_STORE=postgres pytest_run "$root/build-test" "${leaning[@]/%/.py}" -n "$(($(nproc) + 1))" --dist loadfile
    pytest_run "$root/build-test" tests/postgres # one by one: each writes a server's files to the disk, and a machine that stalls is no defect
}

run_web()
{
    build_test || return 1
    black_box "$root/build-test" tests/web
}

run_farm()
{
    build_test || return 1
    farm_runs "$root/build-test" "normal build" "--frame-time 50ms --time-scale 0.05" "--tasks 5000" \
        "--duration 30s --disturb-rate 4 --cut-rate 0.02"
    check "the benchmarks run, with tiny sizes" tests/bench/run --quick --build "$root/build-test"
}

# Packages from PyPI, which Debian does not have, into a folder of their own; made anew when the list has changed.
python_packages()
{
    local folder=$1 list=$2
    cmp -s "$list" "$folder/requirements.txt" && return 0
    rm -rf "$folder"
    python3 -m venv "$folder" && "$folder/bin/pip" install --quiet --disable-pip-version-check -r "$list" &&
        cp "$list" "$folder/requirements.txt"
}

run_schema()
{
    build_test || return 1
    with_lock python_packages "$root/build-schemathesis" tests/schema/requirements.txt || return 1
    check "every reply is as the OpenAPI document says" tests/schema/run --build "$root/build-test" \
        --schemathesis "$root/build-schemathesis/bin/schemathesis"
}

# npm's packages of a list, into a folder; again only when the list has changed.
node_packages()
{
    local folder=$1 list=$2
    cmp -s "$list/package-lock.json" "$folder/package-lock.json" && [[ -d $folder/node_modules ]] && return 0
    rm -rf "$folder"
    mkdir -p "$folder" && cp "$list/package.json" "$folder/" && cp "$list/package-lock.json" "$folder/" &&
        npm --prefix "$folder" ci --ignore-scripts --no-audit --no-fund --loglevel=error
}

# Socket.IO's own clients, of both generations: those for Python cannot live in one environment.
run_clients()
{
    build_test || return 1
    with_lock node_packages "$root/build-clients-npm" tests/clients || return 1
    local revision
    for revision in eio3 eio4; do
        with_lock python_packages "$root/build-clients-$revision" "tests/clients/requirements-$revision.txt" || return 1
    done
    check "Socket.IO clients are served" tests/clients/run --build "$root/build-test" \
        --eio3 "$root/build-clients-eio3/bin/python" --eio4 "$root/build-clients-eio4/bin/python" \
        --node-modules "$root/build-clients-npm/node_modules"
}

# The targets have a build of their own, with clang.
run_fuzz()
{
    count_lines fuzz FAILED with_lock tests/fuzz/run 60
}

run_plugin()
{
    build_test || return 1
    local example code=0
    for example in plugin shaman-flat log-archive; do
        count_lines "$example" "not ok" "examples/$example/test.sh" "$root/build-test" || code=1
    done
    return "$code"
}

run_script()
{
    count_lines run.sh "not ok" tests/setup/run
}

# Time-outs are for the normal build; a sanitizer slows down by up to ten times.
run_asan()
{
    build_asan || return 1
    local -x ASAN_OPTIONS=detect_stack_use_after_return=1
    local -x UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
    local -x LSAN_OPTIONS="suppressions=$root/tests/sanitizers/lsan.supp:print_suppressions=0"
    meson_tests "$root/build-asan" --no-suite bench --no-suite abi -t 5
    black_box "$root/build-asan" tests/api tests/faults tests/farm_sim
    farm_runs "$root/build-asan" "address sanitizer" "--frame-time 50ms --time-scale 0.05" "--tasks 1000" \
        "--duration 20s --disturb-rate 4 --cut-rate 0.02"
}

run_tsan()
{
    build_tsan || return 1
    local -x TSAN_OPTIONS="suppressions=$root/tests/sanitizers/tsan.supp:halt_on_error=1:second_deadlock_stack=1"
    meson_tests "$root/build-tsan" --no-suite bench --no-suite abi -t 10
    farm_runs "$root/build-tsan" "thread sanitizer" "--frame-time 50ms --time-scale 0.05" "--tasks 500" \
        "--duration 20s --disturb-rate 4 --cut-rate 0.02"
}

run_tidy()
{
    build_test || return 1
    local counts
    python3 tools/setup/tidy.py "$root/build-test" "$scratch/tidy" || return 1
    read -r counts <"$scratch/tidy"
    # shellcheck disable=SC2086 # two numbers
    count $counts
}

run_coverage()
{
    build_coverage || return 1
    find "$root/build-coverage" -name '*.gcda' -delete
    meson_tests "$root/build-coverage" --no-suite bench --no-suite abi -t 2
    black_box "$root/build-coverage" tests/api tests/faults tests/farm_sim
    farm_runs "$root/build-coverage" "coverage build" "--frame-time 50ms --time-scale 0.05" "--tasks 1000" \
        "--duration 20s --disturb-rate 4 --cut-rate 0.02"
    gcovr --root "$root" --filter core/ --filter plugins/ --gcov-ignore-parse-errors --print-summary \
        "$root/build-coverage"
}

# ---- All of it ----

if ((install)); then
    install_packages run test || exit 1
    fetch_swagger_ui # without it, the part `web` fails
fi
for name in "${parts[@]}"; do
    part "$name"
done
printf "\n==== summary\n"
printf '%s\n' "${summary[@]}"
[[ ! -s $failures ]] || cat "$failures"
say "$passed passed, $failed failed"
((failed == 0))

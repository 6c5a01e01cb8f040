# SPDX-License-Identifier: Apache-2.0
"""The two configuration files: what is refused, and how it is told (architecture 7; configuration-and-clients 1.6)."""
import os
import re
import shutil
import subprocess
import textwrap

import pytest
from harness.check import assert_error
from harness.http import Api
from harness.manager import REPO, program

PLUGINS = """\
plugins:
  persist: {file: persist-sqlite}
  task_scheduler: {file: scheduler-priority}
  job_compiler: {file: compiler-js}
  clock: {file: clock-system}
  state_machine: {file: state-machine}
  log_storage: {file: log-storage}
  local_storage: {file: local-storage}
  job_deleter: {file: job-deleter}
"""


def plugin_file(name):
    found = list(program().parent.parent.glob(f"plugins/{name}/{name}.so"))
    assert found, f"no {name}.so in the build"
    return found[0]


def check(manager, text=None, reference=None):
    """Runs --check-config; gives exit code and the problem lines."""
    if text is not None:
        (manager.dir / "manager.yaml").write_text(text)
    if reference is not None:
        (manager.dir / "flamenco-manager.yaml").write_text(reference)
    done = manager.run("--check-config")
    problems = [line for line in done.stdout.splitlines() if re.search(r" (ERR|WRN) ", line)]
    return done.returncode, problems


def assert_refused(manager, text, mark, *words):
    """The problem is told with the line of `mark`, and the start stops just so."""
    line = text[:text.index(mark)].count("\n") + 1 if mark else None
    code, problems = check(manager, text)
    assert code == 1, problems
    place = f"manager.yaml:{line}:" if line else "manager.yaml"
    hits = [p for p in problems if place in p and all(w in p for w in words)]
    assert hits, f"{place} {words} is not among:\n" + "\n".join(problems)
    manager.spawn()
    assert manager.wait_exit() == 1
    assert any(place in p and all(w in p for w in words) for p in manager.log().splitlines())
    return problems


# ---- manager.yaml ---------------------------------------------------------------------------------------------------------

def test_good_configuration(make_manager):
    manager = make_manager()
    assert check(manager) == (0, [])
    assert check(manager, PLUGINS) == (0, [])
    assert check(manager, "") == (0, [])
    assert check(manager, "# nothing\n") == (0, [])
    assert not manager.database.exists() and not manager.storage.exists(), "a check changes nothing"


def test_shipped_file_is_good(make_manager):
    manager = make_manager()
    assert check(manager, (REPO / "etc" / "manager.yaml").read_text()) == (0, [])


@pytest.mark.parametrize("text, mark, words", [
    # unknown and duplicate keys
    ("colour: red\n" + PLUGINS, "colour", ["colour"]),
    ("http:\n  gzip: true\n  colour: 1\n" + PLUGINS, "colour", ["http.colour"]),
    ("limits: {colour: 1}\n" + PLUGINS, "limits", ["limits.colour"]),
    (PLUGINS + "  coffee: {file: x}\n", "coffee", ["coffee", "persist"]),
    (PLUGINS.replace("{file: clock-system}", "{file: clock-system, colour: 1}"), "clock-system", ["colour"]),
    (PLUGINS.replace("{file: compiler-js}", "{file: compiler-js, settings: {colour: 1}}"), "compiler-js", ["job_compiler", "colour"]),
    (PLUGINS + "  persist: {enabled: true}\n", "  persist: {enabled", ["persist"]),
    ("http: {}\n" + PLUGINS + "http: {gzip: true}\n", "http: {gzip", ["http"]),
    # wrong types and ranges
    ("http: 5\n" + PLUGINS, "http", ["http"]),
    ("http: {gzip: 5}\n" + PLUGINS, "http", ["http.gzip"]),
    ("http: {gzip: \"true\"}\n" + PLUGINS, "http", ["http.gzip"]),
    ("http: {threads: many}\n" + PLUGINS, "http", ["http.threads"]),
    ("http: {threads: -1}\n" + PLUGINS, "http", ["http.threads"]),
    ("http: {threads: 1000}\n" + PLUGINS, "http", ["http.threads", "256"]),
    ("http: {head_timeout: 10}\n" + PLUGINS, "http", ["http.head_timeout"]),
    ("http: {head_timeout: 1d}\n" + PLUGINS, "http", ["http.head_timeout"]),
    ("http: {body_json: 16 potatoes}\n" + PLUGINS, "http", ["http.body_json"]),
    ("http: {tls_certificate: /x}\n" + PLUGINS, "http", ["tls_key"]),
    ("limits: [1]\n" + PLUGINS, "limits", ["limits"]),
    ("plugins: []\n", "plugins", ["plugins"]),
    ("plugin_path: {}\n" + PLUGINS, "plugin_path", ["plugin_path"]),
    (PLUGINS.replace("{file: clock-system}", "clock-system"), "clock-system", ["clock"]),
    (PLUGINS.replace("{file: clock-system}", "{file: [clock-system]}"), "clock-system", ["clock"]),
    (PLUGINS.replace("{file: clock-system}", "{file: clock-system, enabled: perhaps}"), "clock-system", ["enabled"]),
    (PLUGINS.replace("{file: clock-system}", "{file: clock-system, settings: 5}"), "clock-system", ["settings"]),
    (PLUGINS.replace("{file: compiler-js}", "{file: compiler-js, settings: {time_limit: soon}}"), "compiler-js", ["time_limit"]),
    (PLUGINS.replace("{file: compiler-js}", "{file: compiler-js, settings: {jit: turbo}}"), "compiler-js", ["jit", "baseline"]),
    (PLUGINS.replace("{file: compiler-js}", "{file: compiler-js, settings: {helpers: 99999}}"), "compiler-js", ["helpers"]),
    ("reported_version: [1]\n" + PLUGINS, "reported_version", ["reported_version"]),
    ("task_timeout: 10\n" + PLUGINS, "task_timeout", ["task_timeout"]),
    ("listen: [1]\n" + PLUGINS, "listen", ["listen"]),
    ("- a list\n", "- a list", []),
    # plugins
    (PLUGINS.replace("clock-system", "no-such-plugin"), "no-such-plugin", ["no-such-plugin"]),
    (PLUGINS.replace("clock-system", "/nowhere/clock.so"), "/nowhere/clock.so", ["/nowhere/clock.so"]),
    (PLUGINS.replace("clock-system", "../clock-system"), "../clock-system", ["../clock-system"]),
    (PLUGINS.replace("clock: {file: clock-system}", "clock: {file: log-storage}"), "clock: ", ["flamenco.clock/1"]),
    (PLUGINS.replace("  persist: {file: persist-sqlite}\n", ""), "  task_scheduler", ["persist"]),
    (PLUGINS.replace("{file: persist-sqlite}", "{file: persist-sqlite, enabled: false}"), "persist-sqlite", ["persist", "disabled"]),
    (PLUGINS.replace("clock: {file: clock-system}", "clock: [{file: clock-system}, {file: clock-manual}]"), "clock: ", ["clock"]),
    (PLUGINS + "  http_routes: [{use: nobody}]\n", "http_routes", ["nobody"]),
    (PLUGINS + "  http_routes: [{file: event-recorder}, {file: event-recorder}]\n", "http_routes", ["event-recorder"]),
    (PLUGINS + "  http_routes: [{name: persist, file: event-recorder}]\n", "http_routes", ["persist"]),
    (PLUGINS + "  broadcaster: {use: clock}\n", "broadcaster", ["flamenco.broadcaster/1"]),
    (PLUGINS + "  event_forwarder: {}\n", "event_forwarder", ["file"]),
    (PLUGINS + "  broadcaster: {file: event-recorder, use: clock}\n", "broadcaster", ["use"]),
])
def test_refused(make_manager, text, mark, words):
    assert_refused(make_manager(), text, mark, *words)


@pytest.mark.parametrize("text", ["plugins: {\n", "\tindented: by a tab\n", "a: b: c\n", "key: \"unfinished\n", "\xff\xfe\n", "&a [*a]\n"])
def test_what_is_no_yaml_is_told_with_its_line(make_manager, text):
    manager = make_manager()
    (manager.dir / "manager.yaml").write_bytes(text.encode("latin-1"))
    done = manager.run("--check-config")
    assert done.returncode == 1
    assert re.search(r"manager\.yaml(:\d+)?: ", done.stdout), done.stdout


def test_all_problems_are_told_at_once(make_manager):
    manager = make_manager()
    text = textwrap.dedent("""\
        colour: red
        http: {gzip: 5, threads: x}
        limits:
          readers: many
        """) + PLUGINS.replace("clock-system", "no-such-plugin")
    code, problems = check(manager, text, "_meta: {version: 3}\ntask_timeout: 10\n")
    assert code == 1
    told = "\n".join(problems)
    for words in ("manager.yaml:1:.*colour", "manager.yaml:2:.*gzip", "manager.yaml:2:.*threads", "manager.yaml:4:.*readers",
                  r"flamenco-manager.yaml:2:.*task_timeout"):
        assert re.search(words, told), f"{words} is not in:\n{told}"
    assert re.search(r"manager.yaml:9:.*no-such-plugin", told), told


def test_missing_file_and_directory(make_manager):
    manager = make_manager()
    (manager.dir / "manager.yaml").unlink()
    done = manager.run("--check-config")
    assert done.returncode == 1 and "manager.yaml" in done.stdout
    (manager.dir / "manager.yaml").mkdir()
    assert manager.run("--check-config").returncode == 1


# ---- Files of plugins -----------------------------------------------------------------------------------------------------

def test_world_writable_plugin_is_refused(make_manager, tmp_path):
    copy = tmp_path / "clock.so"
    shutil.copy(plugin_file("clock-system"), copy)
    text = PLUGINS.replace("clock-system", str(copy))
    manager = make_manager()
    copy.chmod(0o755)
    assert check(manager, text) == (0, [])
    for mode in (0o666, 0o777, 0o757):
        copy.chmod(mode)
        assert_refused(manager, text, str(copy), "clock.so", "writ")


def test_files_that_are_no_plugins(make_manager, tmp_path):
    manager = make_manager()
    fake = tmp_path / "fake.so"
    fake.write_text("this is no shared object")
    fake.chmod(0o644)
    assert_refused(manager, PLUGINS.replace("clock-system", str(fake)), str(fake), "fake.so")
    libc = next((p for p in ("/lib/x86_64-linux-gnu/libm.so.6", "/lib/aarch64-linux-gnu/libm.so.6") if os.path.exists(p)), None)
    if libc:
        assert_refused(manager, PLUGINS.replace("clock-system", libc), libc, "flamenco_plugin_query")


BAD_PLUGIN = """
#include <stdlib.h>
#include "flamenco/broadcaster.h"
#include "flamenco/clock.h"
static int64_t now(void *self) { (void)self; return 1; }
static int32_t create(const flamenco_host *h, void **out, flamenco_error *e) { (void)e; *out = (void *)h; return 0; }
static int32_t configure(void *s, const flamenco_config *c, flamenco_error *e)
{ (void)s; (void)c; return CONFIGURE; }
static int32_t start(void *s, flamenco_error *e)
{ (void)s; return START; }
static int32_t stop(void *s, int64_t d, flamenco_error *e) { (void)s; (void)d; (void)e; return 0; }
static void destroy(void *s) { (void)s; }
static void publish(void *s, const flamenco_event *v) { (void)s; (void)v; }
static int32_t flush(void *s, int64_t d, flamenco_error *e) { (void)s; (void)d; (void)e; return 0; }
static const flamenco_clock clock_table = { .struct_size = sizeof(flamenco_clock), .now_us = now, METHODS };
static const flamenco_broadcaster broadcaster_table = { sizeof(flamenco_broadcaster), 0, publish, flush };
static const flamenco_provide p = PROVIDES_CLOCK ?
    (flamenco_provide){ sizeof(flamenco_provide), 0, FLAMENCO_CLOCK, &clock_table } :
    (flamenco_provide){ sizeof(flamenco_provide), 0, FLAMENCO_BROADCASTER, &broadcaster_table };
static const flamenco_provide *const provides[] = { &p, NULL };
static const flamenco_need n = { .struct_size = sizeof(flamenco_need), .id = NEED };
static const flamenco_need *const needs[] = { HAS_NEED ? &n : NULL, NULL };
static const flamenco_plugin plugin = { .struct_size = sizeof(flamenco_plugin), .abi_major = MAJOR, .abi_minor = MINOR,
    .id = "bad", .version = "1", .licence = "Apache-2.0", .provides = provides, .needs = needs, .create = create,
    .configure = configure, .start = start, .stop = stop, .destroy = destroy };
const flamenco_plugin *flamenco_plugin_query(void) { return &plugin; }
"""
GOOD_METHODS = ".monotonic_us = now, .wait_until = (void (*)(void *, int64_t))abort, .interrupt = (void (*)(void *))abort"
BAD_PLUGINS = [
    # what is wrong, definitions, words
    ("another ABI major", {"MAJOR": "2"}, ["bad", "ABI"]),
    ("no ABI", {"MAJOR": "0"}, ["bad", "ABI"]),
    ("a required method is missing", {"METHODS": ".monotonic_us = now"}, ["bad", "wait_until"]),
    ("a needed service is missing", {"HAS_NEED": "1", "NEED": '"com.example.nothing/1"'}, ["bad", "com.example.nothing/1"]),
    ("configure refuses", {"CONFIGURE": 'flamenco_fail(e, FLAMENCO_E_INVALID, "it is Monday")'}, ["it is Monday"]),
]


@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
@pytest.mark.parametrize("what, change, words", BAD_PLUGINS, ids=[b[0] for b in BAD_PLUGINS])
def test_bad_plugins_are_refused(make_manager, tmp_path, what, change, words):
    path = build_plugin(tmp_path, change)
    assert_refused(make_manager(), PLUGINS.replace("clock-system", str(path)), str(path), *words)


@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
def test_plugins_that_need_each_other_are_refused(make_manager, tmp_path):
    clock = build_plugin(tmp_path, {"HAS_NEED": "1", "NEED": "FLAMENCO_BROADCASTER"}, "clock")
    other = build_plugin(tmp_path, {"HAS_NEED": "1", "NEED": "FLAMENCO_CLOCK", "PROVIDES_CLOCK": "0"}, "broadcaster")
    text = PLUGINS.replace("clock-system", str(clock)) + f"  broadcaster: {{file: {other}}}\n"
    code, problems = check(make_manager(), text)
    assert code == 1
    told = "\n".join(problems)
    assert re.search(r"manager\.yaml:\d+: plugins\.(clock|broadcaster): .*circle", told), told


def build_plugin(tmp_path, change, name="bad"):
    values = {"PROVIDES_CLOCK": "1", "MAJOR": "1", "MINOR": "0", "METHODS": GOOD_METHODS, "HAS_NEED": "0", "NEED": '"x/1"', "CONFIGURE": "(void)e, 0",
              "START": "(void)e, 0", **change}
    source, path = tmp_path / f"{name}.c", tmp_path / f"{name}.so"
    head = "".join(f"#define {k} {v}\n" for k, v in values.items())
    source.write_text(head + BAD_PLUGIN)
    subprocess.run(["cc", "-D_GNU_SOURCE", "-shared", "-fPIC", "-w", f"-I{REPO / 'include'}", "-o", path, source], check=True)
    path.chmod(0o755)
    return path


@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
def test_plugin_that_does_not_start_stops_the_start(make_manager, tmp_path):
    path = build_plugin(tmp_path, {"START": 'flamenco_fail(e, FLAMENCO_E_IO, "the moon is full")'})
    manager = make_manager()
    (manager.dir / "manager.yaml").write_text(PLUGINS.replace("clock-system", str(path)))
    assert manager.run("--check-config").returncode == 0
    manager.spawn()
    assert manager.wait_exit() == 1
    assert "the moon is full" in manager.log() and "clock" in manager.log()


# ---- flamenco-manager.yaml -------------------------------------------------------------------------------------------------

META = "_meta: {version: 3}\n"


@pytest.mark.parametrize("text, mark, words", [
    ("", None, ["version"]),
    ("# only a comment\n", None, ["version"]),
    ("manager_name: x\n", None, ["version"]),
    ("_meta: {version: 2}\n", "_meta", ["version"]),
    ('_meta: {version: "3"}\n', "_meta", ["version"]),
    (META + "shaman: {enabled: \"yes\"}\n", "shaman", ["shaman.enabled"]),
    (META + "database_check_period: 10\n", "database_check_period", ["database_check_period"]),
    (META + "task_timeout: \"\"\n", "task_timeout", ["task_timeout"]),
    (META + "blocklist_threshold: \"5\"\n", "blocklist_threshold", ["blocklist_threshold"]),
    (META + "manager_name: [a]\n", "manager_name", ["manager_name"]),
    (META + "variables: {x: {values: [{platform: [linux], value: y}]}}\n", "variables", ["variables.x"]),
    (META + "a:\n\tb: c\n", None, []),
])
def test_reference_file_refused(make_manager, text, mark, words):
    manager = make_manager()
    code, problems = check(manager, reference=text)
    assert code == 1
    line = f":{text[:text.index(mark)].count(chr(10)) + 1}:" if mark else ""
    assert any(f"flamenco-manager.yaml{line}" in p and all(w in p for w in words) for p in problems), problems


@pytest.mark.parametrize("text", [
    META,
    META + "unknown_key: 1\nplugins: {persist: {file: x}}\nhttp: {gzip: 5}\n",
    META + "task_timeout: 1h\ntask_timeout: 2h\n",
    META + "task_timeout:\nshaman:\nvariables:\n",
    META + "shaman: {enabled: yes, garbageCollect: {period: 1h, extraCheckoutPaths: [/x]}}\n",
    META + "blocklist_threshold: 5.5\nmanager_name: 123\n",
    META + "variables: {x: {direction: twoway, values: [{platform: linux, value: true}, {platform: all, value: 12}]}, y: null}\n",
    "\ufeff" + META.replace("\n", "\r\n") + "manager_name: yes\r\n",
    META + "---\nsecond: document\n",
    "defaults: &d {period: 1h}\n" + META + "shaman: {garbageCollect: {<<: *d}}\n",
])
def test_reference_file_accepted(make_manager, text):
    """As the reference takes it; what it does not know is a warning."""
    manager = make_manager()
    code, problems = check(manager, reference=text)
    assert code == 0, problems
    assert all(" WRN " in p for p in problems)
    if "unknown_key" in text:
        assert any("unknown_key" in p for p in problems)


def test_installation_of_the_reference_starts_as_it_is(make_manager):
    """No manager.yaml at all, and a file that the Go program wrote."""
    manager = make_manager(config=None, recorder=False)
    (manager.dir / "manager.yaml").unlink()
    (manager.dir / "flamenco-manager.yaml").write_text(textwrap.dedent(f"""\
        # Configuration file for Flamenco.
        # For an explanation of the fields, refer to flamenco-manager-example.yaml
        #
        # NOTE: this file will be overwritten by Flamenco Manager's web-based configuration system.
        #
        # This file was written on 2025-01-02 03:04:05 +01:00 by Flamenco 3.6

        _meta:
          version: 3
        manager_name: Old Farm
        database: flamenco-manager.sqlite
        database_check_period: 10m0s
        listen: 127.0.0.1:{manager.port}
        autodiscoverable: false
        local_manager_storage_path: {manager.storage}
        shared_storage_path: {manager.shared}
        shaman:
          enabled: true
          garbageCollect:
            period: 24h0m0s
            maxAge: 744h0m0s
        task_timeout: 10m0s
        worker_timeout: 1m0s
        blocklist_threshold: 3
        task_fail_after_softfail_count: 3
        variables:
          blender:
            values:
            - platform: linux
              value: /opt/blender
          store:
            is_twoway: true
            values:
            - platforms: [linux, darwin]
              value: /mnt/store
        """))
    before = (manager.dir / "flamenco-manager.yaml").read_bytes()
    manager.start()
    api = Api(manager.url)
    assert api.ok("GET", "/version")["name"] == "Old Farm"
    assert api.ok("GET", "/configuration/variables/workers/linux")["blender"]["value"] == "/opt/blender"
    assert api.ok("GET", "/jobs") == {"jobs": []}
    assert {t["name"] for t in api.ok("GET", "/jobs/types")["job_types"]} >= {"echo-sleep-test", "simple-blender-render"}
    assert (manager.dir / "flamenco-manager-c.sqlite").exists() and not (manager.dir / "flamenco-manager.sqlite").exists()
    assert (manager.dir / "flamenco-manager.yaml").read_bytes() == before


def test_later_file_wins_and_presets_fill_in(make_manager):
    manager = make_manager(yaml={"manager_name": "preset", "task_timeout": "7m", "blocklist_threshold": 9},
                           reference={"manager_name": "own"})
    manager.start()
    api = Api(manager.url)
    assert api.ok("GET", "/version")["name"] == "own"
    manager.stop()
    manager.reference.pop("manager_name")
    manager.write_config()
    manager.start()
    assert Api(manager.url).ok("GET", "/version")["name"] == "preset"


def test_first_run_without_reference_file(make_manager):
    manager = make_manager()
    presets = {k: v for k, v in manager.reference.items() if k not in ("_meta", "shared_storage_path")}
    manager.manager_yaml.update(presets)
    manager.write_config()
    (manager.dir / "flamenco-manager.yaml").unlink()
    manager.start()
    body = Api(manager.url).ok("GET", "/configuration")
    assert body["isFirstRun"] is True and body["shamanEnabled"] is False
    assert not (manager.dir / "flamenco-manager.yaml").exists()


# ---- Reading it again -------------------------------------------------------------------------------------------------------

def test_unreadable_file_at_reload_keeps_the_last_good_one(make_farm):
    farm = make_farm(reference={"manager_name": "good"})
    path = farm.manager.dir / "flamenco-manager.yaml"
    good = path.read_text()
    configuration = farm.api.ok("GET", "/configuration")
    for bad in ("_meta: {version: 2}\n", "a: [\n", good + "\ntask_timeout: 10\n"):
        path.write_text(bad)
        assert farm.api.ok("GET", "/configuration") == configuration
        assert farm.api.ok("GET", "/version")["name"] == "good"
        check_ = farm.api.ok("GET", "//health/ready")["checks"]["configuration"]
        assert check_["ok"] is False and "flamenco-manager.yaml" in check_["message"]
    farm.manager.wait_log(r"ERR .*flamenco-manager\.yaml")
    path.write_text(good.replace("good", "better"))
    assert farm.api.ok("GET", "/configuration") == configuration
    assert farm.api.ok("GET", "/version")["name"] == "better"
    assert farm.api.ok("GET", "//health/ready")["checks"]["configuration"]["ok"] is True


def test_file_that_is_gone_at_reload_means_defaults(make_farm):
    farm = make_farm()
    (farm.manager.dir / "flamenco-manager.yaml").unlink()
    body = farm.api.ok("GET", "/configuration")
    assert body["isFirstRun"] is True
    assert_error(farm.api.get("/jobs/nope"), 400)


@pytest.mark.parametrize("storage, location, first_run", [
    ("/srv/ren/", "/srv/ren", False), ("./rel/../x/", "x", False), ("~/x", "~/x", False), ("", "", True),
])
def test_storage_location(make_farm, storage, location, first_run):
    farm = make_farm(reference={"shared_storage_path": storage, "shaman": {"enabled": True}})
    want = location if location.startswith("/") else str(farm.manager.dir / location).rstrip("/")
    assert farm.api.ok("GET", "/configuration") == {"storageLocation": want, "shamanEnabled": False, "isFirstRun": first_run}

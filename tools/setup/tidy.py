# SPDX-License-Identifier: Apache-2.0
"""Runs clang-tidy over the sources of a build folder, as many at a time as there are cores.

usage: tidy.py BUILD-FOLDER RESULT-FILE

What clang-tidy says is printed; RESULT-FILE gets "passed failed", counted in files. A file that passed is looked at again
only when it, a header of ours that it includes, its compiler options or .clang-tidy have changed. Called by test.sh.
"""
import concurrent.futures
import hashlib
import json
import os
import pathlib
import shlex
import subprocess
import sys

# Options of gcc that clang does not know must not be errors here.
EXTRA = ["--extra-arg=-Wno-unknown-warning-option", "--extra-arg=-Wno-error", "--quiet"]


def our_headers(build, root):
    """What each object depends on, below the checkout, as ninja noted it while compiling."""
    text = subprocess.run(["ninja", "-C", build, "-t", "deps"], capture_output=True, text=True, check=True).stdout
    deps, current = {}, None
    for line in text.splitlines():
        if line.startswith("    "):
            path = os.path.normpath(os.path.join(build, line.strip()))
            if current is not None and path.startswith(str(root) + os.sep):
                current.append(path)
        elif ": #deps" in line:
            current = deps.setdefault(line.split(": #deps")[0], [])
    return deps


def digest(paths, text):
    total = hashlib.sha256(text.encode())
    for path in sorted(set(paths)):
        total.update(path.encode())
        try:
            total.update(pathlib.Path(path).read_bytes())
        except OSError:
            total.update(b"missing")
    return total.hexdigest()


def options_of(entry):
    words = shlex.split(entry["command"]) if "command" in entry else list(entry["arguments"])
    return [w for w in words if os.path.basename(w) != "ccache"]


def main():
    build = os.path.realpath(sys.argv[1])
    root = pathlib.Path(__file__).resolve().parents[2]
    work = pathlib.Path(build) / "tidy"
    work.mkdir(exist_ok=True)
    deps = our_headers(build, root)
    jobs, database = {}, []
    for entry in json.loads(pathlib.Path(build, "compile_commands.json").read_text()):
        source = os.path.normpath(os.path.join(entry["directory"], entry["file"]))
        ours = source.startswith(str(root) + os.sep) and not source.startswith(build + os.sep)
        if not ours or not source.endswith(".c") or source in jobs:
            continue
        words = options_of(entry)
        database.append({"directory": entry["directory"], "file": source, "arguments": words})
        inputs = deps.get(entry.get("output"), []) + [source, str(root / ".clang-tidy")]
        jobs[source] = work / digest(inputs, " ".join(words))
    (work / "compile_commands.json").write_text(json.dumps(database))
    stale = set(work.iterdir()) - set(jobs.values()) - {work / "compile_commands.json"}
    for path in stale:
        path.unlink()

    def check(source):
        if jobs[source].exists():
            return source, 0, ""
        run = subprocess.run(["clang-tidy", "-p", str(work), *EXTRA, source], capture_output=True, text=True, check=False)
        if run.returncode == 0:
            jobs[source].touch()
        return source, run.returncode, run.stdout + run.stderr

    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for source, code, output in pool.map(check, sorted(jobs)):
            if code != 0:
                failed += 1
                print(f"FAILED clang-tidy {os.path.relpath(source, root)}\n{output}", flush=True)
    print(f"clang-tidy: {len(jobs)} files", flush=True)
    pathlib.Path(sys.argv[2]).write_text(f"{len(jobs) - failed} {failed}\n")


main()

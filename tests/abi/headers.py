# SPDX-License-Identifier: Apache-2.0
"""Each public header must compile alone, as C11 and as C++17, without a warning (design rule 24).

usage: headers.py FOLDER-OF-HEADERS... -- COMPILER...

A folder holds flamenco/*.h and flamenco/calls/*.h; the folders are each other's include path. A compiler whose name ends in
"++" compiles as C++. Prints TAP. Run by meson.
"""
import pathlib
import subprocess
import sys
import tempfile

WARNINGS = ["-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
# A static inline function that the file does not call is no defect; clang says so for sources, not for headers.
LANGUAGES = {"c": ["-x", "c", "-std=c11", "-Wno-unused-function"], "c++": ["-x", "c++", "-std=c++17", "-Wno-unused-function"]}


def compile_alone(compiler, folders, header, work):
    language = "c++" if compiler.endswith("++") else "c"
    source = work / "alone.c"
    # Twice: the guard must hold, too.
    source.write_text(f'#include "{header}"\n#include "{header}"\nint used_by_nobody;\n')
    command = [compiler, *LANGUAGES[language], *WARNINGS, *[f"-I{f}" for f in folders], str(source)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def main():
    split = sys.argv.index("--")
    folders, compilers = sys.argv[1:split], sys.argv[split + 1 :]
    headers = sorted({str(p.relative_to(f)) for f in folders for p in pathlib.Path(f, "flamenco").rglob("*.h")})
    number = failed = 0
    with tempfile.TemporaryDirectory() as work:
        for header in headers:
            for compiler in compilers:
                number += 1
                run = compile_alone(compiler, folders, header, pathlib.Path(work))
                good = run.returncode == 0
                failed += not good
                print("ok" if good else "not ok", number, f"{header} alone, {pathlib.Path(compiler).name}")
                for line in run.stderr.splitlines():
                    print("#", line)
    if not headers or not compilers:
        print("not ok 1 there is nothing to compile")
        number = failed = 1
    print(f"1..{number}")
    sys.exit(failed > 0)


main()

# SPDX-License-Identifier: Apache-2.0
"""Sizes and offsets of everything that crosses the plugin border, on x86-64, and the values of its constants: no member may
ever move, no constant change its meaning (design rules 3, 4).

usage: layout.py check TABLE COMPILER FOLDER...    compares the headers in the folders with the table; prints TAP
       layout.py write TABLE COMPILER FOLDER...    writes the table: for a new ABI version, or before its release

Read from the compiler's own tables, so that no struct and no member is forgotten. Run by meson, and by freeze.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

DIE = re.compile(r"^ <(\d+)><([0-9a-f]+)>: Abbrev Number: \d+ \((DW_TAG_\w+)\)")
# Before the value, readelf names its form, in ways that differ between its versions.
ATTRIBUTE = re.compile(r"^ +<[0-9a-f]+> +(DW_AT_\w+) *: (?:\((?!offset|anonymous)[^()]*\) ?)?(?:\(offset: \w+\): )?(?:: )?(.*)")


def read_dies(text):
    """The tree of debug entries, flat: by offset, each with tag, depth, attributes and the offsets of its children."""
    dies, stack, current = {}, [], None
    for line in text.splitlines():
        match = DIE.match(line)
        if match:
            depth, offset, tag = int(match[1]), int(match[2], 16), match[3]
            current = {"tag": tag, "children": []}
            dies[offset] = current
            del stack[depth:]
            if stack:
                stack[-1]["children"].append(offset)
            stack.append(current)
            continue
        match = ATTRIBUTE.match(line)
        if match and current is not None:
            current[match[1]] = match[2].strip()
    return dies


def number(text):
    return int(text.split()[0], 0)


def size_of(dies, reference):
    die = dies[int(re.match(r"<(?:0x)?([0-9a-f]+)>", reference)[1], 16)]
    if die["tag"] == "DW_TAG_array_type":
        count = 1
        for child in die["children"]:
            child = dies[child]
            count *= number(child["DW_AT_upper_bound"]) + 1 if "DW_AT_upper_bound" in child else 0
        return count * size_of(dies, die["DW_AT_type"])
    if "DW_AT_byte_size" in die:
        return number(die["DW_AT_byte_size"])
    if die["tag"] == "DW_TAG_pointer_type":
        return 8
    return size_of(dies, die["DW_AT_type"])


def constants(compiler, source, folders):
    """{"FLAMENCO_E_BUSY": ("=", "(-5)"), …}: macros without arguments that are a number or a text."""
    dump = subprocess.run([compiler, "-std=c11", "-dM", "-E", str(source), *[f"-I{f}" for f in folders]], check=True,
                          capture_output=True, text=True).stdout
    found = dict(re.findall(r'^#define (FLAMENCO_\w+) (\(?-?[0-9][^"{\n]*|".*")$', dump, re.MULTILINE))
    found.pop("FLAMENCO_ABI_MINOR", None)  # the one that is there to change
    return {name: ("=", found[name].replace(" ", "")) for name in sorted(found)}


def measure(compiler, folders):
    """{"flamenco_cx": (0, size), "flamenco_cx.now_us": (offset, size), …} in order of declaration, then the constants."""
    headers = sorted({str(p.relative_to(f)) for f in folders for p in pathlib.Path(f, "flamenco").glob("*.h")})
    with tempfile.TemporaryDirectory() as work:
        source, output = pathlib.Path(work, "all.c"), pathlib.Path(work, "all.o")
        source.write_text("".join(f'#include "{h}"\n' for h in headers))
        subprocess.run([compiler, "-std=c11", "-g", "-gdwarf-4", "-fno-eliminate-unused-debug-types", "-c", str(source), "-o",
                        str(output), *[f"-I{f}" for f in folders]], check=True)
        dump = subprocess.run(["readelf", "--debug-dump=info", str(output)], capture_output=True, text=True,
                              check=True).stdout
        macros = constants(compiler, source, folders)
    dies = read_dies(dump)
    found = {}
    for die in dies.values():
        name = die.get("DW_AT_name", "")
        if die["tag"] not in ("DW_TAG_structure_type", "DW_TAG_union_type") or not name.startswith("flamenco_"):
            continue
        if "DW_AT_byte_size" not in die or name in found:
            continue
        found[name] = ("0", str(number(die["DW_AT_byte_size"])))
        for child in die["children"]:
            member = dies[child]
            if member["tag"] == "DW_TAG_member":
                offset = number(member.get("DW_AT_data_member_location", "0"))
                line = f"{name}.{member.get('DW_AT_name', '(anonymous)')}"
                found[line] = (str(offset), str(size_of(dies, member["DW_AT_type"])))
    return found | macros


def read_table(path):
    rows = {}
    for line in pathlib.Path(path).read_text().splitlines():
        if line and not line.startswith("#"):
            name, first, second = line.split()
            rows[name] = (first, second)
    return rows


def write_table(path, found):
    lines = ["# Made by tests/abi/layout.py for x86-64. Struct or struct.member: offset, size, in bytes. CONSTANT = value."]
    lines += [" ".join((name, *row)) for name, row in found.items()]
    pathlib.Path(path).write_text("\n".join(lines) + "\n")


def judge(name, pinned, now, may_grow):
    """What is wrong with a pinned line; None when it holds. A struct that tells its size may grow at its end."""
    if now is None:
        return "is gone"
    if may_grow and "." not in name:
        return None if int(now[1]) >= int(pinned[1]) else f"has shrunk from {pinned[1]} to {now[1]} bytes"
    if now == pinned:
        return None
    if pinned[0] == "=":
        return f"was {pinned[1]}, is {now[1]}"
    return f"was {pinned[1]} bytes at {pinned[0]}, is {now[1]} bytes at {now[0]}"


def check(path, found):
    pinned = read_table(path)
    groups = {}
    for name in pinned:
        groups.setdefault("constants" if pinned[name][0] == "=" else name.split(".")[0], []).append(name)
    failed = 0
    for index, (group, lines) in enumerate(sorted(groups.items()), 1):
        may_grow = f"{group}.struct_size" in pinned
        wrong = [f"{n} {what}" for n in lines if (what := judge(n, pinned[n], found.get(n), may_grow))]
        failed += bool(wrong)
        print("not ok" if wrong else "ok", index, group)
        for what in wrong:
            print("#", what)
    print("ok" if groups else "not ok", len(groups) + 1, "the table is not empty")
    for name in found:
        if name not in pinned:
            print(f"# not pinned yet: {name}")
    print(f"1..{len(groups) + 1}")
    return failed == 0 and bool(groups)


def main():
    action, table, compiler, *folders = sys.argv[1:]
    found = measure(compiler, folders)
    if action == "write":
        write_table(table, found)
    elif not check(table, found):
        sys.exit(1)


main()

# SPDX-License-Identifier: Apache-2.0
"""Tests include/generate-calls.py with headers that it must take and headers that it must refuse."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

GENERATOR = sys.argv.pop(1)
HEAD = '#define FLAMENCO_TOY "flamenco.toy/1"\n'


def generate(text):
    """Returns the exit code, what was written and what was complained about."""
    with tempfile.TemporaryDirectory() as directory:
        source = pathlib.Path(directory, "toy.h")
        target = pathlib.Path(directory, "out.h")
        source.write_text(text, encoding="utf-8")
        done = subprocess.run([sys.executable, GENERATOR, str(source), str(target)], capture_output=True, text=True,
                              check=False)
        return done.returncode, target.read_text(encoding="utf-8") if target.exists() else "", done.stderr


def table(methods):
    return HEAD + "typedef struct flamenco_toy { uint32_t struct_size; " + methods + " } flamenco_toy;\n"


class Generator(unittest.TestCase):
    def test_methods_become_wrappers(self):
        code, text, _ = generate(table(
            "uint32_t reserved; /* void (*gone)(void *self); */"
            "int32_t (*play)(void *self, flamenco_cx *cx, uint64_t counts[3], flamenco_error *err);"
            "const char *(*name)(void *self); void (*stop)(void);"))
        self.assertEqual(code, 0)
        text = " ".join(text.split())
        self.assertIn("flamenco_toy_play(const flamenco_toy_ref *s, flamenco_cx *cx, uint64_t counts[3], "
                      "flamenco_error *err)", text)
        self.assertIn("return s->table->play(s->self, cx, counts, err);", text)
        self.assertIn("static inline const char *flamenco_toy_name(const flamenco_toy_ref *s)", text)
        self.assertIn("s->table->stop();", text)
        self.assertNotIn("gone", text)

    def test_what_it_cannot_read_is_refused(self):
        for text, complaint in (
                ("", "expected one service id, found 0"),
                (HEAD, "no method table"),
                (HEAD + "typedef struct flamenco_toy { void (*f)(void *self); } flamenco_toy;", "struct_size"),
                (table("uint32_t reserved;"), "no methods"),
                (table("void (*f)(void *self, int);"), "cannot read the parameter 'int'"),
                (table("void (*f)(void *self, const char *fmt, ...);"), "variable arguments"),
                ("typedef int flamenco_toy_f;\n" + table("void (*f)(void *self);"), "the name of something else"),
        ):
            with self.subTest(complaint=complaint):
                code, _, complaints = generate(text)
                self.assertEqual(code, 1)
                self.assertIn(complaint, complaints)


if __name__ == "__main__":
    unittest.main()

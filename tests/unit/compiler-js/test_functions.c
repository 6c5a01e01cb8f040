/* SPDX-License-Identifier: Apache-2.0
 *
 * test_functions.c - what scripts find around them: the tables of job-compiler 2 to 5, each line a vector.
 */
#include "rig.h"

#include <stdlib.h>

static rig r;

static int setup(void **state)
{
    (void)state;
    rig_init(&r);
    rig_start(&r);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_fini(&r);
    return 0;
}

#define EVALUATE(prelude, vectors) rig_evaluate(&r, prelude, vectors, sizeof(vectors) / sizeof(vectors[0]))

// clang-format off
static void frame_chunker_cuts_ranges_as_the_contract_says(void **state)
{
    (void)state;
    static const vector vectors[] = {
        { "frameChunker('2..9,30..34,50,4..6', 3)", "[\"2-4\",\"5-7\",\"8,9,30\",\"31-33\",\"34,50\"]" },
        { "frameChunker('2-9,30-34,50', 3)", "[\"2-4\",\"5-7\",\"8,9,30\",\"31-33\",\"34,50\"]" },
        { "frameChunker('  2 ..  9,\\t30..34\\n, 50 ', 3)", "[\"2-4\",\"5-7\",\"8,9,30\",\"31-33\",\"34,50\"]" },
        { "frameChunker('12', 7)", "[\"12\"]" },
        { "frameChunker('5-8', 4)", "[\"5-8\"]" },
        { "frameChunker('5-8', 3)", "[\"5-7\",\"8\"]" },
        { "frameChunker('1-100', 30)", "[\"1-30\",\"31-60\",\"61-90\",\"91-100\"]" },
        { "frameChunker('3-4', 2)", "[\"3,4\"]" },
        { "frameChunker('3-4,6-7', 9)", "[\"3,4,6,7\"]" },
        { "frameChunker('1-4,5,7,9-10', 20)", "[\"1-5,7,9,10\"]" },
        { "frameChunker('1-7, 3-12 ,40', 50)", "[\"1-12,40\"]" },
        { "frameChunker('1,3,5,7', 3)", "[\"1,3,5\",\"7\"]" },
        { "frameChunker('9,7,8,1', 2)", "[\"1,7\",\"8,9\"]" },
        { "frameChunker('6,6,6', 2)", "[\"6\"]" },
        { "frameChunker('0-4', 2)", "[\"0,1\",\"2,3\",\"4\"]" },
        { "frameChunker('008-010', 9)", "[\"8-10\"]" },
        { "frameChunker('+3-+6', 9)", "[\"3-6\"]" },
        { "frameChunker('20-15,3', 2)", "[\"3\"]" },
        { "frameChunker('0-11,33-54,76-90', 20)", "[\"0-11,33-40\",\"41-54,76-81\",\"82-90\"]" },
        { "frameChunker('\\u00a05-6', 1)", "[\"5\",\"6\"]" },
        { "frameChunker('12345678901', 1)", "[\"12345678901\"]" },
        { "frameChunker('1-6', '3')", "[\"1-3\",\"4-6\"]" },
        { "frameChunker('1-6', ' 4 ')", "[\"1-4\",\"5,6\"]" },
        { "frameChunker('1-6', 2.99)", "[\"1,2\",\"3,4\",\"5,6\"]" },
        { "frameChunker('1-6', '2.99')", "[\"1,2\",\"3,4\",\"5,6\"]" },
        { "frameChunker('1-6', true)", "[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\"]" },
        { "frameChunker('1-6', 0)", "!1 or more" },
        { "frameChunker('1-6', -2)", "!1 or more" },
        { "frameChunker('1-6', 0.9)", "!1 or more" },
        { "frameChunker('1-6')", "!1 or more" },
        { "frameChunker('1-6', null)", "!1 or more" },
        { "frameChunker('1-6', 'zz')", "!1 or more" },
        { "frameChunker(17, 5)", "[\"17\"]" },
        { "frameChunker(['2', '4-6'], 5)", "[\"2,4-6\"]" },
        { "frameChunker(undefined, 5)", "!empty" },
        { "frameChunker(null, 5)", "!empty" },
        { "frameChunker('', 5)", "!empty" },
        { "frameChunker('  ', 5)", "!empty" },
        { "frameChunker('', 0)", "!empty" }, /* the range is looked at first */
        { "frameChunker('3-1', 5)", "!no frames" },
        { "frameChunker('4,,5', 5)", "!invalid" }, { "frameChunker('4,', 5)", "!invalid" },
        { "frameChunker(',', 5)", "!invalid" }, { "frameChunker('4;5', 5)", "!'4;5'" },
        { "frameChunker('4 6', 5)", "!invalid" }, { "frameChunker('2.5', 5)", "!invalid" },
        { "frameChunker('x', 5)", "!'x'" }, { "frameChunker('1-x', 5)", "!invalid" },
        { "frameChunker('0x10', 5)", "!invalid" }, { "frameChunker('1_0', 5)", "!invalid" },
        { "frameChunker('1e3', 5)", "!invalid" }, { "frameChunker('-7', 5)", "!invalid" },
        { "frameChunker('7..', 5)", "!'7-'" }, { "frameChunker('..7', 5)", "!invalid" },
        { "frameChunker('-7--5', 5)", "!invalid" }, { "frameChunker('1..2-3', 5)", "!'1-2-3'" },
        { "frameChunker('1-2-3', 5)", "!invalid" }, { "frameChunker('1...4', 5)", "!invalid" },
        { "frameChunker('1.. -4', 5)", "!invalid" },
        { "frameChunker('99999999999999999999', 5)", "!too large" },
        { "frameChunker('1-9999999999', 5)", "!more than 10000000 frames" },
        { "frameChunker('0-9223372036854775807', 5)", "!more than 10000000 frames" },
        { "frameChunker('9223372036854775806,9223372036854775807', 1)",
          "[\"9223372036854775806\",\"9223372036854775807\"]" },
        { "Array.isArray(frameChunker('1-4', 2))", "true" },
        { "frameChunker('1-4', 2).map((c) => c + '!').concat(['x']).slice(1)", "[\"3,4!\",\"x\"]" },
        { "[...frameChunker('1-4', 2)].length", "2" },
        { "(() => { const c = frameChunker('1-4', 2); c.push('y'); return c[2]; })()", "\"y\"" },
        { "(() => { try { frameChunker('x', 1); } catch (e) { return e instanceof Error; } })()", "true" },
    };
    EVALUATE("", vectors);
}

static void frame_count_counts_distinct_frames(void **state)
{
    (void)state;
    static const vector vectors[] = {
        { "frameCount('2-9')", "8" }, { "frameCount('2..9,4..6,50')", "9" }, { "frameCount('0-11,33-40')", "20" },
        { "frameCount('50')", "1" }, { "frameCount(12)", "1" }, { "frameCount('9-2')", "0" },
        { "frameCount('9-2,4')", "1" }, { "frameCount('3,3,3')", "1" }, { "frameCount(' 7 - 9 ')", "3" },
        { "frameCount('')", "!invalid" }, { "frameCount('  ')", "!invalid" }, { "frameCount()", "!invalid" },
        { "frameCount(null)", "!invalid" }, { "frameCount('x')", "!invalid" }, { "frameCount('-4')", "!invalid" },
        { "frameCount('4-')", "!invalid" }, { "frameCount('1-2-3')", "!invalid" },
    };
    EVALUATE("", vectors);
}

static void shell_split_splits_as_the_contract_says(void **state)
{
    (void)state;
    static const vector vectors[] = {
        { "shellSplit('-b  -y')", "[\"-b\",\"-y\"]" },
        { "shellSplit(\"--python-expr 'import sys; sys.exit(3)'\")", "[\"--python-expr\",\"import sys; sys.exit(3)\"]" },
        { "shellSplit('--threads \"8 cores\"')", "[\"--threads\",\"8 cores\"]" },
        { "shellSplit(\"pre'mid dle'post\")", "[\"premid dlepost\"]" },
        { "shellSplit('a\\\\ b c')", "[\"a b\",\"c\"]" },
        { "shellSplit('a\\\\\\\\b')", "[\"a\\\\b\"]" },
        { "shellSplit('C:\\\\dir\\\\x.py')", "[\"C:dirx.py\"]" },
        { "shellSplit('\"C:\\\\dir\\\\x.py\"')", "[\"C:dirx.py\"]" },
        { "shellSplit(\"'C:\\\\dir\\\\x.py'\")", "[\"C:\\\\dir\\\\x.py\"]" },
        { "shellSplit('\"say \\\\\"hi\\\\\"\"')", "[\"say \\\"hi\\\"\"]" },
        { "shellSplit('\"\\\\n\"')", "[\"n\"]" },
        { "shellSplit('\"it\\'s\"')", "[\"it's\"]" },
        { "shellSplit(\"'say \\\"hi\\\"'\")", "[\"say \\\"hi\\\"\"]" },
        { "shellSplit('\"\"')", "[\"\"]" }, { "shellSplit(\"'' z\")", "[\"\",\"z\"]" },
        { "shellSplit(\"k=''\")", "[\"k=\"]" }, { "shellSplit('k=\"\" m')", "[\"k=\",\"m\"]" },
        { "shellSplit('a#b #c d')", "[\"a#b\"]" }, { "shellSplit('#all')", "[]" },
        { "shellSplit('a #x\\nb c')", "[\"a\",\"b\",\"c\"]" },
        { "shellSplit('a\\tb\\r\\nc')", "[\"a\",\"b\",\"c\"]" },
        { "shellSplit('a\\\\\\nb')", "[\"a\\nb\"]" },
        { "shellSplit('$HOME ~ *.txt a|b;c&d')", "[\"$HOME\",\"~\",\"*.txt\",\"a|b;c&d\"]" },
        { "shellSplit('\\u00a0x y')", "[\"\\u00a0x\",\"y\"]" },
        { "shellSplit('\\u00e9 \\'\\u00fc \\u00f1\\'')", "[\"\\u00e9\",\"\\u00fc \\u00f1\"]" },
        { "shellSplit('')", "[]" }, { "shellSplit('  ')", "[]" }, { "shellSplit()", "[]" },
        { "shellSplit(undefined)", "[]" }, { "shellSplit(null)", "[]" },
        { "shellSplit(8)", "[\"8\"]" }, { "shellSplit(true)", "[\"true\"]" },
        { "shellSplit(\"'open\")", "!quote" }, { "shellSplit('\"open')", "!quote" },
        { "shellSplit('a\"open')", "!quote" }, { "shellSplit('end\\\\')", "!backslash" },
        { "shellSplit('\"end\\\\')", "!quote" },
        { "Array.isArray(shellSplit('a'))", "true" },
    };
    EVALUATE("", vectors);
}

static void path_takes_paths_of_both_systems_apart(void **state)
{
    (void)state;
    static const vector vectors[] = {
        { "[path.basename(''), path.dirname(''), path.stem('')]", "[\".\",\".\",\"\"]" },
        { "[path.basename(), path.dirname(), path.stem()]", "[\".\",\".\",\"\"]" },
        { "[path.basename(null), path.dirname(null), path.stem(null)]", "[\".\",\".\",\"\"]" },
        { "all('one.blend')", "[\"one.blend\",\".\",\"one\"]" },
        { "all('/proj/shot 7/frame.0012.png')", "[\"frame.0012.png\",\"/proj/shot 7\",\"frame.0012\"]" },
        { "all('D:\\\\pr\\u00f6j\\\\shot\\\\tex.tar.xz')", "[\"tex.tar.xz\",\"D:/pr\\u00f6j/shot\",\"tex.tar\"]" },
        { "all('\\\\\\\\NAS01\\\\vol\\\\dir\\\\clip.mov')", "[\"clip.mov\",\"//NAS01/vol/dir\",\"clip\"]" },
        { "all('\\\\\\\\?\\\\UNC\\\\NAS01\\\\vol\\\\a.b')", "[\"a.b\",\"//?/UNC/NAS01/vol\",\"a\"]" },
        { "all('/')", "[\"/\",\"/\",\"/\"]" }, { "all('//')", "[\"/\",\"/\",\"/\"]" },
        { "all('\\\\')", "[\"/\",\"/\",\"/\"]" }, { "all('///')", "[\"/\",\"//\",\"/\"]" },
        { "all('/a/')", "[\"a\",\"/a\",\"a\"]" }, { "all('/a/b//')", "[\"b\",\"/a/b/\",\"b\"]" },
        { "all('a/b/')", "[\"b\",\"a/b\",\"b\"]" }, { "all('a//b')", "[\"b\",\"a/\",\"b\"]" },
        { "all('//a//b//c')", "[\"c\",\"//a//b/\",\"c\"]" }, { "all('D:\\\\')", "[\"D:\",\"D:\",\"D:\"]" },
        { "all('D:')", "[\"D:\",\".\",\"D:\"]" }, { "all('D:\\\\top.txt')", "[\"top.txt\",\"D:\",\"top\"]" },
        { "all('/top.txt')", "[\"top.txt\",\"/\",\"top\"]" },
        { "all('.')", "[\".\",\".\",\"\"]" }, { "all('..')", "[\"..\",\".\",\".\"]" },
        { "all('a/..')", "[\"..\",\"a\",\".\"]" }, { "all('/a/./b')", "[\"b\",\"/a/.\",\"b\"]" },
        { "all('/mix\\\\ed/leaf.txt')", "[\"leaf.txt\",\"/mix/ed\",\"leaf\"]" },
        { "all('.hidden')", "[\".hidden\",\".\",\"\"]" }, { "all('trail.')", "[\"trail.\",\".\",\"trail\"]" },
        { "all('a..b')", "[\"a..b\",\".\",\"a.\"]" }, { "all('dir.d/name')", "[\"name\",\"dir.d\",\"name\"]" },
        { "all('/out/######')", "[\"######\",\"/out\",\"######\"]" },
        { "all('{store}\\\\x\\\\y.png')", "[\"y.png\",\"{store}/x\",\"y\"]" },
        { "path.join()", "\"\"" }, { "path.join('')", "\"\"" }, { "path.join('', '')", "\"\"" },
        { "path.join('', '', 'x', '', 'y', '')", "\"x/y\"" }, { "path.join('/', 'leaf')", "\"/leaf\"" },
        { "path.join('D:', 'leaf')", "\"D:/leaf\"" }, { "path.join('D:/', 'x')", "\"D:/x\"" },
        { "path.join('D:\\\\\\u00e4', 'b\\\\c.txt')", "\"D:/\\u00e4/b/c.txt\"" },
        { "path.join('\\\\\\\\NAS01', 'vol', 'f')", "\"//NAS01/vol/f\"" },
        { "path.join('//NAS01', 'vol')", "\"/NAS01/vol\"" }, { "path.join('/a/b', '../c')", "\"/a/c\"" },
        { "path.join('/a', './b/.')", "\"/a/b\"" }, { "path.join('a', '..', '..')", "\"..\"" },
        { "path.join('a', '/b')", "\"a/b\"" }, { "path.join('/a/', '/b/')", "\"/a/b\"" },
        { "path.join('a//b', 'c')", "\"a/b/c\"" }, { "path.join('D:\\\\a\\\\..', 'b')", "\"D:/a/../b\"" },
        { "path.join('/a/../../b')", "\"/b\"" }, { "path.join('../a', '../b')", "\"../b\"" },
        { "path.join('.')", "\".\"" }, { "path.join('a', '..')", "\".\"" }, { "path.join('/a', 5)", "\"/a/5\"" },
        { "path.join('a', undefined, 'b')", "\"a/b\"" }, { "path.join('a', null, 'b')", "\"a/b\"" },
        { "path.join(['a', 'b'])", "\"a,b\"" }, { "path.join('{store}/x', 'y')", "\"{store}/x/y\"" },
        { "Object.keys(path).sort()", "[\"basename\",\"dirname\",\"join\",\"stem\"]" },
    };
    EVALUATE("const all = (p) => [path.basename(p), path.dirname(p), path.stem(p)];", vectors);
}

static void values_are_converted_at_the_border(void **state)
{
    (void)state;
    static const vector vectors[] = {
        /* text */
        { "[t.name = undefined, t.name][1]", "\"\"" }, { "[t.name = null, t.name][1]", "\"\"" },
        { "[t.name = 47, t.name][1]", "\"47\"" }, { "[t.name = 'a', t.name][1]", "\"a\"" },
        { "[t.name = false, t.name][1]", "\"false\"" }, { "[t.name = [1, 'x'], t.name][1]", "\"1,x\"" },
        { "[t.name = {}, t.name][1]", "\"[object Object]\"" },
        /* integer */
        { "[t.priority = undefined, t.priority][1]", "0" }, { "[t.priority = null, t.priority][1]", "0" },
        { "[t.priority = -2.7, t.priority][1]", "-2" }, { "[t.priority = NaN, t.priority][1]", "0" },
        { "[t.priority = -Infinity, t.priority][1]", "0" }, { "[t.priority = ' 4 ', t.priority][1]", "4" },
        { "[t.priority = '2.99', t.priority][1]", "2" }, { "[t.priority = 'zz', t.priority][1]", "0" },
        { "[t.priority = true, t.priority][1]", "1" }, { "[t.priority = [2], t.priority][1]", "2" },
        { "[t.priority = {}, t.priority][1]", "0" }, { "[t.priority = 1e300, t.priority][1]", "2147483647" },
        /* free values */
        { "3.0", "3" }, { "[2.5, 0.1, 1e-7, 1e21]", "[2.5, 0.1, 1e-7, 1e21]" },
        { "({ a: undefined, b: [undefined] })", "{\"a\": null, \"b\": [null]}" },
        { "new Date(Date.UTC(2026, 3, 13, 11, 8, 7, 654))", "\"2026-04-13T11:08:07.654Z\"" },
        { "new Date(Date.UTC(2026, 3, 13, 11, 8, 7))", "\"2026-04-13T11:08:07Z\"" },
        { "job.created", "\"2026-04-13T09:08:07.654321Z\"" },
        { "new Set([1, 'a'])", "[1, \"a\"]" }, { "new Map([['k', 1], [2, 'v']])", "[[\"k\", 1], [2, \"v\"]]" },
        { "Symbol('what')", "\"what\"" }, { "Symbol()", "\"\"" },
        { "[/x/g, new Error('e'), Promise.resolve(1), new WeakMap(), new String('ab'), new ArrayBuffer(2)]",
          "[{}, {}, {}, {}, {}, {}]" },
        { "[new Number(2), new Boolean(true)]", "[2, true]" },
        { "new Float64Array([1.5, 2])", "[1.5, 2]" }, { "new Uint8Array([1, 2, 3, 4])", "\"AQIDBA==\"" },
        { "new Uint8Array([255, 254])", "\"//4=\"" }, { "new Uint8Array([])", "\"\"" },
        { "(function () { return arguments; })(7, 8)", "{\"0\": 7, \"1\": 8}" },
        { "[1, , 3]", "[1, null, 3]" },
        { "'a\\ud800b'", "\"a\\ufffdb\"" }, { "'\\ude00'", "\"\\ufffd\"" }, { "'\\ud83d\\ude00'", "\"\\ud83d\\ude00\"" },
        { "({ '\\ud800': '<&>\\u2028' })", "{\"\\ufffd\": \"<&>\\u2028\"}" },
        { "({ get g() { return 5; } })", "{\"g\": 5}" },
        { "Object.create({ inherited: 1 }, { own: { value: 2, enumerable: true } })", "{\"own\": 2}" },
        { "new (class { constructor() { this.a = 1; } m() {} })()", "{\"a\": 1}" },
        { "JSON.parse('{\"__proto__\": 3}')", "{\"__proto__\": 3}" },
        { "(job.settings.nested = { a: [1] }, job.settings)", "{\"nested\": {\"a\": [1]}}" },
        { "'nul \\0 quote \" back \\\\'", "\"nul \\u0000 quote \\\" back \\\\\"" },
    };
    EVALUATE("const t = author.Task('a', 'b');", vectors);
}

static void language_of_the_contract_is_there(void **state)
{
    (void)state;
    static const vector vectors[] = {
        { "(() => { class A { #p = 1; static s = 2; get p() { return this.#p; } } return [new A().p, A.s]; })()", "[1, 2]" },
        { "[2 ** 5, [1, [2]].flat(), 'abc'.at(-1), [1, 2, 3].findLast((x) => x < 3)]", "[32, [1, 2], \"c\", 2]" },
        { "['aXa'.replaceAll('a', 'b'), [...'a1b2'.matchAll(/\\d/g)].length, 'x'.padStart(3, '-')]", "[\"bXb\", 2, \"--x\"]" },
        { "[Object.fromEntries([['a', 1]]), Object.hasOwn({ a: 1 }, 'a'), null ?? 4, undefined?.x === undefined]",
          "[{\"a\": 1}, true, 4, true]" },
        { "(({ a, ...rest }) => rest)({ a: 1, b: 2 })", "{\"b\": 2}" },
        { "(() => { const { b: [x = 5] = [] } = {}; return x; })()", "5" },
        { "'x{timestamp}y'.replace(/{[^}]+}/g, 'T')", "\"xTy\"" },
        { "'price: 5'.match(/(?<=: )\\d/)[0]", "\"5\"" },
        { "[...(function* () { yield 1; yield 2; })()]", "[1, 2]" },
        { "[eval('1+1'), new Function('a', 'return a * 2')(4)]", "[2, 8]" },
        { "[typeof WebAssembly, typeof setTimeout, typeof module, typeof exports, typeof fetch]",
          "[\"undefined\", \"undefined\", \"undefined\", \"undefined\", \"undefined\"]" },
        { "(function () { return this === undefined; })()", "true" },
        { "(() => { try { undeclared = 1; } catch (e) { return e.name; } })()", "\"ReferenceError\"" },
        { "[typeof Map, typeof Proxy, typeof Reflect, typeof WeakSet, typeof Symbol.iterator]",
          "[\"function\", \"function\", \"object\", \"function\", \"symbol\"]" },
        { "[typeof print, typeof alert, typeof require, typeof author.Task, typeof process.cwd()]",
          "[\"function\", \"function\", \"function\", \"function\", \"string\"]" },
        { "process.platform", "\"linux\"" },
        { "[print(1, {}), alert()]", "[null, null]" },
        { "[require('author') === author, require('path') === path, require('process') === process]", "[true, true, true]" },
        { "(path.basename = () => 'mine', path.basename('x'))", "\"mine\"" },
        { "(globalThis.frameCount = 5, frameCount)", "5" },
    };
    EVALUATE("", vectors);
}
// clang-format on

static void timestamps_are_local_and_take_what_scripts_have(void **state)
{
    (void)state;
    static const vector vectors[] = {
        { "formatTimestampLocal(new Date(Date.UTC(2024, 6, 1, 22, 30, 5)))", "\"2024-07-01_223005\"" },
        { "formatTimestampLocal(new Date(Date.UTC(2024, 0, 1, 22, 30, 59, 999)))", "\"2024-01-01_223059\"" },
        { "formatTimestampLocal('2024-01-01T12:00:00Z')", "\"2024-01-01_120000\"" },
        { "[formatTimestampLocal(), formatTimestampLocal(null), formatTimestampLocal({})]",
          "[\"0001-01-01_000000\", \"0001-01-01_000000\", \"0001-01-01_000000\"]" },
        { "formatTimestampLocal(5)", "!TypeError" },
        { "formatTimestampLocal(new Date(NaN))", "!TypeError" },
        { "formatTimestampLocal('no time')", "!TypeError" },
        { "formatTimestampLocal(job.created)", "\"2026-04-13_090807\"" },
        { "[job.created instanceof Date, typeof job.created.getTime, `${job.created}`, JSON.stringify(job.created)]",
          "[false, \"undefined\", \"2026-04-13T09:08:07.654321Z\", \"\\\"2026-04-13T09:08:07.654321Z\\\"\"]" },
    };
    EVALUATE("", vectors);
}

/* Runs a helper in another zone: the plugin reads it from its own environment. */
static void timestamps_follow_the_managers_zone(void **state)
{
    (void)state;
    static const struct {
        const char *zone;
        const char *expected;
    } zones[] = {
        { "Europe/Amsterdam", "[\"2024-07-02_003005\", \"0001-01-01_001932\", \"2026-04-13_110807\", "
                              "\"2026-04-13T11:08:07.654321+02:00\", 3]" },
        { "America/New_York", "[\"2024-07-01_183005\", \"0000-12-31_190358\", \"2026-04-13_050807\", "
                              "\"2026-04-13T05:08:07.654321-04:00\", 21]" },
    };
    const char *before = getenv("TZ");
    char *kept = before != NULL ? strdup(before) : NULL;
    for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]); i++) {
        rig_stop(&r);
        setenv("TZ", zones[i].zone, 1);
        tzset();
        rig_start(&r);
        const vector v = {
            "[formatTimestampLocal(new Date(Date.UTC(2024, 6, 1, 22, 30, 5))), formatTimestampLocal(), "
            "formatTimestampLocal(job.created), job.created, new Date(Date.UTC(2024, 6, 1, 1)).getHours()]",
            zones[i].expected
        };
        rig_evaluate(&r, "", &v, 1);
    }
    if (kept != NULL)
        setenv("TZ", kept, 1);
    else
        unsetenv("TZ");
    tzset();
    free(kept);
    rig_stop(&r);
    rig_start(&r);
}

static void print_and_alert_reach_the_sink_and_nobody_else(void **state)
{
    (void)state;
    outcome o;
    rig_body(&r,
             "print('top', 1, {a: 2}, [3], null, undefined);\nfunction compileJob(job) { alert('a\\nb'); print(); }",
             "{}", &o);
    assert_int_equal(o.rc, FLAMENCO_OK);
    assert_string_equal(o.log, "2 top 1 {\"a\":2} [3] null undefined\n3 a b\n2 \n");
    outcome_free(&o);
}

static void a_flood_of_lines_is_cut(void **state)
{
    (void)state;
    outcome o;
    rig_body(&r, "function compileJob(job) { for (let i = 0; i < 1500; i++) print('x'.repeat(20000)); print('end'); }",
             "{}", &o);
    assert_int_equal(o.rc, FLAMENCO_OK);
    assert_int_equal(o.lines, 1001); /* the last one says that there were more */
    outcome_free(&o);
}

static void scripts_may_shadow_every_global(void **state)
{
    (void)state;
    outcome o;
    rig_body(&r,
             "const path = require('path'); let print = 5; var author2 = author; let frameChunker = () => ['1'];\n"
             "alert = 4;\nconst compileJob = (job) => { job.settings.out = [path.stem('a.b'), print, alert, "
             "frameChunker()]; };",
             "{}", &o);
    assert_int_equal(o.rc, FLAMENCO_OK);
    assert_json(json_object_get(json_object_get(o.job, "settings"), "out"), "[\"a\", 5, 4, [\"1\"]]");
    outcome_free(&o);
}

static void nothing_survives_between_compilations(void **state)
{
    (void)state;
    outcome o;
    const char *hostile =
        "Array.prototype.push = Array.prototype.map = () => { throw 1; };\n"
        "Array.prototype[Symbol.iterator] = () => { throw 2; };\n"
        "String.prototype.split = null; RegExp.prototype.exec = null; Object.prototype.polluted = 1;\n"
        "JSON.stringify = JSON.parse = Object.keys = Reflect.apply = String = () => { throw 3; };\n"
        "Map.prototype.get = Set = WeakMap = Promise = undefined; Symbol.for('x').y; globalThis.left = 7;\n"
        "Object.defineProperty(Object.prototype, 'uuid', { set() { throw 4; } });\n"
        "function compileJob(job) { const t = author.Task('a', 'b'); t.addCommand(author.Command('c', {d: 1}));"
        " job.addTask(t); path.join('a', 'b'); frameChunker('1-5', 2); shellSplit('a b'); print('x', {});\n"
        " Object.freeze(Object.prototype); Object.freeze(Array.prototype); }";
    for (int i = 0; i < 3; i++) {
        rig_body(&r, hostile, "{\"a\": [1]}", &o);
        if (o.rc != FLAMENCO_OK)
            fail_msg("%s", o.err.text);
        assert_int_equal(json_array_size(o.tasks), 1);
        outcome_free(&o);
        static const vector clean[] = {
            { "[typeof globalThis.left, ({}).polluted === undefined, [1].map((x) => x + 1), "
              "Object.isFrozen(Object.prototype)]",
              "[\"undefined\", true, [2], false]" },
            { "[(([]).push = 1, 1), typeof Set, JSON.stringify([...[1]])]", "[1, \"function\", \"[1]\"]" },
        };
        EVALUATE("", clean);
    }
}

/* None of these hides from the frozen context (helper/engine.h): they run there first, and must neither fail nor be felt. */
static void changes_of_builtins_work_and_reach_nobody_else(void **state)
{
    (void)state;
    static const char *const scripts[] = {
        "Array.prototype.last = function () { return this[this.length - 1]; };\n"
        "function compileJob(job) { job.settings.seen = [1, 2, 3].last(); }",
        "function compileJob(job) { Math.left = 3; job.settings.seen = Math.left; }",
        "function compileJob(job) { author.extra = 3; job.settings.seen = author.extra; }",
        "function compileJob(job) { path.join.left = 3; job.settings.seen = path.join.left; }",
        "function compileJob(job) { job.addTask.left = 3; job.settings.seen = job.addTask.left; }",
        "function compileJob(job) { const t = author.Task('a', 'b'); t.addCommand.left = t.addDependency.left = 3;"
        " job.settings.seen = t.addCommand.left; }",
        "this.left = 3; function compileJob(job) { job.settings.seen = left; }",
        "function compileJob(job) { const o = {}; o.toString = () => 3; job.settings.seen = o.toString(); }",
        "function compileJob(job) { function* g() {} Object.getPrototypeOf(g).left = 3;"
        " job.settings.seen = Object.getPrototypeOf(g).left; }",
        "function compileJob(job) { Object.getPrototypeOf([][Symbol.iterator]()).left = 3;"
        " job.settings.seen = Object.getPrototypeOf(new Array()[Symbol.iterator]()).left; }",
        "function compileJob(job) { Object.getPrototypeOf(Int8Array).left = 3; job.settings.seen = Int8Array.left; }",
        "function compileJob(job) { Object.setPrototypeOf(Array.prototype, { left: 3 }); job.settings.seen = [].left; "
        "}",
        "function compileJob(job) { Object.setPrototypeOf(job, { left: 3 });"
        " job.settings.seen = Object.getPrototypeOf(job).left; }",
        "function compileJob(job) { Object.preventExtensions(job); Object.preventExtensions(job.storage);"
        " Object.defineProperty(Object.prototype, 'left', { value: 3, configurable: true }); job.settings.seen = "
        "({}).left; }",
    };
    outcome o;
    for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
        for (int times = 0; times < 2; times++) {
            rig_body(&r, scripts[i], "{}", &o);
            if (o.rc != FLAMENCO_OK)
                fail_msg("%s: %s", scripts[i], o.err.text);
            assert_json(json_object_get(o.job, "settings"), "{\"seen\": 3}");
            outcome_free(&o);
        }
        static const char look[] =
            "function compileJob(job) { const t = author.Task('a', 'b');"
            " job.settings.seen = [[].last, Math.left, author.extra, path.join.left, job.addTask.left, "
            "t.addCommand.left,"
            "  t.addDependency.left, typeof left, Int8Array.left, ({}).left, Object.getPrototypeOf(job).left,"
            "  Object.getPrototypeOf(function* () {}).left, Object.getPrototypeOf([][Symbol.iterator]()).left,"
            "  ({}).toString(), Object.getPrototypeOf(Array.prototype) === Object.prototype]; }";
        rig_body(&r, look, "{}", &o);
        if (o.rc != FLAMENCO_OK)
            fail_msg("after %s: %s", scripts[i], o.err.text);
        assert_json(json_object_get(o.job, "settings"),
                    "{\"seen\": [null, null, null, null, null, null, null, \"undefined\", null, null, null, null, null,"
                    " \"[object Object]\", true]}");
        outcome_free(&o);
    }
}

static void nothing_of_a_job_is_left_for_the_next(void **state)
{
    (void)state;
    outcome o;
    static const char script[] =
        "let n = 0; const seen = []; class Count { static made = 0; }\n"
        "function compileJob(job) { ++n; Count.made++; seen.push(n); /(b)(c)?/.exec('abc' + n);\n"
        " job.settings.seen = [n, Count.made, seen.length, job.name, job.status, job.tasks.length, "
        "job.settings.given];\n"
        " const t = author.Task('one', 'misc'); job.addTask(t); job.settings.tasks = job.tasks.length;\n"
        " if (job.settings.fail) throw new Error('as wanted'); job.status = 'x'; }";
    for (int i = 0; i < 6; i++) {
        char settings[64];
        (void)snprintf(settings, sizeof(settings), "{\"given\": %d%s}", i, i % 2 != 0 ? ", \"fail\": true" : "");
        rig_body(&r, script, settings, &o);
        if (i % 2 != 0) {
            assert_int_equal(o.rc, FLAMENCO_E_INVALID);
            assert_non_null(strstr(o.err.text, "as wanted"));
            assert_int_equal(json_array_size(o.tasks), 0);
        } else {
            if (o.rc != FLAMENCO_OK)
                fail_msg("%s", o.err.text);
            json_t *seen = json_object_get(json_object_get(o.job, "settings"), "seen");
            assert_int_equal(json_integer_value(json_array_get(seen, 0)), 1);
            assert_int_equal(json_integer_value(json_array_get(seen, 1)), 1);
            assert_int_equal(json_integer_value(json_array_get(seen, 2)), 1);
            assert_string_equal(json_string_value(json_array_get(seen, 4)), "under-construction");
            assert_int_equal(json_integer_value(json_array_get(seen, 5)), 0);
            assert_int_equal(json_integer_value(json_array_get(seen, 6)), i);
            assert_int_equal(json_array_size(o.tasks), 1);
        }
        outcome_free(&o);
    }
}

static void a_script_is_a_program_whatever_runs_it(void **state)
{
    (void)state;
    outcome o;
    static const char *const broken[] = {
        "return; function compileJob(job) {}",
        "function compileJob(job) {} } { function other() {}",
        "function compileJob(job) {} }); (function () {",
    };
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        rig_body(&r, broken[i], "{}", &o);
        assert_int_not_equal(o.rc, FLAMENCO_OK);
        outcome_free(&o);
    }
    rig_body(&r, "const compileJob = (job) => { job.settings.top = top; }; const top = this === undefined; // end",
             "{}", &o);
    assert_int_equal(o.rc, FLAMENCO_OK);
    assert_json(json_object_get(o.job, "settings"), "{\"top\": false}");
    outcome_free(&o);
}

static void jobs_of_any_size_come_out_whole(void **state)
{
    (void)state;
    outcome o;
    static const int sizes[] = { 1, 499, 500, 501, 3000, 3000, 2, 700 };
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char settings[64];
        (void)snprintf(settings, sizeof(settings), "{\"n\": %d}", sizes[i]);
        rig_body(&r,
                 "function compileJob(job) { for (let i = 0; i < job.settings.n; i++)"
                 " job.addTask(author.Task('task ' + i, 'misc')); }",
                 settings, &o);
        assert_int_equal(o.rc, FLAMENCO_OK);
        assert_int_equal(json_array_size(o.tasks), sizes[i]);
        outcome_free(&o);
    }
}

static void a_counter_starts_over_each_time(void **state)
{
    (void)state;
    outcome o;
    for (int i = 0; i < 3; i++) {
        rig_body(&r, "let n = 0;\nfunction compileJob(job) { job.settings.n = ++n; }", "{}", &o);
        assert_int_equal(o.rc, FLAMENCO_OK);
        assert_json(json_object_get(o.job, "settings"), "{\"n\": 1}");
        outcome_free(&o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frame_chunker_cuts_ranges_as_the_contract_says),
        cmocka_unit_test(frame_count_counts_distinct_frames),
        cmocka_unit_test(shell_split_splits_as_the_contract_says),
        cmocka_unit_test(path_takes_paths_of_both_systems_apart),
        cmocka_unit_test(values_are_converted_at_the_border),
        cmocka_unit_test(language_of_the_contract_is_there),
        cmocka_unit_test(timestamps_are_local_and_take_what_scripts_have),
        cmocka_unit_test(timestamps_follow_the_managers_zone),
        cmocka_unit_test(print_and_alert_reach_the_sink_and_nobody_else),
        cmocka_unit_test(a_flood_of_lines_is_cut),
        cmocka_unit_test(scripts_may_shadow_every_global),
        cmocka_unit_test(nothing_survives_between_compilations),
        cmocka_unit_test(changes_of_builtins_work_and_reach_nobody_else),
        cmocka_unit_test(nothing_of_a_job_is_left_for_the_next),
        cmocka_unit_test(a_script_is_a_program_whatever_runs_it),
        cmocka_unit_test(jobs_of_any_size_come_out_whole),
        cmocka_unit_test(a_counter_starts_over_each_time),
    };
    return cmocka_run_group_tests_name("compiler-js-functions", tests, setup, teardown);
}

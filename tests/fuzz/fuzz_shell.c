/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_shell.c - shellSplit(), which is JavaScript of the prelude: what the engine makes of a text is compared with the
 * contract's rules in C (job-compiler 3.5). It is this C that the fuzzer sees the inside of. Each byte is one character.
 */
#include <JavaScriptCore/JavaScript.h>

#include "fuzz.h"

static const char prelude_text[] = {
#include "prelude.inc"
    0
};

#define WORDS 16384

/* ---- The rules ------------------------------------------------------------------------------------------------------------ */

typedef struct word {
    JSChar *text;
    size_t len;
} word;

typedef struct words {
    word list[WORDS];
    size_t n;
    JSChar *room; /* all characters, one word behind the other */
    size_t used;
} words;

static void take(words *out, uint8_t c)
{
    out->room[out->used++] = c;
    ++out->list[out->n].len;
}

static void begin_word(words *out, int *open)
{
    if (*open)
        return;
    *open = 1;
    FUZZ_MUST(out->n < WORDS);
    out->list[out->n] = (word){ out->room + out->used, 0 };
}

/* Takes what stands in quotes; *at is behind the first one and comes behind the last. Returns 0 when it is not closed. */
static int take_quoted(words *out, const uint8_t *data, size_t size, size_t *at, uint8_t quote)
{
    while (*at < size && data[*at] != quote) {
        if (quote == '"' && data[*at] == '\\')
            ++*at;
        if (*at < size)
            take(out, data[(*at)++]);
    }
    return (*at)++ < size;
}

/* Returns 0 when the text is refused. */
static int split(words *out, const uint8_t *data, size_t size)
{
    int open = 0, good = 1;
    for (size_t at = 0; at < size && good;) {
        uint8_t c = data[at++];
        if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
            out->n += open ? 1 : 0;
            open = 0;
        } else if (c == '#' && !open) {
            while (at < size && data[at] != '\n')
                ++at;
        } else if (c == '\'' || c == '"') {
            begin_word(out, &open);
            good = take_quoted(out, data, size, &at, c);
        } else {
            begin_word(out, &open);
            good = c != '\\' || at < size;
            if (good)
                take(out, c == '\\' ? data[at++] : c);
        }
    }
    out->n += open ? 1 : 0;
    return good;
}

/* ---- The engine ------------------------------------------------------------------------------------------------------------ */

static struct {
    JSGlobalContextRef ctx;
    JSObjectRef split;
    uint64_t calls;
} engine;

static JSValueRef make_text(const char *text)
{
    JSStringRef string = JSStringCreateWithUTF8CString(text);
    JSValueRef value = JSValueMakeString(engine.ctx, string);
    JSStringRelease(string);
    return value;
}

static void start_engine(void)
{
    JSValueRef exception = NULL;
    engine.ctx = JSGlobalContextCreate(NULL);
    FUZZ_MUST(engine.ctx != NULL);
    JSStringRef text = JSStringCreateWithUTF8CString(prelude_text), name = JSStringCreateWithUTF8CString("shellSplit");
    JSValueRef made = JSEvaluateScript(engine.ctx, text, NULL, NULL, 1, &exception);
    FUZZ_MUST(made != NULL && exception == NULL);
    JSValueRef natives[4] = { JSObjectMake(engine.ctx, NULL, NULL), make_text("linux"), make_text("/"), make_text("") };
    JSValueRef api =
        JSObjectCallAsFunction(engine.ctx, JSValueToObject(engine.ctx, made, NULL), NULL, 4, natives, &exception);
    FUZZ_MUST(api != NULL && exception == NULL);
    JSValueRef prepare[2] = { JSValueMakeNumber(engine.ctx, 0), make_text("script") };
    JSObjectCallAsFunction(engine.ctx, JSValueToObject(engine.ctx, api, NULL), NULL, 2, prepare, &exception);
    FUZZ_MUST(exception == NULL);
    JSValueRef function = JSObjectGetProperty(engine.ctx, JSContextGetGlobalObject(engine.ctx), name, &exception);
    FUZZ_MUST(exception == NULL && JSValueIsObject(engine.ctx, function));
    JSValueProtect(engine.ctx, function);
    engine.split = JSValueToObject(engine.ctx, function, NULL);
    JSStringRelease(text);
    JSStringRelease(name);
}

static void compare_word(const word *expected, JSValueRef got)
{
    FUZZ_MUST(got != NULL && JSValueIsString(engine.ctx, got));
    JSStringRef text = JSValueToStringCopy(engine.ctx, got, NULL);
    FUZZ_MUST(text != NULL && JSStringGetLength(text) == expected->len);
    FUZZ_MUST(expected->len == 0 ||
              memcmp(JSStringGetCharactersPtr(text), expected->text, expected->len * sizeof(JSChar)) == 0);
    JSStringRelease(text);
}

static void compare(const words *expected, int good, const JSChar *text, size_t len)
{
    JSValueRef exception = NULL;
    JSStringRef string = JSStringCreateWithCharacters(text, len), name = JSStringCreateWithUTF8CString("length");
    JSValueRef argument = JSValueMakeString(engine.ctx, string);
    JSValueRef got = JSObjectCallAsFunction(engine.ctx, engine.split, NULL, 1, &argument, &exception);
    FUZZ_MUST((exception == NULL) == (good != 0));
    if (good) {
        FUZZ_MUST(JSValueIsArray(engine.ctx, got));
        JSObjectRef list = JSValueToObject(engine.ctx, got, NULL);
        double n = JSValueToNumber(engine.ctx, JSObjectGetProperty(engine.ctx, list, name, NULL), NULL);
        FUZZ_MUST((size_t)n == expected->n);
        for (unsigned i = 0; i < expected->n; ++i)
            compare_word(&expected->list[i], JSObjectGetPropertyAtIndex(engine.ctx, list, i, NULL));
    }
    JSStringRelease(string);
    JSStringRelease(name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static words expected;
    if (engine.ctx == NULL)
        start_engine();
    if (size > WORDS)
        return 0;
    JSChar *text = malloc((size + 1) * sizeof(*text));
    expected.n = expected.used = 0;
    expected.room = malloc((size + 1) * sizeof(*expected.room));
    FUZZ_MUST(text != NULL && expected.room != NULL);
    for (size_t i = 0; i < size; ++i)
        text[i] = data[i];
    int good = split(&expected, data, size);
    compare(&expected, good, text, size);
    if (++engine.calls % 1000 == 0)
        JSGarbageCollect(engine.ctx);
    free(expected.room);
    free(text);
    return 0;
}

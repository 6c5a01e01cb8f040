/* SPDX-License-Identifier: Apache-2.0
 *
 * support.c - see support.h.
 */
#include "tests/unit/config/support.h"

#include <jansson.h>

#include <ftw.h>

void load_bytes(loaded *l, flamenco_str text)
{
    memset(l, 0, sizeof(*l));
    l->arena = fl_arena_create(0);
    assert_non_null(l->arena);
    fl_reference_defaults(&l->raw);
    l->rc = fl_yaml_parse(text, "f.yaml", 0, &l->problems, &l->doc);
    if (l->rc == FLAMENCO_OK)
        l->rc = fl_reference_overlay(&l->raw, l->arena, fl_yaml_root(l->doc), "f.yaml", FL_REFERENCE_FROM_FILE,
                                     &l->problems);
    if (l->rc == FLAMENCO_OK)
        assert_int_equal(fl_reference_process(&l->raw, l->arena, CWD, &l->problems, &l->ref), FLAMENCO_OK);
}

void load_text(loaded *l, const char *text, int meta)
{
    char *whole = NULL;
    assert_true(asprintf(&whole, "%s%s", meta ? "_meta: {version: 3}\n" : "", text) >= 0);
    load_bytes(l, flamenco_text(whole));
    free(whole);
}

void loaded_free(loaded *l)
{
    fl_yaml_doc_destroy(l->doc);
    fl_arena_destroy(l->arena);
    fl_config_problems_fini(&l->problems);
}

int has_problem(const fl_config_problems *problems, uint32_t level, const char *part)
{
    char text[1024];
    for (size_t i = 0; i < problems->count; ++i)
        if (problems->items[i].level == level &&
            strstr(fl_config_problem_text(&problems->items[i], text, sizeof(text)), part) != NULL)
            return 1;
    for (size_t i = 0; i < problems->count; ++i)
        print_message("# has: %s\n", fl_config_problem_text(&problems->items[i], text, sizeof(text)));
    return 0;
}

void assert_text(const char *what, flamenco_str got, const char *wanted)
{
    if (!fl_str_is(got, wanted))
        fail_msg("%s: got \"%.*s\", wanted \"%s\"", what, FL_STR_ARGS(got), wanted);
}

char *make_dir(char *buffer, size_t size)
{
    const char *base = getenv("TMPDIR");
    snprintf(buffer, size, "%s/fl-config-XXXXXX", base != NULL && base[0] != '\0' ? base : P_tmpdir);
    assert_non_null(mkdtemp(buffer));
    return buffer;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

void remove_tree(const char *dir)
{
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

char *read_file(const char *path)
{
    FILE *f = fopen(path, "r");
    if (f == NULL)
        return NULL;
    char *text = calloc(1, 1 << 21);
    assert_non_null(text);
    size_t n = fread(text, 1, (1 << 21) - 1, f);
    text[n] = '\0';
    fclose(f);
    return text;
}

static json_t *parse(flamenco_str body, flamenco_error *err)
{
    json_error_t problem;
    json_t *root = json_loadb(body.ptr, (size_t)body.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &problem);
    if (root == NULL)
        flamenco_fail(err, FLAMENCO_E_INVALID, "not JSON: %s", problem.text);
    return root;
}

int32_t decode_text(fl_arena *arena, flamenco_str body, fl_reference *out, flamenco_error *err)
{
    json_t *root = parse(body, err);
    int32_t rc = root != NULL ? fl_reference_decode(arena, root, out, err) : FLAMENCO_E_INVALID;
    json_decref(root);
    return rc;
}

int32_t put_text(fl_config *config, flamenco_str body, int64_t now_us, flamenco_error *err)
{
    json_t *root = parse(body, err);
    int32_t rc = root != NULL ? fl_config_put(config, root, now_us, err) : FLAMENCO_E_INVALID;
    json_decref(root);
    return rc;
}

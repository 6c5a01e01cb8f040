/* SPDX-License-Identifier: Apache-2.0
 *
 * render_main.c - flamenco-manager-yaml, a program of the build: writes manager.yaml as shipped to stdout, or checks that a
 * file is what it would write. Usage: flamenco-manager-yaml [--check FILE] PLUGIN_BUILD_DIRECTORY
 * The default plugins are looked for as DIRECTORY/NAME/NAME.so. Exit codes: 0, 1 (differs or failed), 77 (with --check: a
 * default plugin is not built, nothing was checked).
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/config/file.h"
#include "core/config/settings.h"

#define PLUGINS_MAX 64

/* Loads one plugin. Returns NULL when its file is missing or is no plugin; it stays loaded. */
static const flamenco_plugin *load_plugin(const char *directory, const char *name)
{
    char path[4096];
    const flamenco_plugin *(*query)(void) = NULL;
    snprintf(path, sizeof(path), "%s/%s/%s.so", directory, name, name);
    void *file = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void *symbol = file != NULL ? dlsym(file, "flamenco_plugin_query") : NULL;
    if (symbol == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return NULL;
    }
    memcpy(&query, &symbol, sizeof(query));
    return query();
}

/* Tells the first line that differs. */
static int compare(const fl_buf *wanted, const fl_buf *got, const char *path)
{
    if (wanted->len == got->len && memcmp(wanted->data, got->data, got->len) == 0)
        return 0;
    unsigned line = 1;
    for (size_t i = 0; i < wanted->len && i < got->len && wanted->data[i] == got->data[i]; ++i)
        line += wanted->data[i] == '\n';
    fprintf(stderr, "%s:%u: not what the plugins declare; make it anew with flamenco-manager-yaml\n", path, line);
    return 1;
}

int main(int argc, char **argv)
{
    fl_render_plugin plugins[PLUGINS_MAX];
    fl_buf text = { 0 }, file = { 0 };
    flamenco_error err = FLAMENCO_ERROR_INIT;
    const char *check = NULL;
    size_t n = 0, missing = 0;
    int rc = 1;
    if (argc == 4 && strcmp(argv[1], "--check") == 0)
        check = argv[2];
    else if (argc != 2) {
        fprintf(stderr, "usage: %s [--check FILE] PLUGIN_BUILD_DIRECTORY\n", argv[0]);
        return 2;
    }
    for (size_t i = 0; i < fl_members_count && n < PLUGINS_MAX; ++i) {
        plugins[n] = (fl_render_plugin){ &fl_members[i], fl_members[i].default_file,
                                         load_plugin(argv[argc - 1], fl_members[i].default_file) };
        missing += plugins[n++].descriptor == NULL;
    }
    fl_manager_yaml_render(plugins, n, &text);
    if (text.failed) {
        fprintf(stderr, "out of memory\n");
    } else if (check == NULL) {
        rc = fwrite(text.data, 1, text.len, stdout) == text.len && fflush(stdout) == 0 ? 0 : 1;
    } else if (missing > 0) {
        rc = 77;
    } else if (fl_config_file_read(check, &file, &err) != FLAMENCO_OK) {
        fprintf(stderr, "%s\n", err.text);
    } else {
        rc = compare(&text, &file, check);
    }
    fl_buf_fini(&text);
    fl_buf_fini(&file);
    return rc;
}

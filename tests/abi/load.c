/* SPDX-License-Identifier: Apache-2.0
 *
 * load.c - loads each plugin of a folder as the manager does, into a process that has nothing to offer it, and looks at its
 * descriptor. A plugin with an unresolved symbol fails here, as does one that lacks what every plugin must have.
 * usage: abi-load FOLDER, where each plugin NAME is NAME/NAME.so. Prints TAP. Run by meson.
 */
#include <dlfcn.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flamenco/plugin.h"

static int number;
static int failed;

static void result(int good, const char *name, const char *what, const char *why)
{
    printf("%s %d %s %s\n", good ? "ok" : "not ok", ++number, name, what);
    if (!good) {
        ++failed;
        printf("# %s\n", why != NULL ? why : "it is not so");
    }
}

static int has_text(const char *text)
{
    return text != NULL && text[0] != '\0';
}

static int provides_services(const flamenco_plugin *plugin)
{
    if (plugin->provides == NULL || plugin->provides[0] == NULL)
        return 0;
    for (size_t i = 0; plugin->provides[i] != NULL; ++i) {
        const flamenco_provide *p = plugin->provides[i];
        uint32_t table_size = 0;
        if (p->struct_size < sizeof(*p) || !has_text(p->id) || strchr(p->id, '/') == NULL || p->table == NULL)
            return 0;
        memcpy(&table_size, p->table, sizeof(table_size));
        if (table_size < 8 || table_size % 8 != 0)
            return 0;
    }
    return 1;
}

static int settings_are_documented(const flamenco_plugin *plugin)
{
    for (size_t i = 0; plugin->settings != NULL && plugin->settings[i] != NULL; ++i) {
        const flamenco_setting *s = plugin->settings[i];
        if (s->struct_size < sizeof(*s) || !has_text(s->key) || !has_text(s->doc) || s->type < FLAMENCO_SETTING_TEXT ||
            s->type > FLAMENCO_SETTING_PATH_LIST)
            return 0;
    }
    return 1;
}

static void look_at(const char *path)
{
    const char *slash = strrchr(path, '/');
    char name[128];
    snprintf(name, sizeof(name), "%.*s", (int)strcspn(slash + 1, "."), slash + 1);
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    result(handle != NULL, name, "resolves every symbol", handle != NULL ? NULL : dlerror());
    if (handle == NULL)
        return;
    const flamenco_plugin *(*query)(void) = NULL;
    void *symbol = dlsym(handle, "flamenco_plugin_query");
    memcpy(&query, &symbol, sizeof(query)); /* ISO C knows no cast between the two kinds of pointers */
    const flamenco_plugin *plugin = query != NULL ? query() : NULL;
    result(plugin != NULL, name, "has a descriptor", NULL);
    if (plugin == NULL)
        return;
    result(query() == plugin, name, "gives the same descriptor each time", NULL);
    result(plugin->struct_size >= sizeof(*plugin) && plugin->abi_major == FLAMENCO_ABI_MAJOR &&
               plugin->abi_minor <= FLAMENCO_ABI_MINOR,
           name, "is of this ABI", NULL);
    result(has_text(plugin->id) && strcmp(plugin->id, name) == 0, name, "is called like its file", plugin->id);
    result(has_text(plugin->version) && has_text(plugin->licence), name, "tells version and licence", NULL);
    result(plugin->create != NULL && plugin->configure != NULL && plugin->start != NULL && plugin->stop != NULL &&
               plugin->destroy != NULL,
           name, "has all phases", NULL);
    result(provides_services(plugin), name, "provides well-formed services", NULL);
    result(settings_are_documented(plugin), name, "documents its settings", NULL);
    plugin->destroy(NULL); /* must be accepted; the proof is that we are still here */
}

int main(int argc, char **argv)
{
    char pattern[4096];
    glob_t found;
    if (argc != 2 || snprintf(pattern, sizeof(pattern), "%s/*/*.so", argv[1]) >= (int)sizeof(pattern)) {
        fprintf(stderr, "usage: abi-load FOLDER\n");
        return 2;
    }
    if (glob(pattern, 0, NULL, &found) != 0) {
        printf("not ok 1 there are plugins\n1..1\n# none in %s\n", argv[1]);
        return 1;
    }
    for (size_t i = 0; i < found.gl_pathc; ++i)
        look_at(found.gl_pathv[i]);
    globfree(&found);
    printf("1..%d\n", number);
    return failed > 0;
}

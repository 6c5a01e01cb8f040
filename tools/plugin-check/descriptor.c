/* SPDX-License-Identifier: Apache-2.0
 *
 * descriptor.c - what can be told of any plugin before it works: what it exports and how it describes itself.
 */
#include <dlfcn.h>
#include <stdlib.h>

#include "core/services.h"
#include "elf_file.h"
#include "groups.h"
#include "inner.h"

/* ---- Symbols --------------------------------------------------------------------------------------------------------- */

typedef struct symbols {
    char found[KIT_TEXT];
    int sanitized, is_plugin;
    int (*is_wrong)(const char *name, int defined);
} symbols;

static int starts(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static void look(void *ctx, const char *name, int defined)
{
    symbols *s = ctx;
    s->sanitized |= starts(name, "__asan_") || starts(name, "__tsan_") || starts(name, "__sanitizer_");
    s->is_plugin |= defined && strcmp(name, "flamenco_plugin_query") == 0;
    if (!s->is_wrong(name, defined))
        return;
    size_t len = strlen(s->found);
    snprintf(s->found + len, sizeof(s->found) - len, "%s%s", len > 0 ? ", " : "", name);
}

static symbols search(kit *k, kit_elf *elf, int (*is_wrong)(const char *name, int defined))
{
    symbols s = { .is_wrong = is_wrong };
    const char *wrong = kit_elf_open(elf, k->options->file);
    EXPECT(wrong == NULL, "%s: %s", k->options->file, wrong);
    kit_elf_symbols(elf, look, &s);
    return s;
}

static int is_extra(const char *name, int defined)
{
    /* What linkers and sanitizers put into every shared object. */
    static const char *const usual[] = { "flamenco_plugin_query", "_init",  "_fini",  "_edata",        "_end",
                                         "__bss_start",           "_ftext", "_fdata", "__gmon_start__" };
    for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); ++i) {
        if (strcmp(name, usual[i]) == 0)
            return 0;
    }
    return defined && !starts(name, "__asan_") && !starts(name, "__odr_asan") && !starts(name, "___asan") &&
           !starts(name, "__tsan_") && !starts(name, "__ubsan_") && !starts(name, "__start_") &&
           !starts(name, "__stop_");
}

static void one_symbol_is_exported(kit *k)
{
    kit_elf elf;
    symbols s = search(k, &elf, is_extra);
    EXPECT(s.is_plugin, "it does not export flamenco_plugin_query");
    EXPECT(s.found[0] == '\0', "it exports more than flamenco_plugin_query: %s (-fvisibility=hidden)", s.found);
}

/* Functions that change what belongs to the whole process, or write where nobody reads. */
static int is_forbidden(const char *name, int defined)
{
    static const char *const names[] = { "exit",    "quick_exit", "atexit",       "on_exit",       "at_quick_exit",
                                         "setenv",  "unsetenv",   "putenv",       "clearenv",      "setlocale",
                                         "printf",  "vprintf",    "__printf_chk", "__vprintf_chk", "puts",
                                         "putchar", "perror",     "stdout",       "stderr",        "__cxa_atexit" };
    for (size_t i = 0; !defined && i < sizeof(names) / sizeof(names[0]); ++i) {
        if (strcmp(name, names[i]) == 0)
            return 1;
    }
    return 0;
}

static void nothing_forbidden_is_used(kit *k)
{
    kit_elf elf;
    symbols s = search(k, &elf, is_forbidden);
    EXPECT(s.found[0] == '\0', "it uses %s", s.found);
}

static int is_never(const char *name, int defined)
{
    (void)name;
    (void)defined;
    return 0;
}

static void nothing_runs_when_it_is_loaded(kit *k)
{
    kit_elf elf;
    symbols s = search(k, &elf, is_never);
    size_t n = kit_elf_constructors(&elf);
    if (s.sanitized)
        kit_skip("it was built with a sanitizer, which has constructors of its own");
    /* The compiler's own frame_dummy is one. */
    EXPECT(n <= 1, "%zu functions run when the file is loaded", n - 1);
}

/* ---- The descriptor -------------------------------------------------------------------------------------------------- */

static void descriptor_is_complete(kit *k)
{
    void *handle = dlopen(k->options->file, RTLD_NOW | RTLD_LOCAL);
    const flamenco_plugin *(*query)(void) = NULL;
    EXPECT(handle != NULL, "%s", dlerror());
    void *symbol = dlsym(handle, "flamenco_plugin_query");
    memcpy(&query, &symbol, sizeof(query));
    if (query == NULL)
        kit_blocked("symbols.exports", "it does not export flamenco_plugin_query");
    const char *fault = kit_descriptor_fault(query());
    EXPECT(fault == NULL, "%s", fault);
    EXPECT(query()->abi_minor <= FLAMENCO_ABI_MINOR,
           "it was built for ABI %u.%u, this kit knows %u.%u: take a newer one", query()->abi_major, query()->abi_minor,
           FLAMENCO_ABI_MAJOR, FLAMENCO_ABI_MINOR);
}

static int has_text(const char *text)
{
    return text != NULL && text[0] != '\0';
}

static void plugin_tells_who_it_is(kit *k)
{
    const flamenco_plugin *p = &kit_subject(k)->plugin;
    EXPECT(has_text(p->id) && has_text(p->version) && has_text(p->licence), "id, version or licence is empty");
    EXPECT(p->id[strspn(p->id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_")] == '\0',
           "its id \"%s\" is not a word", p->id);
}

/* Whether the page of an address may be written to. */
static int is_writable(const void *address)
{
    char line[512];
    int writable = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    EXPECT(maps != NULL, "the check cannot read /proc/self/maps");
    while (fgets(line, sizeof(line), maps) != NULL) {
        char *end;
        uintptr_t from = strtoull(line, &end, 16), to = *end == '-' ? strtoull(end + 1, &end, 16) : 0;
        /* "7f00-7f01 rw-p" */
        if ((uintptr_t)address >= from && (uintptr_t)address < to && strlen(end) > 3)
            writable = end[2] == 'w';
    }
    (void)fclose(maps);
    return writable;
}

static void descriptor_is_constant(kit *k)
{
    kit_instance *i = kit_subject(k);
    const flamenco_plugin *(*query)(void) = NULL;
    void *symbol = dlsym(i->handle, "flamenco_plugin_query");
    memcpy(&query, &symbol, sizeof(query));
    EXPECT(query() == i->found, "flamenco_plugin_query gives another descriptor each time");
    EXPECT(!is_writable(i->found), "the descriptor is not constant");
    for (const flamenco_provide *const *p = i->plugin.provides; p != NULL && *p != NULL; ++p)
        EXPECT(!is_writable(*p) && !is_writable((*p)->table), "the table of %s is not constant", (*p)->id);
    for (const flamenco_setting *const *s = i->plugin.settings; s != NULL && *s != NULL; ++s)
        EXPECT(!is_writable(*s), "the setting %s is not constant", (*s)->key);
}

static const fl_service *find_service(const char *id)
{
    for (size_t i = 0; i < fl_services_count; ++i) {
        if (strcmp(fl_services[i].id, id) == 0)
            return &fl_services[i];
    }
    return NULL;
}

static void check_table(const flamenco_provide *p)
{
    const fl_service *service = find_service(p->id);
    uint32_t size;
    memcpy(&size, p->table, sizeof(size));
    EXPECT(size >= 2 * sizeof(void *) && size % sizeof(void *) == 0, "the table of %s has the size %u", p->id, size);
    for (size_t m = 0; service != NULL && m < service->n_methods; ++m) {
        void *method = NULL;
        if (service->methods[m].offset + sizeof(method) <= size)
            memcpy(&method, (const char *)p->table + service->methods[m].offset, sizeof(method));
        EXPECT(method != NULL || !service->methods[m].required, "%s lacks the method %s", p->id,
               service->methods[m].name);
    }
}

/* These look at the file themselves: opening an instance would be refused for what they look for. */
static const flamenco_plugin *raw_descriptor(kit *k)
{
    void *handle = dlopen(k->options->file, RTLD_NOW | RTLD_LOCAL);
    const flamenco_plugin *(*query)(void) = NULL;
    EXPECT(handle != NULL, "%s", dlerror());
    void *symbol = dlsym(handle, "flamenco_plugin_query");
    memcpy(&query, &symbol, sizeof(query));
    if (query == NULL)
        kit_blocked("symbols.exports", "it does not export flamenco_plugin_query");
    const char *fault = kit_descriptor_fault(query());
    if (fault != NULL)
        kit_blocked("descriptor.complete", "%s", fault);
    return query();
}

static void services_are_well_formed(kit *k)
{
    const flamenco_plugin *plugin = raw_descriptor(k);
    const flamenco_provide *const *p = plugin->provides;
    EXPECT(p != NULL && *p != NULL, "it provides nothing");
    for (size_t i = 0; p[i] != NULL; ++i) {
        EXPECT(p[i]->struct_size >= sizeof(*p[i]), "a service that it provides has the size %u", p[i]->struct_size);
        EXPECT(has_text(p[i]->id) && p[i]->table != NULL, "a service that it provides has no id or no table");
        const char *slash = strrchr(p[i]->id, '/');
        EXPECT(slash != NULL && slash[1] != '\0' && slash[1 + strspn(slash + 1, "0123456789")] == '\0',
               "the service \"%s\" has no revision", p[i]->id);
        for (size_t other = 0; other < i; ++other)
            EXPECT(strcmp(p[other]->id, p[i]->id) != 0, "it provides %s twice", p[i]->id);
        check_table(p[i]);
    }
}

static void needs_are_well_formed(kit *k)
{
    const flamenco_plugin *plugin = raw_descriptor(k);
    const flamenco_need *const *n = plugin->needs;
    for (size_t i = 0; n != NULL && n[i] != NULL; ++i) {
        EXPECT(n[i]->struct_size >= offsetof(flamenco_need, least_table_size), "one of its needs has the size %u",
               n[i]->struct_size);
        EXPECT(has_text(n[i]->id), "one of its needs has no id");
        EXPECT(strchr(n[i]->id, '/') != NULL, "its need \"%s\" has no revision", n[i]->id);
        EXPECT(n[i]->optional <= 1, "`optional` of its need %s is %u", n[i]->id, n[i]->optional);
        for (size_t other = 0; other < i; ++other)
            EXPECT(strcmp(n[other]->id, n[i]->id) != 0, "it needs %s twice", n[i]->id);
        for (const flamenco_provide *const *p = plugin->provides; p != NULL && *p != NULL; ++p)
            EXPECT((*p)->id == NULL || strcmp((*p)->id, n[i]->id) != 0, "it needs %s, which it provides", n[i]->id);
    }
}

/* Reads one setting by the function for its type, so that a default that cannot be read is found. */
static void check_setting(kit_instance *i, const flamenco_setting *s)
{
    EXPECT(s->struct_size >= sizeof(*s), "a setting has the size %u", s->struct_size);
    EXPECT(has_text(s->key) &&
               s->key[strspn(s->key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] == '\0',
           "the key of a setting is \"%s\"", s->key != NULL ? s->key : "");
    EXPECT(has_text(s->doc), "the setting %s has no sentence for people", s->key);
    EXPECT(s->type >= FLAMENCO_SETTING_TEXT && s->type <= FLAMENCO_SETTING_PATH_LIST, "the setting %s is of type %u",
           s->key, s->type);
    EXPECT(s->type != FLAMENCO_SETTING_CHOICE || has_text(s->choices), "the setting %s has no choices", s->key);
    EXPECT((s->flags & ~(FLAMENCO_SETTING_SECRET | FLAMENCO_SETTING_REQUIRED)) == 0, "the setting %s has flags %u",
           s->key, s->flags);
    EXPECT(s->min <= s->max, "the limits of the setting %s are the wrong way round", s->key);
    EXPECT((s->flags & FLAMENCO_SETTING_REQUIRED) == 0 || s->default_text == NULL,
           "the setting %s must be given, and has a default", s->key);
    if (s->default_text == NULL)
        return;
    if (s->type == FLAMENCO_SETTING_CHOICE) {
        char choices[512], word[128];
        snprintf(choices, sizeof(choices), " %s ", s->choices);
        snprintf(word, sizeof(word), " %s ", s->default_text);
        EXPECT(strstr(choices, word) != NULL, "the default of the setting %s is none of its choices", s->key);
    } else if (s->type == FLAMENCO_SETTING_INT || s->type == FLAMENCO_SETTING_DURATION ||
               s->type == FLAMENCO_SETTING_BYTES) {
        int64_t value = i->settings.integer(
            &(kit_instance){ .k = i->k, .plugin = i->plugin, .section = "none\x1f", .dir = i->dir }, s->key);
        EXPECT((s->min == 0 && s->max == 0) || (value >= s->min && value <= s->max),
               "the default of the setting %s, \"%s\", lies outside its limits", s->key, s->default_text);
    }
}

static void settings_are_well_formed(kit *k)
{
    kit_instance *i = kit_subject(k);
    const flamenco_setting *const *s = i->plugin.settings;
    for (size_t n = 0; s != NULL && s[n] != NULL; ++n) {
        check_setting(i, s[n]);
        for (size_t other = 0; other < n; ++other)
            EXPECT(strcmp(s[other]->key, s[n]->key) != 0, "it declares the setting %s twice", s[n]->key);
    }
}

// clang-format off
static const kit_check checks[] = {
    { "symbols.exports", NULL, one_symbol_is_exported,
      "the file exports flamenco_plugin_query and nothing else", "plugins.md: One exported function" },
    { "symbols.constructors", NULL, nothing_runs_when_it_is_loaded,
      "no code runs when the file is loaded", "plugins.md: Globals" },
    { "symbols.forbidden", NULL, nothing_forbidden_is_used,
      "the file uses no function that ends the process, writes to stdout or stderr, or changes environment or locale",
      "plugins.md: Globals" },
    { "descriptor.complete", NULL, descriptor_is_complete,
      "the descriptor is of this ABI and has all that every plugin must have", "plugin.h: flamenco_plugin" },
    { "descriptor.services", NULL, services_are_well_formed,
      "the services have ids with revisions, and tables with every required method", "plugin.h: flamenco_provide" },
    { "descriptor.constant", NULL, descriptor_is_constant,
      "descriptor, tables and settings are constant, and the same at each query", "plugin.h: flamenco_plugin" },
    { "descriptor.identity", NULL, plugin_tells_who_it_is,
      "id, version and licence are there", "plugin.h: flamenco_plugin" },
    { "descriptor.needs", NULL, needs_are_well_formed,
      "the needs have ids with revisions, each once", "plugin.h: flamenco_need" },
    { "descriptor.settings", NULL, settings_are_well_formed,
      "settings have keys, types, sentences for people, and defaults that their limits allow", "plugin.h: flamenco_setting" },
};
// clang-format on

const kit_group descriptor_checks = { checks, sizeof(checks) / sizeof(checks[0]) };

/* SPDX-License-Identifier: Apache-2.0 */
#include "core/options.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "flamenco/plugin.h"

enum { FLAG, TEXT, FORMAT };

typedef struct option {
    const char *name;
    int kind;
    size_t offset;
    const char *value; /* what the value is called in the usage */
    const char *doc;
} option;

static const option options[] = {
    { "config", TEXT, offsetof(fl_options, config), "FILE", "read FILE as manager.yaml" },
    { "check-config", FLAG, offsetof(fl_options, check_config), NULL,
      "check both configuration files and all plugins, then quit" },
    { "list-plugins", FLAG, offsetof(fl_options, list_plugins), NULL,
      "list the plugins that would be loaded, then quit" },
    { "write-config", FLAG, offsetof(fl_options, write_config), NULL,
      "write flamenco-manager.yaml with all its settings, then quit" },
    { "shaman-gc-show", FLAG, offsetof(fl_options, gc_show), NULL,
      "show which files of Shaman nobody needs any more, then quit" },
    { "shaman-gc-delete", FLAG, offsetof(fl_options, gc_delete), NULL,
      "remove files of Shaman that nobody needs any more, then quit" },
    { "setup-assistant", FLAG, offsetof(fl_options, setup_assistant), NULL, "start as if for the first time" },
    { "log-format", FORMAT, offsetof(fl_options, log_json), "text|json", "form of the log lines" },
    { "quiet", FLAG, offsetof(fl_options, quiet), NULL, "log warnings and errors only" },
    { "debug", FLAG, offsetof(fl_options, debug), NULL, "log more" },
    { "trace", FLAG, offsetof(fl_options, trace), NULL, "log everything" },
    { "version", FLAG, offsetof(fl_options, version), NULL, "show the version, then quit" },
    { "help", FLAG, offsetof(fl_options, help), NULL, "show this, then quit" },
    { "h", FLAG, offsetof(fl_options, help), NULL, NULL },
};

#define OPTIONS (sizeof(options) / sizeof(options[0]))

void fl_options_usage(int to_stderr)
{
    FILE *out = to_stderr ? stderr : stdout;
    fprintf(
        out,
        "usage: flamenco-manager [OPTION]...\n\n"
        "Serves a Flamenco render farm. Settings are read from flamenco-manager.yaml in the working directory, and\n"
        "from manager.yaml, which also says which plugins are loaded.\n\n");
    for (size_t i = 0; i < OPTIONS; ++i) {
        char name[64];
        if (options[i].doc == NULL)
            continue;
        snprintf(name, sizeof(name), "--%s%s%s", options[i].name, options[i].value != NULL ? " " : "",
                 options[i].value != NULL ? options[i].value : "");
        fprintf(out, "  %-24s %s\n", name, options[i].doc);
    }
}

static int read_flag(const char *text, int *out)
{
    static const char *const yes[] = { "true", "1", "t", "T", "TRUE", "True" };
    static const char *const no[] = { "false", "0", "f", "F", "FALSE", "False" };
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); ++i) {
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            *out = strcmp(text, yes[i]) == 0;
            return 0;
        }
    }
    return -1;
}

static const option *find_option(const char *name, size_t len)
{
    for (size_t i = 0; i < OPTIONS; ++i) {
        if (strlen(options[i].name) == len && memcmp(options[i].name, name, len) == 0)
            return &options[i];
    }
    return NULL;
}

static int set_option(fl_options *out, const option *o, const char *value)
{
    char *at = (char *)out + o->offset;
    if (o->kind == TEXT) {
        memcpy(at, &value, sizeof(value));
        return value[0] != '\0' ? 0 : -1;
    }
    int number = 0;
    if (o->kind == FORMAT) {
        number = strcmp(value, "json") == 0;
        if (!number && strcmp(value, "text") != 0)
            return -1;
    } else if (read_flag(value, &number) != 0) {
        return -1;
    }
    memcpy(at, &number, sizeof(number));
    return 0;
}

static int complain(const char *what, const char *argument)
{
    fprintf(stderr, "flamenco-manager: %s %s\n\n", what, argument);
    fl_options_usage(1);
    return -1;
}

int fl_options_read(int argc, char **argv, fl_options *out)
{
    memset(out, 0, sizeof(*out));
    for (int i = 1; i < argc; ++i) {
        const char *name = argv[i];
        if (name[0] != '-' || name[1] == '\0' || strcmp(name, "--") == 0)
            return 0; /* what is left over is ignored, as the reference does */
        name += name[1] == '-' ? 2 : 1;
        const char *equals = strchr(name, '=');
        const option *o = find_option(name, equals != NULL ? (size_t)(equals - name) : strlen(name));
        if (o == NULL)
            return complain("unknown option", argv[i]);
        const char *value = equals != NULL ? equals + 1 : o->kind == FLAG ? "true" : i + 1 < argc ? argv[++i] : "";
        if (set_option(out, o, value) != 0)
            return complain("bad or missing value of", argv[equals != NULL || o->kind == FLAG ? i : i - 1]);
    }
    return 0;
}

uint32_t fl_options_log_level(const fl_options *o)
{
    if (o->trace)
        return FLAMENCO_LOG_TRACE;
    if (o->debug)
        return FLAMENCO_LOG_DEBUG;
    return o->quiet ? FLAMENCO_LOG_WARN : FLAMENCO_LOG_INFO;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * main.c - flamenco-plugin-check: tells whether a plugin keeps the contract of the services that it provides. See README.md.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "report.h"

#define PASSED 0
#define FAILURES 1
#define UNUSABLE 2 /* usage, configuration, a file that cannot be loaded */

#define RESULTS_MOST 1024

static void usage(FILE *out)
{
    fputs("usage: flamenco-plugin-check [OPTION...] FILE\n"
          "Tells whether the plugin FILE keeps the contract of the services that it provides.\n"
          "  --service ID        only the checks of this service (\"flamenco.persistence/1\", or \"persistence\")\n"
          "  --config FILE       settings of the plugin, and of those that it needs (README.md)\n"
          "  --plugin-path DIRS  where the plugins are that it needs, ':' between\n"
          "  --check NAME        only this check; NAME may end in '*'\n"
          "  --list              name the checks, run none; without FILE: all there are\n"
          "  --json              report as JSON\n"
          "  --slower FACTOR     multiply time limits, for slow machines\n"
          "  --keep              leave the checks' folders\n"
          "  --verbose           leave what plugins log in the file `stderr` of each check's folder\n"
          "  --help, --version\n"
          "exit code: 0 all passed, 1 something failed, 2 usage, or the file cannot be loaded\n",
          out);
}

/* ---- What there is to run ------------------------------------------------------------------------------------------- */

/* The first thing that is asked of a plugin: who it is. Runs as a check does. */
static void introduce(kit *k)
{
    const kit_instance *i = kit_subject(k);
    char text[2000];
    int len =
        snprintf(text, sizeof(text), "O%.100s\n%.60s\n%.60s\n", i->plugin.id, i->plugin.version, i->plugin.licence);
    for (const flamenco_provide *const *p = i->plugin.provides; p != NULL && *p != NULL && len < 1500; ++p)
        len +=
            snprintf(text + len, sizeof(text) - (size_t)len, "%s%.100s", p != i->plugin.provides ? " " : "", (*p)->id);
    _exit(write(KIT_REPORT_FD, text, (size_t)len) == len ? 0 : 70);
}

static const kit_check introduction = { "introduction", NULL, introduce, "the plugin tells who it is", "plugin.h" };

static void read_line(const char **from, char *out, size_t size)
{
    size_t len = strcspn(*from, "\n");
    snprintf(out, size, "%.*s", (int)len, *from);
    *from += len + ((*from)[len] == '\n');
}

static int has_word(const char *words, const char *word)
{
    size_t len = strlen(word);
    for (const char *p = words; (p = strstr(p, word)) != NULL; p += len) {
        if ((p == words || p[-1] == ' ') && (p[len] == ' ' || p[len] == '\0'))
            return 1;
    }
    return 0;
}

/* "persistence" stands for "flamenco.persistence/1". */
static int is_service(const char *asked, const char *id)
{
    size_t len = strlen(asked);
    return strcmp(asked, id) == 0 ||
           (strncmp(id, "flamenco.", 9) == 0 && strncmp(id + 9, asked, len) == 0 && id[9 + len] == '/');
}

static int is_wanted(const kit_options *o, const kit_identity *identity, const kit_check *c)
{
    if (o->only != NULL) {
        size_t len = strlen(o->only);
        int prefix = len > 0 && (o->only[len - 1] == '*' || o->only[len - 1] == '.');
        if (prefix ? strncmp(c->name, o->only, len - (o->only[len - 1] == '*')) != 0 : strcmp(c->name, o->only) != 0)
            return 0;
    }
    if (o->service != NULL)
        return c->service != NULL && is_service(o->service, c->service);
    return c->service == NULL || identity == NULL || has_word(identity->services, c->service);
}

static int list(const kit_options *o, const kit_identity *identity)
{
    size_t n = 0;
    for (const kit_group *const *g = kit_groups; *g != NULL; ++g) {
        for (size_t i = 0; i < (*g)->n; ++i) {
            const kit_check *c = &(*g)->checks[i];
            if (is_wanted(o, identity, c) && ++n)
                printf("%-44s %s (%s)\n", c->name, c->proves, c->reference);
        }
    }
    return n > 0 ? PASSED : UNUSABLE;
}

/* ---- Running -------------------------------------------------------------------------------------------------------- */

typedef struct run_state {
    kit_runner runner;
    kit_result *results;
    size_t n;
    kit_totals totals;
} run_state;

static int has_failed(const run_state *s, const char *name)
{
    for (size_t i = 0; i < s->n; ++i) {
        if (strcmp(s->results[i].check->name, name) == 0)
            return s->results[i].verdict == KIT_FAILED;
    }
    return 0;
}

/* What another check is for is reported once: by that one. */
static void settle(const run_state *s, kit_result *r)
{
    char reason[sizeof(r->reason)];
    if (r->verdict == KIT_FAILED && r->exited && has_failed(s, "behaviour.exit")) {
        r->verdict = KIT_SKIPPED;
        snprintf(r->reason, sizeof(r->reason), "the plugin ends the process (behaviour.exit)");
    }
    if (r->verdict != KIT_BLOCKED)
        return;
    r->verdict = has_failed(s, r->blocked_by) ? KIT_SKIPPED : KIT_FAILED;
    if (r->verdict == KIT_SKIPPED) {
        snprintf(reason, sizeof(reason), "because %s failed", r->blocked_by);
        memcpy(r->reason, reason, sizeof(reason));
    }
}

static void run_one(run_state *s, const kit_check *c)
{
    kit_result *r = &s->results[s->n];
    kit_runner_run(&s->runner, c, r);
    settle(s, r);
    s->totals.passed += r->verdict == KIT_OK;
    s->totals.failed += r->verdict == KIT_FAILED;
    s->totals.skipped += r->verdict == KIT_SKIPPED;
    kit_report_result(s->runner.options, r, s->n == 0);
    ++s->n;
}

static int run_all(run_state *s, const kit_identity *identity)
{
    kit_report_begin(s->runner.options, identity);
    for (const kit_group *const *g = kit_groups; *g != NULL; ++g) {
        for (size_t i = 0; i < (*g)->n && s->n < RESULTS_MOST; ++i) {
            if (is_wanted(s->runner.options, identity, &(*g)->checks[i]))
                run_one(s, &(*g)->checks[i]);
        }
    }
    kit_report_end(s->runner.options, &s->totals);
    return s->totals.failed > 0 ? FAILURES : PASSED;
}

static int serves(const kit_options *o, const kit_identity *identity)
{
    char words[sizeof(identity->services)];
    snprintf(words, sizeof(words), "%s", identity->services);
    for (char *rest, *word = strtok_r(words, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        if (is_service(o->service, word))
            return 1;
    }
    return 0;
}

static int check_file(const kit_options *o, const kit_config *config)
{
    run_state s = { .runner = { .options = o, .config = config } };
    kit_result who;
    kit_identity identity = { 0 };
    char problem[4096];
    int code = UNUSABLE;
    if (kit_runner_init(&s.runner, problem, sizeof(problem)) != 0) {
        fprintf(stderr, "flamenco-plugin-check: %s\n", problem);
        return UNUSABLE;
    }
    s.results = calloc(RESULTS_MOST, sizeof(*s.results));
    kit_runner_run(&s.runner, &introduction, &who);
    if (who.verdict == KIT_OK) {
        const char *p = who.reason;
        read_line(&p, identity.id, sizeof(identity.id));
        read_line(&p, identity.version, sizeof(identity.version));
        read_line(&p, identity.licence, sizeof(identity.licence));
        read_line(&p, identity.services, sizeof(identity.services));
    }
    if (s.results == NULL)
        fprintf(stderr, "flamenco-plugin-check: memory is exhausted\n");
    else if (who.verdict == KIT_BLOCKED && strcmp(who.blocked_by, "symbols.resolved") == 0)
        fprintf(stderr, "flamenco-plugin-check: %s cannot be loaded: %s\n", o->file, who.reason);
    else if (who.verdict == KIT_BLOCKED && strcmp(who.blocked_by, "configuration") == 0)
        fprintf(stderr, "flamenco-plugin-check: %s: %s\n", o->config_file, who.reason);
    else if (who.verdict == KIT_OK && o->service != NULL && !serves(o, &identity))
        fprintf(stderr, "flamenco-plugin-check: %s does not provide %s but %s\n", o->file, o->service,
                identity.services);
    else
        code = o->list ? list(o, &identity) : run_all(&s, &identity);
    kit_runner_fini(&s.runner);
    free(s.results);
    return code;
}

/* ---- Options -------------------------------------------------------------------------------------------------------- */

/* The file's folder and the one above it (a build tree), then the installed plugins. */
static char *usual_path(const char *file)
{
    const char *slash = strrchr(file, '/');
    char *out = NULL;
    int len = (int)(slash - file);
    if (asprintf(&out, "%.*s:%.*s/..:%s", len, file, len, file, KIT_PLUGINDIR) < 0)
        return NULL;
    return out;
}

static int read_options(int argc, char **argv, kit_options *o)
{
    static const struct option known[] = { { "service", required_argument, NULL, 's' },
                                           { "config", required_argument, NULL, 'c' },
                                           { "plugin-path", required_argument, NULL, 'p' },
                                           { "check", required_argument, NULL, 'n' },
                                           { "list", no_argument, NULL, 'l' },
                                           { "json", no_argument, NULL, 'j' },
                                           { "slower", required_argument, NULL, 'f' },
                                           { "keep", no_argument, NULL, 'k' },
                                           { "verbose", no_argument, NULL, 'v' },
                                           { "help", no_argument, NULL, 'h' },
                                           { "version", no_argument, NULL, 'V' },
                                           { NULL, 0, NULL, 0 } };
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (c) {
        case 's':
            o->service = optarg;
            break;
        case 'c':
            o->config_file = optarg;
            break;
        case 'p':
            o->plugin_path = optarg;
            break;
        case 'n':
            o->only = optarg;
            break;
        case 'l':
            o->list = 1;
            break;
        case 'j':
            o->json = 1;
            break;
        case 'f':
            o->slower = strtod(optarg, NULL);
            break;
        case 'k':
            o->keep = 1;
            break;
        case 'v':
            o->verbose = 1;
            break;
        case 'h':
            usage(stdout);
            exit(PASSED);
        case 'V':
            printf("flamenco-plugin-check %s, plugin ABI %d.%d\n", KIT_VERSION, FLAMENCO_ABI_MAJOR, FLAMENCO_ABI_MINOR);
            exit(PASSED);
        default:
            return -1;
        }
    }
    return o->slower > 0 && argc - optind <= 1 && (o->list || optind < argc) ? 0 : -1;
}

int main(int argc, char **argv)
{
    char path[PATH_MAX];
    kit_options o = { .slower = 1 };
    char problem[4096];
    if (read_options(argc, argv, &o) != 0) {
        usage(stderr);
        return UNUSABLE;
    }
    if (optind == argc)
        return list(&o, NULL);
    if (realpath(argv[optind], path) == NULL) {
        fprintf(stderr, "flamenco-plugin-check: %s: %s\n", argv[optind], strerror(errno));
        return UNUSABLE;
    }
    o.file = path;
    char *usual = o.plugin_path == NULL ? usual_path(path) : NULL;
    if (usual != NULL)
        o.plugin_path = usual;
    kit_config *config = kit_config_read(o.config_file, problem, sizeof(problem));
    int code = UNUSABLE;
    if (config == NULL || o.plugin_path == NULL)
        fprintf(stderr, "flamenco-plugin-check: %s\n", config == NULL ? problem : "memory is exhausted");
    else
        code = check_file(&o, config);
    kit_config_free(config);
    free(usual);
    return code;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * lifecycle.c - the phases of any plugin, its use of the host, and what it leaves behind: memory, descriptors, threads,
 * signal handlers, and everything else that belongs to the whole process.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "groups.h"
#include "inner.h"

/* ---- What belongs to the process ------------------------------------------------------------------------------------- */

static size_t count_entries(const char *path)
{
    size_t n = 0;
    DIR *dir = opendir(path);
    EXPECT(dir != NULL, "the check cannot read %s", path);
    while (readdir(dir) != NULL)
        ++n;
    (void)closedir(dir);
    return n;
}

/* The first open descriptor that `before` does not have, as a text; empty: none. */
static void new_descriptor(const unsigned char *before, char *out, size_t size)
{
    out[0] = '\0';
    for (int fd = 0; fd < 1024; ++fd) {
        char link[64], target[256];
        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, target, sizeof(target) - 1);
        if (n <= 0 || (before[fd / 8] >> (fd % 8) & 1))
            continue;
        target[n] = '\0';
        snprintf(out, size, "%d: %s", fd, target);
        return;
    }
}

static void remember_descriptors(unsigned char *out)
{
    memset(out, 0, 128);
    for (int fd = 0; fd < 1024; ++fd) {
        struct stat st;
        if (fstat(fd, &st) == 0)
            out[fd / 8] = (unsigned char)(out[fd / 8] | 1 << (fd % 8));
    }
}

/* A thread that has just been joined may be listed for a moment. */
static size_t count_threads(size_t expected)
{
    size_t n = 0;
    for (int tries = 0; tries < 500; ++tries) {
        n = count_entries("/proc/self/task") - 2;
        if (n <= expected)
            break;
        (void)usleep(10000);
    }
    return n;
}

static void do_nothing(void *ctx, uint32_t index)
{
    (void)ctx;
    (void)index;
}

/* How many there are before the plugin makes any. With the first thread of all a sanitizer starts one of its own. */
static size_t threads_before(void)
{
    kit_threads(1, do_nothing, NULL);
    return count_threads(SIZE_MAX);
}

/* The whole life of the plugin, with a little work. */
static kit_instance *live(kit *k)
{
    kit_instance *i = kit_start_subject(k);
    flamenco_error err = kit_error();
    if (i->plugin.health != NULL)
        (void)i->plugin.health(i->self, &err);
    kit_exercise(i);
    return i;
}

/* ---- Phases ---------------------------------------------------------------------------------------------------------- */

static void phases_succeed(kit *k)
{
    kit_instance *i = kit_subject(k);
    flamenco_error err = kit_error();
    kit_start_needs(i);
    EXPECT_CODE(kit_create(i, &err), FLAMENCO_OK, &err);
    EXPECT(i->self != NULL, "create gives no instance");
    EXPECT_CODE(kit_configure(i, &err), FLAMENCO_OK, &err);
    EXPECT_CODE(kit_start(i, &err), FLAMENCO_OK, &err);
    int64_t begun = i->host.monotonic_us(i);
    EXPECT_CODE(kit_stop(i, &err), FLAMENCO_OK, &err);
    EXPECT(i->host.monotonic_us(i) - begun <= 21 * KIT_SECOND, "stop takes longer than its deadline");
    kit_destroy(i);
    kit_end_all(k);
}

static void destroy_accepts_null(kit *k)
{
    kit_instance *i = kit_subject(k);
    i->plugin.destroy(NULL);
}

static void phases_before_start_leave_nothing(kit *k)
{
    kit_instance *i = kit_subject(k);
    flamenco_error err = kit_error();
    unsigned char fds[128];
    char left[320];
    size_t threads = threads_before(), files = count_entries(k->dir);
    remember_descriptors(fds);
    for (int configured = 0; configured < 2; ++configured) {
        int32_t rc = kit_create(i, &err);
        if (rc == FLAMENCO_OK && configured)
            rc = kit_configure(i, &err);
        if (rc != FLAMENCO_OK)
            kit_blocked("lifecycle.start", "%s fails: %s", configured ? "configure" : "create", err.text);
        EXPECT(count_threads(threads) == threads, "it starts a thread before start");
        new_descriptor(fds, left, sizeof(left));
        EXPECT(left[0] == '\0', "it opens a file before start: %s", left);
        EXPECT(count_entries(k->dir) == files, "it makes a file before start");
        kit_destroy(i);
        EXPECT(i->live == 0, "%llu allocations are left when it is destroyed before start",
               (unsigned long long)i->live);
    }
}

static void plugin_starts_again(kit *k)
{
    for (int n = 0; n < 3; ++n) {
        live(k);
        kit_end_all(k);
    }
}

/* A place of its own for each, where the settings have {dir}. */
static void two_instances_do_not_disturb_each_other(kit *k)
{
    char dir[4096];
    flamenco_error err = kit_error();
    kit_instance *a = kit_start_subject(k);
    kit_instance *b = kit_open(k, k->options->file, "");
    snprintf(dir, sizeof(dir), "%s/second", k->dir);
    EXPECT(mkdir(dir, 0700) == 0, "the check cannot make %s", dir);
    b->dir = dir;
    int32_t rc = kit_try_start(b, &err);
    if (rc == FLAMENCO_E_BUSY)
        kit_skip("a second instance cannot be configured apart from the first: %s", err.text);
    EXPECT_CODE(rc, FLAMENCO_OK, &err);
    kit_exercise(a);
    kit_end(a);
    kit_exercise(b);
    kit_end(b);
    kit_end_all(k);
}

static void health_is_told(kit *k)
{
    kit_instance *i = kit_start_subject(k);
    flamenco_error err = kit_error();
    if (i->plugin.health == NULL)
        kit_skip("it has no health");
    int32_t rc = i->plugin.health(i->self, &err);
    EXPECT(rc == FLAMENCO_OK, "a plugin that has just been started is not well: %s: %s", kit_code_name(rc), err.text);
    kit_exercise(i);
    rc = i->plugin.health(i->self, &err);
    EXPECT(kit_is_code(rc), "health gives %d, which is no code", (int)rc);
    EXPECT(rc == FLAMENCO_OK || err.text[0] != '\0', "health gives %s without a text", kit_code_name(rc));
    kit_end_all(k);
}

static void host_is_used_as_allowed(kit *k)
{
    live(k);
    kit_end_all(k);
    EXPECT(k->violation[0] == '\0', "%s", k->violation);
}

/* ---- Memory ---------------------------------------------------------------------------------------------------------- */

static void memory_is_given_back(kit *k)
{
    kit_instance *i = live(k);
    kit_end_all(k);
    EXPECT(i->live == 0, "%llu allocations of %llu bytes are left after destroy", (unsigned long long)i->live,
           (unsigned long long)i->live_bytes);
    EXPECT(k->buffers == 0, "%llu references on shared buffers are left after destroy", (unsigned long long)k->buffers);
}

/* One start in which allocation `n` fails. Gives 0 when there are not so many. */
static int start_scarcely(kit_instance *i, uint64_t n, uint64_t usual)
{
    kit *k = i->k;
    flamenco_error err = kit_error();
    unsigned char fds[128];
    char left[320];
    remember_descriptors(fds);
    k->allocations = k->failed_allocations = 0;
    k->fail_at = n;
    int32_t rc = kit_try_start(i, &err);
    k->fail_at = 0;
    uint64_t before = i->live;
    EXPECT(kit_is_code(rc), "a start gives %d, which is no code, when allocation %llu fails", (int)rc,
           (unsigned long long)n);
    if (rc == FLAMENCO_OK) {
        kit_end(i);
        return k->failed_allocations > 0;
    }
    EXPECT(k->failed_allocations > 0, "a start fails now and then: %s", err.text);
    EXPECT(err.text[0] != '\0', "a start gives no text when allocation %llu fails", (unsigned long long)n);
    EXPECT(before <= usual, "%llu allocations are left after a start in which allocation %llu fails",
           (unsigned long long)before, (unsigned long long)n);
    new_descriptor(fds, left, sizeof(left));
    EXPECT(left[0] == '\0', "a file stays open after a start in which allocation %llu fails: %s", (unsigned long long)n,
           left);
    i->live = 0;
    return 1;
}

static void start_survives_a_lack_of_memory(kit *k)
{
    kit_instance *i = kit_start_subject(k);
    kit_end(i);
    uint64_t usual = i->live; /* what it leaves anyway is the business of memory.leaks */
    for (uint64_t n = 1; n < 500 && start_scarcely(i, n, usual); ++n)
        i->live = 0;
    kit_end_all(k);
}

static uint64_t work(kit *k, uint64_t every)
{
    kit_instance *i = kit_subject(k);
    i->live = 0;
    k->buffers = 0;
    kit_start_subject(k);
    k->allocations = 0;
    k->fail_every = every;
    kit_exercise(i);
    k->fail_every = 0;
    kit_exercise(i);
    kit_end(i);
    return i->live + k->buffers;
}

static void work_survives_a_lack_of_memory(kit *k)
{
    static const uint64_t every[] = { 1, 2, 3, 5, 7, 11 };
    uint64_t usual = work(k, 0); /* memory.leaks */
    for (size_t n = 0; n < sizeof(every) / sizeof(every[0]); ++n) {
        uint64_t left = work(k, every[n]);
        EXPECT(left <= usual,
               "%llu allocations and buffers are left after work in which every %lluth allocation failed",
               (unsigned long long)left, (unsigned long long)every[n]);
    }
    kit_end_all(k);
}

static void descriptors_are_closed(kit *k)
{
    unsigned char fds[128];
    char left[320];
    kit_subject(k); /* mapping the file may open some */
    remember_descriptors(fds);
    live(k);
    kit_end_all(k);
    new_descriptor(fds, left, sizeof(left));
    EXPECT(left[0] == '\0', "a file stays open after destroy: %s", left);
}

/* ---- Forbidden behaviour --------------------------------------------------------------------------------------------- */

static void process_goes_on(kit *k)
{
    live(k);
    kit_end_all(k);
}

static void nothing_is_written_to_the_terminal(kit *k)
{
    struct stat out, err;
    live(k);
    kit_end_all(k);
    (void)fflush(NULL);
    EXPECT(fstat(1, &out) == 0 && fstat(2, &err) == 0, "it closes stdout or stderr");
    EXPECT(out.st_size == 0, "it writes to stdout");
    EXPECT(err.st_size == 0, "it writes to stderr");
}

static int is_ours(int number)
{
    return number == SIGKILL || number == SIGSTOP || (number >= 32 && number < SIGRTMIN);
}

static void signals_are_left_alone(kit *k)
{
    static struct sigaction before[65]; /* too large for a stack that is checked */
    sigset_t mask_before, mask;
    (void)pthread_sigmask(SIG_SETMASK, NULL, &mask_before);
    for (int s = 1; s < 65; ++s) {
        if (!is_ours(s))
            (void)sigaction(s, NULL, &before[s]);
    }
    live(k);
    for (int phase = 0; phase < 2; ++phase) {
        for (int s = 1; s < 65; ++s) {
            struct sigaction now;
            if (is_ours(s) || sigaction(s, NULL, &now) != 0)
                continue;
            EXPECT(now.sa_handler == before[s].sa_handler, "it changes what is done on the signal %s", strsignal(s));
        }
        (void)pthread_sigmask(SIG_SETMASK, NULL, &mask);
        for (int s = 1; s < 65; ++s)
            EXPECT(is_ours(s) || sigismember(&mask, s) == sigismember(&mask_before, s),
                   "it changes the caller's signal mask");
        if (phase == 0)
            kit_end_all(k);
    }
}

static void working_directory_is_left_alone(kit *k)
{
    char before[4096], after[4096];
    EXPECT(getcwd(before, sizeof(before)) != NULL, "the check cannot tell where it is");
    live(k);
    EXPECT(getcwd(after, sizeof(after)) != NULL && strcmp(before, after) == 0, "it changes the working directory");
    kit_end_all(k);
    EXPECT(getcwd(after, sizeof(after)) != NULL && strcmp(before, after) == 0, "it changes the working directory");
}

static void umask_is_left_alone(kit *k)
{
    (void)umask(0027);
    live(k);
    kit_end_all(k);
    EXPECT(umask(0) == 0027, "it changes the umask");
}

/* All variables as one text. malloc'ed. */
static char *read_environment(void)
{
    extern char **environ;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    EXPECT(out != NULL, "the check's memory is exhausted");
    for (size_t n = 0; environ[n] != NULL; ++n)
        (void)fprintf(out, "%s\n", environ[n]);
    EXPECT(fclose(out) == 0 && text != NULL, "the check's memory is exhausted");
    return text;
}

static void locale_and_environment_are_left_alone(kit *k)
{
    char locale[512];
    snprintf(locale, sizeof(locale), "%s", setlocale(LC_ALL, NULL));
    EXPECT(setenv("PLUGIN_CHECK", "1", 1) == 0, "the check cannot set a variable");
    char *before = read_environment();
    live(k);
    kit_end_all(k);
    char *after = read_environment();
    EXPECT(strcmp(locale, setlocale(LC_ALL, NULL)) == 0, "it changes the locale");
    EXPECT(strcmp(before, after) == 0, "it changes the environment");
    free(before);
    free(after);
}

static void threads_end_in_stop(kit *k)
{
    size_t before;
    kit_instance *i = kit_subject(k);
    kit_start_needs(i);
    before = threads_before();
    live(k);
    flamenco_error err = kit_error();
    (void)kit_stop(i, &err);
    EXPECT(count_threads(before) == before, "a thread of its own goes on after stop");
    kit_destroy(i);
    kit_end_all(k);
}

/* What /proc tells of a thread that has come to rest: a new one still has the mask under which it was made. 0: it has ended. */
static int read_thread(const char *id, char *name, unsigned long long *blocked)
{
    for (int tries = 0; tries < 1000; ++tries) {
        char path[320], line[256], state = '?';
        snprintf(path, sizeof(path), "/proc/self/task/%s/status", id);
        FILE *status = fopen(path, "re");
        if (status == NULL)
            return 0;
        while (fgets(line, sizeof(line), status) != NULL) {
            if (strncmp(line, "Name:\t", 6) == 0)
                snprintf(name, 64, "%.*s", (int)strcspn(line + 6, "\n"), line + 6);
            if (strncmp(line, "State:\t", 7) == 0)
                state = line[7];
            if (strncmp(line, "SigBlk:\t", 8) == 0)
                *blocked = strtoull(line + 8, NULL, 16);
        }
        (void)fclose(status);
        if (state == 'S')
            return 1;
        (void)usleep(5000);
    }
    return 1;
}

static void threads_block_signals(kit *k)
{
    static const int signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGCHLD };
    live(k);
    DIR *dir = opendir("/proc/self/task");
    EXPECT(dir != NULL, "the check cannot list its threads");
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        char name[64] = "";
        unsigned long long blocked = 0;
        if (e->d_name[0] == '.' || strtol(e->d_name, NULL, 10) == (long)getpid() ||
            !read_thread(e->d_name, name, &blocked))
            continue;
        for (size_t s = 0; s < sizeof(signals) / sizeof(signals[0]); ++s)
            EXPECT(blocked >> (signals[s] - 1) & 1, "a thread (%s) does not block %s", name, strsignal(signals[s]));
    }
    (void)closedir(dir);
    kit_end_all(k);
}

static void processes_end_in_stop(kit *k)
{
    live(k);
    kit_end_all(k);
    pid_t child = waitpid(-1, NULL, WNOHANG);
    EXPECT(child < 0 && errno == ECHILD, "a process of its own %s after stop",
           child == 0 ? "runs on" : "was not waited for");
}

// clang-format off
static const kit_check checks[] = {
    { "lifecycle.start", NULL, phases_succeed,
      "create, configure, start, stop and destroy succeed, in time", "plugin.h: flamenco_plugin" },
    /* Early: others are told by it when a process ends in the middle. */
    { "behaviour.exit", NULL, process_goes_on,
      "the plugin never ends the process", "plugins.md: Globals" },
    { "lifecycle.destroy-null", NULL, destroy_accepts_null,
      "destroy accepts NULL", "plugin.h: destroy" },
    { "lifecycle.before-start", NULL, phases_before_start_leave_nothing,
      "create and configure open, make and start nothing, and destroy may follow either", "plugin.h: create, configure" },
    { "lifecycle.again", NULL, plugin_starts_again,
      "after destroy the plugin can be created and started again in the same process", "plugin.h: flamenco_plugin" },
    { "lifecycle.two-instances", NULL, two_instances_do_not_disturb_each_other,
      "two instances work side by side, so there are no globals that change", "plugins.md: Globals" },
    { "lifecycle.health", NULL, health_is_told,
      "a plugin that has just started is well, and a failure has a text", "plugin.h: health" },
    { "lifecycle.host-calls", NULL, host_is_used_as_allowed,
      "host functions are called in the phases that allow them, for declared services and settings alone",
      "plugin.h: flamenco_host" },
    { "memory.leaks", NULL, memory_is_given_back,
      "all memory of the host, and every reference on a buffer, is given back by destroy", "plugin.h: OWNERSHIP" },
    { "memory.start", NULL, start_survives_a_lack_of_memory,
      "whichever allocation fails during the start, the instance can be destroyed and leaves nothing",
      "plugin.h: flamenco_plugin" },
    { "memory.work", NULL, work_survives_a_lack_of_memory,
      "methods give a code of the list when every n-th allocation fails, and nothing leaks", "plugin.h: RESULTS" },
    { "memory.descriptors", NULL, descriptors_are_closed,
      "every descriptor is closed after destroy", "plugin.h: stop" },
    { "behaviour.output", NULL, nothing_is_written_to_the_terminal,
      "nothing is written to stdout or stderr", "plugins.md: Globals" },
    { "behaviour.signals", NULL, signals_are_left_alone,
      "signal handlers and the callers' signal masks stay as they were", "plugins.md: Threads" },
    { "behaviour.directory", NULL, working_directory_is_left_alone,
      "the working directory stays as it was", "plugins.md: Globals" },
    { "behaviour.umask", NULL, umask_is_left_alone,
      "the umask stays as it was", "plugins.md: Globals" },
    { "behaviour.locale", NULL, locale_and_environment_are_left_alone,
      "locale and environment stay as they were", "plugins.md: Globals" },
    { "behaviour.threads", NULL, threads_end_in_stop,
      "every thread has ended when stop returns", "plugin.h: stop" },
    { "behaviour.thread-signals", NULL, threads_block_signals,
      "the plugin's own threads block signals", "plugins.md: Threads" },
    { "behaviour.processes", NULL, processes_end_in_stop,
      "every process that it started has ended when stop returns", "plugin.h: stop" },
};
// clang-format on

const kit_group lifecycle_checks = { checks, sizeof(checks) / sizeof(checks[0]) };

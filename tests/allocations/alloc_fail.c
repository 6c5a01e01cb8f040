/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc_fail.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <link.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RANGES 32
#define FRAMES 48
#define PATH_FRAMES 4 /* of ours, that tell one path to an allocation from another */
#define MODULES 128
#define PATHS 65536u /* a power of two */

/* The C library's own, under the names that it keeps for such purposes. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *ptr, size_t size);
void __libc_free(void *ptr);

static struct {
    uint64_t counted, fail_at; /* atomic */
    uint32_t happened; /* atomic */
    int64_t live; /* atomic */
    uintptr_t from[RANGES], to[RANGES]; /* callers that are not counted */
    size_t n_ranges;
    int ready;
    const char *count_file, *paths_file;
} state;

/* The ways on which allocations were asked for: each one's hash, and the number of the first that came by it. */
static struct {
    uint64_t hash, first;
} paths[PATHS];
static size_t n_paths;

/* What is loaded. Only one thread at a time notes paths. */
static struct {
    uintptr_t from, to;
    int foreign;
} modules[MODULES];
static size_t n_modules;
static int noting; /* atomic: the lock */

static _Thread_local int paused;

void alloc_fail_arm(uint64_t n)
{
    __atomic_store_n(&state.counted, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&state.happened, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&state.fail_at, n, __ATOMIC_SEQ_CST);
}

uint64_t alloc_fail_counted(void)
{
    return __atomic_load_n(&state.counted, __ATOMIC_SEQ_CST);
}

int alloc_fail_happened(void)
{
    return __atomic_load_n(&state.happened, __ATOMIC_SEQ_CST) != 0;
}

void alloc_fail_pause(void)
{
    ++paused;
}

void alloc_fail_resume(void)
{
    --paused;
}

int64_t alloc_fail_live(void)
{
    return __atomic_load_n(&state.live, __ATOMIC_SEQ_CST);
}

/* ---- Who asks ------------------------------------------------------------------------------------------------------------ */

static int is_passed_over(const char *path)
{
    static const char *const names[] = {
        "/libc.so", "/ld-linux", "/libcmocka", "/libgcc_s", "/libdl.so", "/libstdc++"
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); ++i) {
        if (strstr(path, names[i]) != NULL)
            return 1;
    }
    return 0;
}

static int note_library(struct dl_phdr_info *info, size_t size, void *ctx)
{
    (void)size;
    (void)ctx;
    for (int i = 0; is_passed_over(info->dlpi_name) && i < info->dlpi_phnum; ++i) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type != PT_LOAD || !(part->p_flags & PF_X) || state.n_ranges == RANGES)
            continue;
        state.from[state.n_ranges] = (uintptr_t)info->dlpi_addr + part->p_vaddr;
        state.to[state.n_ranges] = state.from[state.n_ranges] + part->p_memsz;
        ++state.n_ranges;
    }
    return 0;
}

static int note_module(struct dl_phdr_info *info, size_t size, void *ctx)
{
    (void)size;
    (void)ctx;
    for (int i = 0; i < info->dlpi_phnum && n_modules < MODULES; ++i) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type != PT_LOAD || !(part->p_flags & PF_X))
            continue;
        modules[n_modules].from = (uintptr_t)info->dlpi_addr + part->p_vaddr;
        modules[n_modules].to = modules[n_modules].from + part->p_memsz;
        modules[n_modules].foreign =
            strncmp(info->dlpi_name, "/usr/lib", 8) == 0 || strncmp(info->dlpi_name, "/lib", 4) == 0;
        ++n_modules;
    }
    return 0;
}

/* Whether code at an address is a library's of the system. Plugins come and go: what is not known is looked for. */
static int is_foreign(uintptr_t address)
{
    for (int again = 0; again < 2; ++again) {
        for (size_t i = 0; i < n_modules; ++i) {
            if (address >= modules[i].from && address < modules[i].to)
                return modules[i].foreign;
        }
        n_modules = 0;
        dl_iterate_phdr(note_module, NULL);
    }
    return 1;
}

/* The latest callers of ours, as a number. What libraries do among themselves is theirs to test: all their allocations of one
 * call of ours are one path. */
static uint64_t hash_path(void)
{
    void *frames[FRAMES];
    uint64_t hash = 14695981039346656037u;
    ++paused;
    int n = backtrace(frames, FRAMES), ours = 0;
    for (int i = 0; i < n && ours < PATH_FRAMES; ++i) {
        if (is_foreign((uintptr_t)frames[i]))
            continue;
        hash = (hash ^ (uintptr_t)frames[i]) * 1099511628211u;
        ++ours;
    }
    --paused;
    return hash != 0 ? hash : 1;
}

static void note_path(uint64_t number)
{
    uint64_t hash = hash_path(), i = hash & (PATHS - 1);
    while (paths[i].hash != 0 && paths[i].hash != hash)
        i = (i + 1) & (PATHS - 1);
    if (paths[i].hash == 0 && ++n_paths == PATHS) {
        static const char text[] = "ALLOC_FAIL: more paths than there is room for\n";
        _exit(write(2, text, sizeof(text) - 1) > 0 ? 4 : 5);
    }
    if (paths[i].hash == 0)
        paths[i].first = number;
    paths[i].hash = hash;
}

/* Tells whether this allocation is the one. */
static int fails(const void *caller)
{
    if (!state.ready || paused)
        return 0;
    for (size_t i = 0; i < state.n_ranges; ++i) {
        if ((uintptr_t)caller >= state.from[i] && (uintptr_t)caller < state.to[i])
            return 0;
    }
    uint64_t n = __atomic_add_fetch(&state.counted, 1, __ATOMIC_RELAXED);
    if (state.paths_file != NULL) {
        while (__atomic_exchange_n(&noting, 1, __ATOMIC_ACQUIRE))
            sched_yield();
        note_path(n);
        __atomic_store_n(&noting, 0, __ATOMIC_RELEASE);
    }
    if (n != __atomic_load_n(&state.fail_at, __ATOMIC_RELAXED))
        return 0;
    __atomic_store_n(&state.happened, 1, __ATOMIC_SEQ_CST);
    if (getenv("ALLOC_FAIL_SHOW") != NULL) {
        void *frames[FRAMES];
        ++paused;
        backtrace_symbols_fd(frames, backtrace(frames, FRAMES), 2);
        --paused;
    }
    return 1;
}

static void *count(void *ptr)
{
    if (ptr != NULL)
        __atomic_add_fetch(&state.live, 1, __ATOMIC_RELAXED);
    return ptr;
}

__attribute__((visibility("default"))) void *malloc(size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : count(__libc_malloc(size));
}

__attribute__((visibility("default"))) void *calloc(size_t n, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : count(__libc_calloc(n, size));
}

__attribute__((visibility("default"))) void *realloc(void *ptr, size_t size)
{
    if (fails(__builtin_return_address(0)))
        return NULL;
    void *out = __libc_realloc(ptr, size);
    if (ptr == NULL)
        count(out);
    else if (out == NULL && size == 0)
        __atomic_sub_fetch(&state.live, 1, __ATOMIC_RELAXED);
    return out;
}

__attribute__((visibility("default"))) void free(void *ptr)
{
    if (ptr != NULL)
        __atomic_sub_fetch(&state.live, 1, __ATOMIC_RELAXED);
    __libc_free(ptr);
}

/* Those that the C library makes on behalf of others. */
__attribute__((visibility("default"))) char *strndup(const char *text, size_t most)
{
    size_t len = strnlen(text, most);
    char *copy = fails(__builtin_return_address(0)) ? NULL : count(__libc_malloc(len + 1));
    if (copy != NULL) {
        memcpy(copy, text, len);
        copy[len] = '\0';
    }
    return copy;
}

__attribute__((visibility("default"))) char *strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = fails(__builtin_return_address(0)) ? NULL : count(__libc_malloc(size));
    if (copy != NULL)
        memcpy(copy, text, size);
    return copy;
}

static int format_new(char **out, const char *fmt, va_list args)
{
    va_list sizing;
    va_copy(sizing, args);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it is the copy that it does not see */
    int n = vsnprintf(NULL, 0, fmt, sizing);
    va_end(sizing);
    char *text = n < 0 ? NULL : count(__libc_malloc((size_t)n + 1));
    if (text != NULL)
        n = vsnprintf(text, (size_t)n + 1, fmt, args);
    *out = text;
    return text != NULL ? n : -1;
}

__attribute__((visibility("default"))) int vasprintf(char **out, const char *fmt, va_list args)
{
    *out = NULL;
    return fails(__builtin_return_address(0)) ? -1 : format_new(out, fmt, args);
}

__attribute__((visibility("default"))) int asprintf(char **out, const char *fmt, ...)
{
    *out = NULL;
    if (fails(__builtin_return_address(0)))
        return -1;
    va_list args;
    va_start(args, fmt);
    int n = format_new(out, fmt, args);
    va_end(args);
    return n;
}

/* ---- Preloaded ------------------------------------------------------------------------------------------------------------- */

/* Tells where it happened, for the script to judge whose fault it is, and leaves. */
static void on_signal(int number)
{
    static const char head[] = "\nALLOC_FAIL: ended by a signal\n";
    void *frames[FRAMES];
    ++paused;
    if (write(2, head, sizeof(head) - 1) > 0)
        backtrace_symbols_fd(frames, backtrace(frames, FRAMES), 2);
    _exit(128 + number);
}

static int is_deadly(int number)
{
    return number == SIGSEGV || number == SIGBUS || number == SIGFPE || number == SIGILL || number == SIGABRT;
}

/* The test framework would take the deadly signals for failed tests. */
__attribute__((visibility("default"))) int sigaction(int number, const struct sigaction *action, struct sigaction *old)
{
    static int (*real)(int, const struct sigaction *, struct sigaction *);
    if (real == NULL) {
        void *symbol = dlsym(RTLD_NEXT, "sigaction");
        memcpy(&real, &symbol, sizeof(real));
    }
    if (state.count_file != NULL && action != NULL && is_deadly(number) && action->sa_handler != on_signal) {
        if (old != NULL)
            memset(old, 0, sizeof(*old));
        return 0;
    }
    return real(number, action, old);
}

__attribute__((visibility("default"))) void (*signal(int number, void (*handler)(int)))(int)
{
    struct sigaction action = { .sa_handler = handler }, old;
    return sigaction(number, &action, &old) == 0 ? old.sa_handler : SIG_ERR;
}

static void write_count(void)
{
    FILE *f = fopen(state.count_file, "w");
    if (f == NULL)
        return;
    fprintf(f, "%llu %d\n", (unsigned long long)alloc_fail_counted(), alloc_fail_happened());
    fclose(f);
}

static void write_paths(void)
{
    FILE *f = fopen(state.paths_file, "w");
    if (f == NULL)
        return;
    for (size_t i = 0; i < PATHS; ++i) {
        if (paths[i].hash != 0)
            fprintf(f, "%llu\n", (unsigned long long)paths[i].first);
    }
    fclose(f);
}

__attribute__((constructor)) static void begin(void)
{
    void *frames[2];
    (void)backtrace(frames, 2); /* loads what it needs now, not in a handler */
    dl_iterate_phdr(note_library, NULL);
    state.count_file = getenv("ALLOC_FAIL_COUNT");
    if (state.count_file != NULL) {
        const char *at = getenv("ALLOC_FAIL_AT");
        static const int deadly[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
        for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]); ++i) {
            struct sigaction action = { .sa_handler = on_signal };
            sigaction(deadly[i], &action, NULL);
        }
        alloc_fail_arm(at != NULL ? strtoull(at, NULL, 10) : 0);
        atexit(write_count);
        state.paths_file = getenv("ALLOC_FAIL_PATHS");
        if (state.paths_file != NULL)
            atexit(write_paths);
    }
    state.ready = 1;
}

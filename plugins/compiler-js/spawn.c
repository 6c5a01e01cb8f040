/* SPDX-License-Identifier: Apache-2.0
 *
 * spawn.c - starts and ends one helper process (pool.h). posix_spawn and not fork, since the manager has many threads.
 */
#include "pool.h"

#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A slow disk after a reboot must not look like a broken helper. */
#define START_US 20000000

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

/* ---- Environment ----------------------------------------------------------------------------------------------- */

/* The manager's time zone as a name. The helper cannot read /etc/localtime once it is sealed, and the engine wants a name. */
static void find_zone(char *out, size_t size)
{
    const char *zone = getenv("TZ");
    char link[512];
    ssize_t n = -1;
    if (zone != NULL && zone[0] == ':')
        zone++;
    if (zone == NULL) {
        n = readlink("/etc/localtime", link, sizeof(link) - 1);
        if (n > 0) {
            link[n] = '\0';
            zone = link;
        }
    }
    const char *known = zone != NULL ? strstr(zone, "zoneinfo/") : NULL;
    if (known != NULL)
        zone = known + strlen("zoneinfo/");
    if (zone == NULL) {
        FILE *file = fopen("/etc/timezone", "re");
        if (file != NULL && fgets(link, (int)sizeof(link), file) != NULL) {
            link[strcspn(link, " \t\r\n")] = '\0';
            zone = link;
        }
        if (file != NULL)
            fclose(file);
    }
    snprintf(out, size, "TZ=%s", zone != NULL && zone[0] != '\0' && zone[0] != '/' ? zone : "UTC");
}

/* What formatTimestampLocal gives for no time: the reference's zero time, in the zone's mean time of then. */
static void format_year_one(char *out, size_t size)
{
    const time_t zero = (time_t)-62135596800;
    struct tm tm;
    if (localtime_r(&zero, &tm) == NULL)
        snprintf(out, size, "0001-01-01_000000");
    else
        snprintf(out, size, "%04d-%02d-%02d_%02d%02d%02d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
                 tm.tm_min, tm.tm_sec);
}

/* ---- Starting -------------------------------------------------------------------------------------------------- */

typedef struct pipes {
    int sock[2]; /* ours, the helper's */
    int messages[2]; /* ours, the helper's */
} pipes;

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Moves a descriptor out of the way of those that the child gets. */
static int move_up(int *fd)
{
    int up = fcntl(*fd, F_DUPFD_CLOEXEC, 10);
    if (up < 0)
        return -1;
    close(*fd);
    *fd = up;
    return 0;
}

static int make_pipes(pipes *p)
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p->sock) != 0)
        return -1;
    if (pipe2(p->messages, O_CLOEXEC | O_NONBLOCK) != 0)
        return -1;
    if (move_up(&p->sock[1]) != 0 || move_up(&p->messages[1]) != 0)
        return -1;
    int flags = fcntl(p->sock[0], F_GETFL);
    return flags < 0 ? -1 : fcntl(p->sock[0], F_SETFL, flags | O_NONBLOCK);
}

static int spawn_process(const fl_pool *pool, const pipes *p, pid_t *pid)
{
    char zone[560];
    char manager[32];
    find_zone(zone, sizeof(zone));
    snprintf(manager, sizeof(manager), "%d", (int)getpid());
    char jit_off[] = "JSC_useJIT=0";
    char jit_on[] = "JSC_useJIT=1";
    char dfg_off[] = "JSC_useDFGJIT=0";
    char wasm_off[] = "JSC_useWasm=0";
    /* Without a JIT the engine takes the machine to be tiny, and collects garbage whenever the heap has grown by a fifth. */
    char growth[] = "JSC_miniVMHeapGrowthFactor=1.5";
    /* While a thread collects, the script would go on and make more. The helper has nothing else to do, so it waits. */
    char waits[] = "JSC_useConcurrentGC=0";
    char lang[] = "LANG=C.UTF-8";
    char *env[] = { pool->settings.jit ? jit_on : jit_off, dfg_off, wasm_off, growth, waits, lang, zone, NULL };
    char *argv[] = { pool->settings.helper, manager, NULL };

    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    if (posix_spawn_file_actions_init(&actions) != 0)
        return ENOMEM;
    if (posix_spawnattr_init(&attr) != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return ENOMEM;
    }
    int rc = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(&actions, 0, 1);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(&actions, p->messages[1], 2);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(&actions, p->sock[1], FL_WIRE_FD);
    if (rc == 0)
        rc = posix_spawn_file_actions_addclosefrom_np(&actions, FL_WIRE_FD + 1);
    /* A process group of its own: an interrupt from the terminal is the manager's to handle. */
    if (rc == 0)
        rc = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    if (rc == 0)
        rc = posix_spawnattr_setsigmask(&attr, &none);
    if (rc == 0)
        rc = posix_spawnattr_setsigdefault(&attr, &all);
    if (rc == 0)
        rc = posix_spawn(pid, pool->settings.helper, &actions, &attr, argv, env);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    return rc;
}

static int send_init(const fl_pool *pool, int sock)
{
    char cwd[4096];
    char year_one[64];
    if (getcwd(cwd, sizeof(cwd)) == NULL)
        snprintf(cwd, sizeof(cwd), "/");
    format_year_one(year_one, sizeof(year_one));
    fl_wire_out out = { NULL, 0, 0, 0, 0 };
    fl_wire_begin(&out, FL_WIRE_INIT);
    fl_wire_u32(&out, FL_WIRE_VERSION);
    fl_wire_u32(&out, pool->settings.sandbox != FL_SANDBOX_OFF ? FL_WIRE_SANDBOX_ON : FL_WIRE_SANDBOX_OFF);
    fl_wire_u32(&out, pool->settings.jit);
    fl_wire_u32(&out, pool->settings.freezes);
    fl_wire_str(&out, flamenco_text("linux"));
    fl_wire_str(&out, flamenco_text(cwd));
    fl_wire_str(&out, flamenco_text(year_one));
    fl_wire_end(&out);
    /* A new socket has room for a few KB at once. */
    int ok = !out.failed && send(sock, out.data, out.len, MSG_NOSIGNAL) == (ssize_t)out.len;
    fl_wire_free(&out);
    return ok ? 0 : -1;
}

/* Reads exactly n bytes until `until`, or until the pool is stopped. */
static int receive(const fl_pool *pool, int sock, uint8_t *to, size_t n, int64_t until)
{
    while (n > 0) {
        ssize_t got = recv(sock, to, n, 0);
        if (got > 0) {
            to += got;
            n -= (size_t)got;
            continue;
        }
        if (got == 0 || (errno != EAGAIN && errno != EINTR))
            return -1;
        if (fl_pool_now_us() >= until || atomic_load(&pool->stopping))
            return -1;
        struct pollfd fd = { sock, POLLIN, 0 };
        poll(&fd, 1, 50);
    }
    return 0;
}

static void identify(const char *path, fl_file_id *out)
{
    struct stat st;
    memset(out, 0, sizeof(*out));
    if (path == NULL || stat(path, &st) != 0)
        return;
    out->device = (uint64_t)st.st_dev;
    out->inode = (uint64_t)st.st_ino;
    out->modified = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
}

/* Says once what the kernel or a container does not offer. */
static int32_t judge_sandbox(fl_pool *pool, uint32_t seccomp, uint32_t landlock, flamenco_error *err)
{
    if (pool->settings.sandbox == FL_SANDBOX_OFF || (seccomp == 0 && landlock == 0))
        return FLAMENCO_OK;
    const char *missing = seccomp != 0 && landlock != 0 ? "seccomp and Landlock"
                          : seccomp != 0                ? "seccomp"
                                                        : "Landlock";
    const char *reason = strerror((int)(seccomp != 0 ? seccomp : landlock));
    if (pool->settings.sandbox == FL_SANDBOX_REQUIRED)
        return flamenco_fail(err, FLAMENCO_E_UNAVAILABLE,
                             "the script engine is not started: no %s here (%s), and sandbox is "
                             "`required`",
                             missing, reason);
    if (!pool->sandbox_told)
        pool->host->log(pool->host->h, FLAMENCO_LOG_WARN,
                        "scripts run without %s, which this system does not offer (%s)", missing, reason);
    pool->sandbox_told = 1;
    return FLAMENCO_OK;
}

static int32_t shake_hands(fl_pool *pool, fl_helper *helper, flamenco_error *err)
{
    int64_t until = fl_pool_now_us() + START_US;
    uint32_t header[2];
    uint8_t payload[4096 + 64];
    if (send_init(pool, helper->sock) != 0 ||
        receive(pool, helper->sock, (uint8_t *)header, sizeof(header), until) != 0 || header[0] > sizeof(payload) ||
        receive(pool, helper->sock, payload, header[0], until) != 0)
        return FLAMENCO_E_UNAVAILABLE;
    fl_wire_in in = { payload, payload + header[0], 0 };
    uint32_t version = fl_wire_get_u32(&in);
    uint32_t seccomp = fl_wire_get_u32(&in);
    uint32_t landlock = fl_wire_get_u32(&in);
    flamenco_str library = fl_wire_get_str(&in);
    if (header[1] != FL_WIRE_HELLO || version != FL_WIRE_VERSION || !fl_wire_done(&in))
        return flamenco_fail(err, FLAMENCO_E_UNAVAILABLE, "the script engine %s is of another version",
                             pool->settings.helper);
    helper->library = strndup(library.len > 0 ? library.ptr : "", (size_t)library.len);
    identify(pool->settings.helper, &helper->files[0]);
    identify(helper->library, &helper->files[1]);
    return judge_sandbox(pool, seccomp, landlock, err);
}

int32_t fl_spawn_helper(fl_pool *pool, fl_helper *helper, flamenco_error *err)
{
    pipes p = { { -1, -1 }, { -1, -1 } };
    int rc = make_pipes(&p) != 0 ? errno : 0;
    if (rc == 0)
        rc = spawn_process(pool, &p, &helper->pid);
    close_fd(&p.sock[1]);
    close_fd(&p.messages[1]);
    if (rc != 0) {
        close_fd(&p.sock[0]);
        close_fd(&p.messages[0]);
        return flamenco_fail(err, FLAMENCO_E_UNAVAILABLE, "cannot start the script engine %s: %s",
                             pool->settings.helper, strerror(rc));
    }
    helper->pidfd = (int)syscall(SYS_pidfd_open, helper->pid, 0u);
    helper->sock = p.sock[0];
    helper->messages = p.messages[0];
    helper->served = 0;
    helper->weigh_us = 0;
    helper->library = NULL;
    flamenco_error reason = FLAMENCO_ERROR_INIT;
    int32_t result = shake_hands(pool, helper, &reason);
    if (result == FLAMENCO_OK)
        return FLAMENCO_OK;
    fl_death death;
    fl_spawn_end(helper, 0, &death);
    if (reason.code == 0)
        flamenco_fail(&reason, result, "the script engine %s does not start%s%s", pool->settings.helper,
                      death.text[0] != '\0' ? ": " : "", death.text);
    return flamenco_fail(err, FLAMENCO_E_UNAVAILABLE, "%s", reason.text);
}

/* ---- Ending ---------------------------------------------------------------------------------------------------- */

static void kill_helper(const fl_helper *helper)
{
    if (helper->pidfd < 0 || syscall(SYS_pidfd_send_signal, helper->pidfd, SIGKILL, NULL, 0u) != 0)
        kill(helper->pid, SIGKILL); /* not reaped yet, so the number is still its own */
}

/* Waits for its end, `grace_us` long by itself, then by force. */
static void reap(const fl_helper *helper, int64_t grace_us, fl_death *out)
{
    struct pollfd fd = { helper->pidfd, POLLIN, 0 };
    if (helper->pidfd < 0 || grace_us <= 0 || poll(&fd, 1, (int)(grace_us / 1000)) <= 0)
        kill_helper(helper);
    siginfo_t info;
    memset(&info, 0, sizeof(info));
    int rc;
    do {
        rc = helper->pidfd >= 0 ? waitid((idtype_t)P_PIDFD, (id_t)helper->pidfd, &info, WEXITED)
                                : waitid(P_PID, (id_t)helper->pid, &info, WEXITED);
    } while (rc != 0 && errno == EINTR);
    if (rc == 0 && info.si_code == CLD_EXITED)
        out->code = info.si_status;
    else if (rc == 0)
        out->signal = info.si_status;
}

void fl_spawn_end(fl_helper *helper, int64_t grace_us, fl_death *out)
{
    fl_death death = { -1, 0, { 0 } };
    close_fd(&helper->sock);
    reap(helper, grace_us, &death);
    ssize_t n = read(helper->messages, death.text, sizeof(death.text) - 1);
    death.text[n > 0 ? n : 0] = '\0';
    for (char *p = death.text; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20)
            *p = p[1] == '\0' ? '\0' : ' ';
    }
    close_fd(&helper->messages);
    close_fd(&helper->pidfd);
    free(helper->library);
    helper->library = NULL;
    if (out != NULL)
        *out = death;
}

/* ---- Questions about a running one ----------------------------------------------------------------------------- */

int fl_spawn_is_alive(const fl_helper *helper)
{
    char byte;
    /* An idle helper sends nothing: end of file, and any byte, mean that it is of no use. */
    return recv(helper->sock, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

int fl_spawn_is_current(const fl_pool *pool, const fl_helper *helper)
{
    const char *paths[2] = { pool->settings.helper, helper->library };
    for (int i = 0; i < 2; i++) {
        fl_file_id id;
        identify(paths[i], &id);
        if (id.device != helper->files[i].device || id.inode != helper->files[i].inode ||
            id.modified != helper->files[i].modified)
            return 0;
    }
    return 1;
}

uint64_t fl_spawn_private_bytes(const fl_helper *helper)
{
    char path[64];
    char text[128];
    snprintf(path, sizeof(path), "/proc/%d/statm", (int)helper->pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    char *end = text;
    unsigned long long size = strtoull(end, &end, 10);
    unsigned long long resident = strtoull(end, &end, 10);
    unsigned long long shared = strtoull(end, &end, 10);
    (void)size;
    long page = sysconf(_SC_PAGESIZE);
    return resident > shared && page > 0 ? (uint64_t)(resident - shared) * (uint64_t)page : 0;
}

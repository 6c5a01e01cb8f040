/* SPDX-License-Identifier: Apache-2.0
 *
 * child.c - posix_spawn and not fork, since the manager has many threads. See child.h.
 */
#include "core/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/step.h"

#define LOOK_MS 100 /* how often go_on is looked at */
#define DEATH_US 1000000 /* what a killed process is given to be gone; one that hangs in the system may take for ever */

extern char **environ;

/* pipe_fd: its output; -1: ours. Returns 0 or an errno. */
static int spawn_process(const char *const *argv, int pipe_fd, pid_t *pid_out)
{
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
    int rc = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (rc == 0 && pipe_fd >= 0)
        rc = posix_spawn_file_actions_adddup2(&actions, pipe_fd, 1);
    if (rc == 0 && pipe_fd >= 0)
        rc = posix_spawn_file_actions_adddup2(&actions, pipe_fd, 2);
    /* Also what is open without FD_CLOEXEC: the listening sockets, shortly before a restart in place. */
    if (rc == 0)
        rc = posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    if (rc == 0)
        rc = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    if (rc == 0)
        rc = posix_spawnattr_setsigmask(&attr, &none);
    if (rc == 0)
        rc = posix_spawnattr_setsigdefault(&attr, &all);
    if (rc == 0)
        rc = posix_spawn(pid_out, argv[0], &actions, &attr, (char *const *)(uintptr_t)argv, environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    return rc;
}

/* Tells whether the process has ended. It stays a zombie, so that its number and its group stay taken. */
static int has_ended(pid_t pid)
{
    siginfo_t info = { .si_pid = 0 };
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ? errno == ECHILD : info.si_pid != 0;
}

/* Takes what there is to read. Returns 0 at the end of the output. */
static int read_output(int fd, size_t keep, fl_buf *output)
{
    char chunk[4096];
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n > 0 && output->len < keep)
            fl_buf_add(output, chunk, (size_t)n < keep - output->len ? (size_t)n : keep - output->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 && errno == EAGAIN;
    }
}

/* Waits for its end. pid_fd may be -1: then it is looked for, again and again. */
static int32_t wait_for_end(pid_t pid, int pid_fd, int out_fd, const fl_child_options *options, fl_buf *output,
                            flamenco_error *err)
{
    while (!has_ended(pid)) {
        int64_t left_us = options->deadline_us - fl_monotonic_us();
        if (left_us <= 0)
            return flamenco_fail(err, FLAMENCO_E_DEADLINE, "it does not end");
        if (options->go_on != NULL && !__atomic_load_n(options->go_on, __ATOMIC_ACQUIRE))
            return flamenco_fail(err, FLAMENCO_E_CANCELLED, "the manager is stopping");
        struct pollfd fds[] = { { .fd = out_fd, .events = POLLIN }, { .fd = pid_fd, .events = POLLIN } };
        int64_t wait_ms = left_us / 1000 + 1;
        if (wait_ms > LOOK_MS)
            wait_ms = LOOK_MS;
        if (poll(fds, 2, (int)wait_ms) > 0 && fds[0].revents != 0 && !read_output(out_fd, options->keep_bytes, output))
            out_fd = -1;
    }
    if (out_fd >= 0)
        (void)read_output(out_fd, options->keep_bytes, output);
    return FLAMENCO_OK;
}

/* Kills what is left of its group, if it should, and takes its exit code. */
static int reap(pid_t pid, int pid_fd, int killing)
{
    int status = 0;
    struct pollfd fd = { .fd = pid_fd, .events = POLLIN };
    if (killing)
        kill(-pid, SIGKILL);
    for (int64_t until = fl_monotonic_us() + DEATH_US; !has_ended(pid);) {
        if (fl_monotonic_us() >= until) {
            fl_warn("manager", "process %d does not end although it was killed", (int)pid);
            return 128 + SIGKILL;
        }
        (void)poll(&fd, 1, pid_fd >= 0 ? LOOK_MS : 1);
    }
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return 128 + SIGKILL;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int32_t fl_child_run(const char *const *argv, const fl_child_options *options, fl_buf *output, int *status_out,
                     flamenco_error *err)
{
    int pipe_fds[2] = { -1, -1 }, pid_fd = -1;
    pid_t pid = 0;
    if (!options->own_output) {
        if (pipe2(pipe_fds, O_CLOEXEC) != 0)
            return flamenco_fail(err, FLAMENCO_E_IO, "cannot make a pipe: %s", strerror(errno));
        if (fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK) != 0) {
            int reason = errno;
            close(pipe_fds[0]);
            close(pipe_fds[1]);
            return flamenco_fail(err, FLAMENCO_E_IO, "cannot read a pipe: %s", strerror(reason));
        }
    }
    int failed = spawn_process(argv, pipe_fds[1], &pid);
    if (pipe_fds[1] >= 0)
        close(pipe_fds[1]);
    int32_t rc = FLAMENCO_OK;
    if (failed != 0) {
        rc = flamenco_fail(err, failed == ENOMEM ? FLAMENCO_E_NOMEM : FLAMENCO_E_IO, "%s", strerror(failed));
    } else {
        pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
        rc = wait_for_end(pid, pid_fd, pipe_fds[0], options, output, err);
        int status = reap(pid, pid_fd, rc != FLAMENCO_OK || !options->leave_remains);
        if (rc == FLAMENCO_OK && output->failed)
            rc = flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
        if (rc == FLAMENCO_OK)
            *status_out = status;
    }
    if (pid_fd >= 0)
        close(pid_fd);
    if (pipe_fds[0] >= 0)
        close(pipe_fds[0]);
    return rc;
}

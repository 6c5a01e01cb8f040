/* SPDX-License-Identifier: Apache-2.0
 *
 * main.c - flamenco-js-helper: the process that runs job type scripts for the plugin compiler-js, which starts it with a
 * socket as descriptor 3. It never opens a file once it has started, ends when the socket is closed, and may die at any
 * time: the plugin starts another.
 *
 * Argument: the manager's process id.
 */
#include "engine.h"
#include "sandbox.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* Dies with the manager, even when that is killed; leaves no core file; is the first that the kernel ends when memory is
 * exhausted. */
static void tie_to_manager(const char *manager)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != (pid_t)strtol(manager, NULL, 10))
        _exit(0);
    const struct rlimit none = { 0, 0 };
    setrlimit(RLIMIT_CORE, &none);
    setrlimit(RLIMIT_FSIZE, &none);
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t ignored = write(fd, "1000", 4);
        (void)ignored;
        close(fd);
    }
}

/* Without a network name space of its own the process still cannot connect: seccomp refuses socket(). What the kernel
 * does not offer is reported, and the plugin decides. */
static void seal(fl_channel *channel, uint32_t sandbox, int jit)
{
    int landlock = 0;
    int seccomp = 0;
    if (sandbox != FL_WIRE_SANDBOX_OFF) {
        landlock = fl_sandbox_landlock();
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        seccomp = fl_sandbox_seccomp(jit);
    }
    Dl_info library = { NULL, NULL, NULL, NULL };
    fl_wire_out *out = &channel->out;
    fl_wire_begin(out, FL_WIRE_HELLO);
    fl_wire_u32(out, FL_WIRE_VERSION);
    fl_wire_u32(out, (uint32_t)seccomp);
    fl_wire_u32(out, (uint32_t)landlock);
    fl_wire_str(
        out,
        flamenco_text(dladdr(dlsym(RTLD_DEFAULT, "JSContextGroupCreate"), &library) != 0 ? library.dli_fname : NULL));
    fl_wire_end(out);
    fl_channel_flush(channel);
}

int main(int argc, char **argv)
{
    int type = 0;
    socklen_t len = sizeof(type);
    if (argc != 2 || getsockopt(FL_WIRE_FD, SOL_SOCKET, SO_TYPE, &type, &len) != 0) {
        static const char text[] = "flamenco-js-helper is started by Flamenco Manager only\n";
        ssize_t ignored = write(STDERR_FILENO, text, sizeof(text) - 1);
        (void)ignored;
        return 2;
    }
    tie_to_manager(argv[1]);
    fl_channel channel = { FL_WIRE_FD, NULL, { NULL, 0, 0, 0, 0 } };
    fl_frame frame = { 0, { NULL, NULL, 0 }, NULL, 0 };
    fl_channel_read(&channel, &frame);
    uint32_t version = fl_wire_get_u32(&frame.in);
    uint32_t sandbox = fl_wire_get_u32(&frame.in);
    uint32_t jit = fl_wire_get_u32(&frame.in);
    uint32_t freezes = fl_wire_get_u32(&frame.in);
    flamenco_str init[3];
    for (int i = 0; i < 3; i++)
        init[i] = fl_wire_get_str(&frame.in);
    if (frame.type != FL_WIRE_INIT || version != FL_WIRE_VERSION || !fl_wire_done(&frame.in))
        _exit(FL_WIRE_EXIT_BROKEN);

    fl_watch watch;
    memset(&watch, 0, sizeof(watch));
    fl_engine *engine = malloc(sizeof(*engine));
    if (engine == NULL || fl_watch_start(&watch) != 0 ||
        fl_engine_start(engine, &channel, &watch, freezes != 0, init) != 0)
        _exit(FL_WIRE_EXIT_MEMORY);
    seal(&channel, sandbox, jit != 0);
    channel.watch = &watch;
    for (;;) {
        fl_channel_read(&channel, &frame);
        if (fl_engine_serve(engine, &frame) != 0)
            _exit(FL_WIRE_EXIT_BROKEN);
    }
}

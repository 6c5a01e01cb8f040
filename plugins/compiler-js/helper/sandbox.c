/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox.c - see sandbox.h.
 */
#include "sandbox.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Debian 12's linux/landlock.h ends at ABI 2, so the structure and the bits stand here. */
struct landlock_rules {
    uint64_t fs; /* ABI 1: 13 rights; 2: 14; 3: 15; 5: 16 */
    uint64_t net; /* ABI 4: bind, connect */
    uint64_t scoped; /* ABI 6: abstract sockets, signals */
};

#define LANDLOCK_VERSION_FLAG 1u

int fl_sandbox_landlock(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_VERSION_FLAG);
    if (abi < 1)
        return abi < 0 ? errno : ENOSYS;
    struct landlock_rules rules = { 0, 0, 0 };
    unsigned fs_bits = abi >= 5 ? 16 : abi >= 3 ? 15 : abi == 2 ? 14 : 13;
    size_t size = sizeof(uint64_t);
    rules.fs = (1u << fs_bits) - 1;
    if (abi >= 4) {
        rules.net = 3;
        size = offsetof(struct landlock_rules, scoped);
    }
    if (abi >= 6) {
        rules.scoped = 3;
        size = sizeof(rules);
    }
    long ruleset = syscall(SYS_landlock_create_ruleset, &rules, size, 0u);
    if (ruleset < 0)
        return errno;
    int rc = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall(SYS_landlock_restrict_self, (int)ruleset, 0u) != 0
                 ? errno
                 : 0;
    close((int)ruleset);
    return rc;
}

/* What a sealed engine does all the time: memory, locks, its own threads, the socket, clocks. */
static const int allowed[] = {
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(readv),
    SCMP_SYS(writev),
    SCMP_SYS(pread64),
    SCMP_SYS(close),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(lseek),
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(futex),
    SCMP_SYS(membarrier),
    SCMP_SYS(rseq),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(sched_yield),
    SCMP_SYS(gettid),
    SCMP_SYS(getpid),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(nanosleep),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(getrandom),
    SCMP_SYS(getrusage),
    SCMP_SYS(rt_sigsuspend),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigtimedwait),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(getcpu),
};

/* What libraries try on the way, and do without. */
static const struct {
    int call;
    uint32_t answer;
} refused[] = {
    { SCMP_SYS(open), ENOENT },          { SCMP_SYS(openat), ENOENT },
    { SCMP_SYS(openat2), ENOENT },       { SCMP_SYS(stat), ENOENT },
    { SCMP_SYS(lstat), ENOENT },         { SCMP_SYS(newfstatat), ENOENT },
    { SCMP_SYS(statx), ENOENT },         { SCMP_SYS(access), ENOENT },
    { SCMP_SYS(faccessat), ENOENT },     { SCMP_SYS(faccessat2), ENOENT },
    { SCMP_SYS(readlink), ENOENT },      { SCMP_SYS(readlinkat), ENOENT },
    { SCMP_SYS(clone3), ENOSYS },        { SCMP_SYS(uname), ENOSYS },
    { SCMP_SYS(sysinfo), ENOSYS },       { SCMP_SYS(prlimit64), ENOSYS },
    { SCMP_SYS(getrlimit), ENOSYS },     { SCMP_SYS(sched_setscheduler), EPERM },
    { SCMP_SYS(sched_getparam), EPERM }, { SCMP_SYS(sched_getscheduler), EPERM },
    { SCMP_SYS(setpriority), EPERM },    { SCMP_SYS(memfd_create), ENOSYS },
    { SCMP_SYS(fstat), EBADF },
};

static int add_memory_rules(scmp_filter_ctx filter, int jit)
{
    if (jit) {
        int rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 0);
        return rc != 0 ? rc : seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 0);
    }
    int rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (rc != 0)
        return rc;
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
}

static int add_argument_rules(scmp_filter_ctx filter)
{
    const scmp_datum_t thread = CLONE_VM | CLONE_THREAD;
    int rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, thread, thread));
    if (rc == 0)
        rc =
            seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME));
#ifdef PR_SET_VMA
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, PR_SET_VMA));
#endif
    return rc;
}

int fl_sandbox_seccomp(int jit)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (filter == NULL)
        return ENOSYS; /* most often since the kernel has none */
    int rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (rc == 0)
        rc = seccomp_attr_set(filter, SCMP_FLTATR_API_SYSRAWRC, 1); /* the kernel's own errno, for the log */
    for (size_t i = 0; rc == 0 && i < sizeof(allowed) / sizeof(allowed[0]); i++)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
    for (size_t i = 0; rc == 0 && i < sizeof(refused) / sizeof(refused[0]); i++)
        rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(refused[i].answer), refused[i].call, 0);
    if (rc == 0)
        rc = add_argument_rules(filter);
    if (rc == 0)
        rc = add_memory_rules(filter, jit);
    if (rc == 0)
        rc = seccomp_load(filter);
    seccomp_release(filter);
    return rc < 0 ? -rc : rc;
}

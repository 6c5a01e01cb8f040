/* SPDX-License-Identifier: Apache-2.0
 *
 * fanout.c - the floor below "500 open pages beside a farm at full load": sends the same bytes at the same pace over so many
 * loopback connections and does nothing else, once for each interval between two sends to one connection, beside readers as
 * live.py has them. Tells what of the machine that takes: the kernel's part, below which no manager gets; with a copy for each
 * connection (send), and with none (sendfile from memory). By hand:
 *
 *     bench-fanout [CONNECTIONS [BYTES_PER_S [SECONDS [INTERVAL...]]]]
 *
 * BYTES_PER_S is what each connection gets; INTERVAL is in milliseconds, with an f behind it for no copies. With the defaults, 500 times what full load gave: 1,600 events/s of 300 bytes.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define READ_EVERY_US 100000
#define READ_BYTES (1u << 20)

typedef struct pair {
    int sender, reader;
} pair;

typedef struct plan {
    size_t count;
    uint64_t bytes_per_s;
    int64_t seconds, interval_us;
    int copies; /* 0: sendfile */
} plan;

/* What is sent, to each connection from the beginning. */
typedef struct source {
    char *bytes;
    int fd;
    size_t most;
} source;

typedef struct outcome {
    uint64_t sends, held, bytes; /* held: the socket was full, and the rest of a send came with the next one */
    double sender_s, reader_s, took_s;
} outcome;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int64_t now_us(void)
{
    struct timespec t;
    if (clock_gettime(CLOCK_MONOTONIC, &t) != 0)
        fail("clock");
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void sleep_until(int64_t at_us)
{
    struct timespec t = { .tv_sec = at_us / 1000000, .tv_nsec = at_us % 1000000 * 1000 };
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
        ;
}

static double cpu_s(int who)
{
    struct rusage use;
    if (getrusage(who, &use) != 0)
        fail("getrusage");
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static pair *connect_all(size_t count)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof(address);
    pair *pairs = calloc(count, sizeof(*pairs));
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (pairs == NULL || listener < 0 || bind(listener, (struct sockaddr *)&address, length) != 0 ||
        listen(listener, 16) != 0 || getsockname(listener, (struct sockaddr *)&address, &length) != 0)
        fail("listen");
    for (size_t i = 0; i < count; ++i) {
        pairs[i].reader = socket(AF_INET, SOCK_STREAM, 0);
        if (pairs[i].reader < 0 || connect(pairs[i].reader, (struct sockaddr *)&address, length) != 0)
            fail("connect");
        pairs[i].sender = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (pairs[i].sender < 0 || fcntl(pairs[i].reader, F_SETFL, O_NONBLOCK) != 0 ||
            setsockopt(pairs[i].sender, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0)
            fail("accept");
    }
    close(listener);
    return pairs;
}

/* Takes what has come on each connection ten times a second, without a copy, until all are closed. */
static void read_all(const pair *pairs, size_t count)
{
    assert(count > 0);
    char *bytes = malloc(READ_BYTES);
    size_t open_ones = count;
    char *ended = calloc(count, 1);
    if (bytes == NULL || ended == NULL)
        fail("malloc");
    while (open_ones > 0) {
        int64_t begun_us = now_us();
        for (size_t i = 0; i < count; ++i) {
            ssize_t n = ended[i] ? -1 : recv(pairs[i].reader, bytes, READ_BYTES, MSG_TRUNC);
            if (n == 0) {
                ended[i] = 1;
                --open_ones;
            }
        }
        sleep_until(begun_us + READ_EVERY_US);
    }
    free(bytes);
    free(ended);
}

/* Gives one connection what has come up since it was last written to. */
static void send_one(int fd, const plan *p, const source *from, size_t len, uint64_t *owed, outcome *o)
{
    off_t offset = 0;
    *owed += len;
    ssize_t n = p->copies ? send(fd, from->bytes, *owed, MSG_NOSIGNAL) : sendfile(fd, from->fd, &offset, *owed);
    ++o->sends;
    if (n < 0 && errno != EAGAIN)
        fail("send");
    if (n > 0) {
        *owed -= (uint64_t)n;
        o->bytes += (uint64_t)n;
    }
    o->held += *owed > 0;
}

/* Every connection has its turn once in the interval, one behind the other as a manager's loop would; late ones are made up for. */
static void send_all(const plan *p, const pair *pairs, outcome *o)
{
    assert(p->count > 0);
    size_t len = (size_t)(p->bytes_per_s * (uint64_t)p->interval_us / 1000000);
    source from = { .fd = memfd_create("fanout", MFD_CLOEXEC), .most = len * 100 };
    uint64_t *owed = calloc(p->count, sizeof(*owed));
    int64_t rounds = p->seconds * 1000000 / p->interval_us;
    if (owed == NULL || from.fd < 0 || ftruncate(from.fd, (off_t)from.most) != 0 ||
        (from.bytes = mmap(NULL, from.most, PROT_READ | PROT_WRITE, MAP_SHARED, from.fd, 0)) == MAP_FAILED)
        fail("memory");
    memset(from.bytes, 'x', from.most);
    int64_t begun_us = now_us();
    for (int64_t round = 0; round < rounds; ++round) {
        for (size_t i = 0; i < p->count; ++i)
            if (owed[i] + len <= from.most) /* who does not read for so long gets no more */
                send_one(pairs[i].sender, p, &from, len, &owed[i], o);
        sleep_until(begun_us + (round + 1) * p->interval_us);
    }
    o->took_s = (double)(now_us() - begun_us) / 1e6;
    munmap(from.bytes, from.most);
    close(from.fd);
    free(owed);
}

static outcome measure(const plan *p)
{
    outcome o = { 0 };
    pair *pairs = connect_all(p->count);
    double before_s = cpu_s(RUSAGE_CHILDREN);
    pid_t readers = fork();
    if (readers < 0)
        fail("fork");
    if (readers == 0) {
        for (size_t i = 0; i < p->count; ++i)
            close(pairs[i].sender);
        read_all(pairs, p->count);
        _exit(0);
    }
    for (size_t i = 0; i < p->count; ++i)
        close(pairs[i].reader);
    o.sender_s = -cpu_s(RUSAGE_SELF);
    send_all(p, pairs, &o);
    o.sender_s += cpu_s(RUSAGE_SELF);
    for (size_t i = 0; i < p->count; ++i)
        close(pairs[i].sender);
    free(pairs);
    if (waitpid(readers, NULL, 0) != readers)
        fail("waitpid");
    o.reader_s = cpu_s(RUSAGE_CHILDREN) - before_s;
    return o;
}

static void report(const plan *p, long cores)
{
    outcome o = measure(p);
    double sender = o.sender_s / o.took_s, readers = o.reader_s / o.took_s;
    printf("%3lld ms, %s: %6.0f sends/s, %5.1f MB/s, sender %.3f cores (%.1f us a send), readers %.3f cores, "
           "together %4.1f %% of %ld cores; %.1f %% of sends held up\n",
           (long long)(p->interval_us / 1000), p->copies ? "copied " : "by file", (double)o.sends / o.took_s,
           (double)o.bytes / 1e6 / o.took_s, sender, o.sender_s * 1e6 / (double)o.sends, readers,
           100 * (sender + readers) / (double)cores, cores, 100 * (double)o.held / (double)o.sends);
}

static uint64_t number(const char *text)
{
    char *end = NULL;
    uint64_t n = strtoull(text, &end, 10);
    if (n == 0 || n > 1000000000 || (*end != '\0' && strcmp(end, "f") != 0)) {
        fprintf(stderr, "bench-fanout: no such number: %s\n", text);
        exit(1);
    }
    return n;
}

int main(int argc, char **argv)
{
    static const char *const usual[] = {
        "bench-fanout", "500", "480000", "4", "15", "15f", "50", "50f", "100", "100f"
    };
    static const int n_usual = (int)(sizeof(usual) / sizeof(usual[0]));
    const char *given[64];
    int n = argc > 4 ? argc : n_usual;
    if (argc > 64)
        return 1;
    for (int i = 0; i < n; ++i)
        given[i] = i < argc ? argv[i] : usual[i];
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    for (int i = 4; i < n; ++i) {
        plan p = { .count = (size_t)number(given[1]),
                   .bytes_per_s = number(given[2]),
                   .seconds = (int64_t)number(given[3]),
                   .interval_us = (int64_t)number(given[i]) * 1000,
                   .copies = strchr(given[i], 'f') == NULL };
        report(&p, cores);
    }
    return 0;
}

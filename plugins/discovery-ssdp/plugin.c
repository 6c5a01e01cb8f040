/* SPDX-License-Identifier: Apache-2.0
 *
 * plugin.c - the service "flamenco.discovery/1" by SSDP (contract: events 4.2, 4.3): one thread that announces the manager and
 * answers searches, and the description document. README.md says what differs from the original.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "addresses.h"
#include "flamenco/discovery.h"
#include "flamenco/http_routes.h"
#include "limit.h"
#include "message.h"
#include "sockets.h"

#define SECOND_US INT64_C(1000000)
#define FIRST_US SECOND_US /* from a change of the URLs to its announcement */
#define SECOND_TIME_US (3 * SECOND_US) /* and to its repetition: datagrams get lost */
#define SETTLE_US 200000 /* interfaces that change do so in several steps */
#define ANSWERS_MAX 8u /* to one search */
#define READ_AT_ONCE 64

typedef struct discovery {
    const flamenco_host *host;
    int enabled;
    int64_t interval_us;
    pthread_t thread;
    int runs;
    int wake_fd;
    flamenco_error broken; /* code other than 0: there are no sockets */

    pthread_mutex_t lock; /* the next three */
    fl_ssdp_url given[FL_SSDP_URLS_MAX];
    size_t n_given;
    int is_new, stopping;

    /* The thread's own. */
    fl_ssdp_sockets sockets;
    fl_ssdp_host interfaces;
    fl_ssdp_limit limit;
    fl_ssdp_url urls[FL_SSDP_URLS_MAX];
    size_t n_urls;
    int64_t look_us; /* when to look at the interfaces anew; INT64_MAX = not at all */
    int64_t due_us[2]; /* when to announce: two series */
} discovery;

static int64_t now_of(const discovery *d)
{
    return d->host->monotonic_us(d->host->h);
}

/* ---- Announcing: the thread --------------------------------------------------------------------------------------- */

static void announce_on(discovery *d, const fl_ssdp_member *member, int alive)
{
    const char *group = member->family == AF_INET6 ? "[" FL_SSDP_GROUP_V6 "]:1900" : FL_SSDP_GROUP_V4 ":1900";
    char data[FL_SSDP_DATAGRAM_MAX];
    size_t chosen[ANSWERS_MAX];
    int is_loopback = 0;
    for (size_t i = 0; i < d->interfaces.n; ++i)
        if (d->interfaces.addresses[i].index == member->index)
            is_loopback = d->interfaces.addresses[i].is_loopback;
    size_t n = fl_ssdp_choose(d->urls, d->n_urls, &d->interfaces, member->index, member->family, is_loopback, chosen,
                              ANSWERS_MAX);
    /* All our URLs have one USN, so one good-bye is for all. */
    for (size_t i = 0; i < n && (alive || i == 0); ++i) {
        size_t len = fl_ssdp_write_notify(data, group, alive, d->urls[chosen[i]].text);
        int why = len > 0 ? fl_ssdp_sockets_announce(&d->sockets, member, data, len) : EMSGSIZE;
        if (why != 0)
            d->host->log(d->host->h, FLAMENCO_LOG_DEBUG, "not announced on interface %u: errno %d", member->index, why);
    }
}

static void announce_all(discovery *d, int alive)
{
    for (size_t i = 0; i < d->sockets.n_members; ++i)
        announce_on(d, &d->sockets.members[i], alive);
}

/* Looks at the interfaces; when something is different, joins the group there and announces everything anew. */
static void look_at_interfaces(discovery *d, int urls_changed)
{
    char reason[128];
    fl_ssdp_host before = d->interfaces;
    int why = fl_ssdp_host_read(&d->interfaces);
    d->look_us = INT64_MAX;
    if (why != 0) {
        d->interfaces = before;
        d->look_us = now_of(d) + 10 * SECOND_US;
        d->host->log(d->host->h, FLAMENCO_LOG_WARN, "the network interfaces cannot be read: %s",
                     strerror_r(why, reason, sizeof(reason)));
        return;
    }
    if (!urls_changed && fl_ssdp_host_is_same(&before, &d->interfaces))
        return;
    size_t failed = fl_ssdp_sockets_join(&d->sockets, &d->interfaces, &why);
    if (failed > 0)
        d->host->log(d->host->h, FLAMENCO_LOG_WARN, "%zu network interfaces cannot be listened on: %s", failed,
                     strerror_r(why, reason, sizeof(reason)));
    d->due_us[0] = now_of(d) + FIRST_US;
    d->due_us[1] = now_of(d) + SECOND_TIME_US;
}

/* ---- Answering ------------------------------------------------------------------------------------------------------ */

static void answer(discovery *d, int fd, const fl_ssdp_datagram *to, const fl_ssdp_search *search,
                   const fl_ssdp_ip *from)
{
    char data[FL_SSDP_DATAGRAM_MAX];
    size_t chosen[ANSWERS_MAX];
    size_t n = fl_ssdp_choose(d->urls, d->n_urls, &d->interfaces, to->index, from->family,
                              fl_ssdp_is_own(&d->interfaces, from), chosen, ANSWERS_MAX);
    if (search->target == FL_SSDP_BARE && n > 1)
        n = 1;
    for (size_t i = 0; i < n; ++i) {
        if (!fl_ssdp_limit_take(&d->limit, from, now_of(d))) {
            d->host->metric(d->host->h, "ssdp_limited_total", 1);
            return;
        }
        size_t len = fl_ssdp_write_answer(data, search->target, d->urls[chosen[i]].text, d->host->now_us(d->host->h));
        if (len > 0 && fl_ssdp_sockets_answer(fd, to, data, len) == 0)
            d->host->metric(d->host->h, "ssdp_answers_total", 1);
    }
}

static void take_datagram(discovery *d, int fd, const fl_ssdp_datagram *datagram)
{
    fl_ssdp_search search;
    fl_ssdp_ip from = fl_ssdp_ip_of((const struct sockaddr *)(const void *)&datagram->from);
    fl_ssdp_kind kind = fl_ssdp_read(datagram->data, datagram->len, &search);
    if (kind == FL_SSDP_OTHER)
        return;
    if (kind == FL_SSDP_GARBAGE || from.family == 0 || !fl_ssdp_is_near(&d->interfaces, datagram->index, &from)) {
        d->host->metric(d->host->h, "ssdp_refused_total", 1);
        return;
    }
    d->host->metric(d->host->h, "ssdp_searches_total", 1);
    if (search.target != FL_SSDP_NOT_US)
        answer(d, fd, datagram, &search, &from);
}

static void read_socket(discovery *d, int fd)
{
    fl_ssdp_datagram datagram;
    for (int i = 0; i < READ_AT_ONCE; ++i) {
        int got = fl_ssdp_sockets_receive(fd, &datagram);
        if (got == 0)
            return;
        if (got > 0)
            take_datagram(d, fd, &datagram);
        else
            d->host->metric(d->host->h, "ssdp_refused_total", 1);
    }
}

/* ---- The thread ------------------------------------------------------------------------------------------------------ */

/* Takes what announce and withdraw left. Returns 0 when it is time to end. */
static int take_orders(discovery *d)
{
    uint64_t rings;
    while (read(d->wake_fd, &rings, sizeof(rings)) < 0 && errno == EINTR)
        continue;
    pthread_mutex_lock(&d->lock);
    int is_new = d->is_new, stopping = d->stopping;
    d->is_new = 0;
    size_t n = d->n_given;
    if (is_new && n > 0) {
        memcpy(d->urls, d->given, n * sizeof(d->urls[0]));
        d->n_urls = n;
    }
    pthread_mutex_unlock(&d->lock);
    if (is_new && n > 0) {
        look_at_interfaces(d, 1);
    } else if (is_new && d->n_urls > 0) {
        announce_all(d, 0);
        d->n_urls = 0;
    }
    return !stopping;
}

static int poll_timeout(const discovery *d, int64_t now_us)
{
    int64_t next = d->look_us;
    for (size_t i = 0; i < 2 && d->n_urls > 0; ++i)
        if (d->due_us[i] < next)
            next = d->due_us[i];
    if (next == INT64_MAX)
        return -1;
    int64_t ms = next > now_us ? (next - now_us + 999) / 1000 : 0;
    return ms > 60000 ? 60000 : (int)ms;
}

static void do_what_is_due(discovery *d)
{
    int64_t now_us = now_of(d);
    if (d->look_us <= now_us)
        look_at_interfaces(d, 0);
    for (size_t i = 0; i < 2 && d->n_urls > 0; ++i) {
        if (d->due_us[i] > now_us)
            continue;
        announce_all(d, 1);
        d->due_us[i] = now_us + d->interval_us;
    }
}

static void *run(void *arg)
{
    discovery *d = arg;
    struct pollfd fds[] = {
        { .fd = d->wake_fd, .events = POLLIN },
        { .fd = d->sockets.v4, .events = POLLIN },
        { .fd = d->sockets.v6, .events = POLLIN },
        { .fd = d->sockets.changes, .events = POLLIN },
    };
    do {
        do_what_is_due(d);
        if (poll(fds, 4, poll_timeout(d, now_of(d))) < 0)
            continue;
        if ((fds[3].revents & (POLLIN | POLLERR)) && fl_ssdp_sockets_changed(&d->sockets) && d->look_us == INT64_MAX)
            d->look_us = now_of(d) + SETTLE_US;
        if (fds[1].revents & (POLLIN | POLLERR))
            read_socket(d, d->sockets.v4);
        if (fds[2].revents & (POLLIN | POLLERR))
            read_socket(d, d->sockets.v6);
    } while (take_orders(d));
    return NULL;
}

static void wake(const discovery *d)
{
    uint64_t one = 1;
    while (write(d->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        continue; /* it can fail otherwise only when the counter is full, and then it wakes anyway */
}

/* ---- The services ---------------------------------------------------------------------------------------------------- */

static int32_t announce(void *self, const flamenco_str *urls, uint64_t n, flamenco_error *err)
{
    discovery *d = self;
    fl_ssdp_url read[FL_SSDP_URLS_MAX];
    size_t count = 0;
    if (!d->enabled)
        return FLAMENCO_OK;
    if (!d->runs)
        return flamenco_fail(err, d->broken.code, "%s", d->broken.text);
    for (uint64_t i = 0; i < n && count < FL_SSDP_URLS_MAX; ++i) {
        int32_t rc = fl_ssdp_url_read(urls[i], &read[count++], err);
        if (rc != FLAMENCO_OK)
            return rc;
    }
    pthread_mutex_lock(&d->lock);
    memcpy(d->given, read, count * sizeof(read[0]));
    d->n_given = count;
    d->is_new = 1;
    pthread_mutex_unlock(&d->lock);
    wake(d);
    return FLAMENCO_OK;
}

static void withdraw(void *self)
{
    discovery *d = self;
    if (!d->runs)
        return;
    pthread_mutex_lock(&d->lock);
    d->n_given = 0;
    d->is_new = 1;
    pthread_mutex_unlock(&d->lock);
    wake(d);
}

static const flamenco_http_route description_route = { (uint32_t)sizeof(flamenco_http_route), 0, "GET",
                                                       "/upnp/description.xml" };

static const flamenco_http_route *const *routes(void *self)
{
    static const flamenco_http_route *const list[] = { &description_route, NULL };
    (void)self;
    return list;
}

static int32_t handle(void *self, flamenco_cx *cx, const flamenco_http_request *request, flamenco_http_reply *reply,
                      flamenco_error *err)
{
    static const char missing[] = "{\"code\":404,\"message\":\"the manager does not announce itself\"}\n";
    const discovery *d = self;
    char text[2048];
    (void)cx;
    (void)request;
    if (!d->runs) {
        int32_t rc = reply->bytes(reply->r, 404, "application/json", flamenco_text(missing));
        return rc == FLAMENCO_OK ? rc : flamenco_fail(err, rc, "the reply was not taken");
    }
    size_t len = fl_ssdp_write_description(text, sizeof(text), FL_PLUGIN_VERSION);
    int32_t rc = reply->bytes(reply->r, 200, "application/xml; charset=UTF-8", (flamenco_str){ text, len });
    return rc == FLAMENCO_OK ? rc : flamenco_fail(err, rc, "the reply was not taken");
}

/* ---- Life -------------------------------------------------------------------------------------------------------------- */

static int32_t create(const flamenco_host *host, void **self_out, flamenco_error *err)
{
    discovery *d = host->alloc(host->h, sizeof(*d));
    if (d == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    memset(d, 0, sizeof(*d));
    d->host = host;
    d->wake_fd = -1;
    d->sockets = (fl_ssdp_sockets){ .v4 = -1, .v6 = -1, .changes = -1 };
    if (pthread_mutex_init(&d->lock, NULL) != 0) {
        host->free(host->h, d);
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no mutex to be had");
    }
    *self_out = d;
    return FLAMENCO_OK;
}

static int32_t configure(void *self, const flamenco_config *config, flamenco_error *err)
{
    discovery *d = self;
    (void)err;
    d->enabled = config->integer(config->c, "autodiscoverable") != 0;
    d->interval_us = config->integer(config->c, "announce_interval");
    return FLAMENCO_OK;
}

static int start_thread(discovery *d)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&d->thread, NULL, run, d);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

/* A manager that cannot be found by itself can be used all the same: only memory that is out keeps it from starting. */
static int32_t start(void *self, flamenco_error *err)
{
    discovery *d = self;
    uint64_t seed = 0;
    if (!d->enabled)
        return FLAMENCO_OK;
    d->broken = (flamenco_error)FLAMENCO_ERROR_INIT;
    if (fl_ssdp_sockets_open(&d->sockets, &d->broken) != FLAMENCO_OK)
        return FLAMENCO_OK; /* announce and health tell */
    if (d->sockets.changes < 0)
        d->host->log(d->host->h, FLAMENCO_LOG_WARN, "network interfaces that come later will not be noticed");
    if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != (ssize_t)sizeof(seed))
        seed = (uint64_t)now_of(d);
    fl_ssdp_limit_init(&d->limit, seed);
    d->look_us = INT64_MAX;
    d->n_urls = d->n_given = 0;
    d->is_new = d->stopping = 0;
    memset(&d->interfaces, 0, sizeof(d->interfaces));
    d->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (d->wake_fd < 0 || start_thread(d) != 0) {
        if (d->wake_fd >= 0)
            close(d->wake_fd);
        d->wake_fd = -1;
        fl_ssdp_sockets_close(&d->sockets);
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "cannot start a thread");
    }
    d->runs = 1;
    return FLAMENCO_OK;
}

static int32_t stop(void *self, int64_t deadline_us, flamenco_error *err)
{
    discovery *d = self;
    (void)deadline_us; /* the thread never waits for anybody */
    (void)err;
    if (!d->runs)
        return FLAMENCO_OK;
    pthread_mutex_lock(&d->lock);
    d->stopping = 1;
    pthread_mutex_unlock(&d->lock);
    wake(d);
    pthread_join(d->thread, NULL);
    d->runs = 0;
    fl_ssdp_sockets_close(&d->sockets);
    close(d->wake_fd);
    d->wake_fd = -1;
    return FLAMENCO_OK;
}

static void destroy(void *self)
{
    discovery *d = self;
    if (d == NULL)
        return;
    pthread_mutex_destroy(&d->lock);
    d->host->free(d->host->h, d);
}

static int32_t health(void *self, flamenco_error *err)
{
    const discovery *d = self;
    if (d->broken.code != FLAMENCO_OK)
        return flamenco_fail(err, d->broken.code, "the manager cannot be found by Workers: %s", d->broken.text);
    return FLAMENCO_OK;
}

static const flamenco_discovery discovery_table = {
    .struct_size = (uint32_t)sizeof(flamenco_discovery),
    .announce = announce,
    .withdraw = withdraw,
};
static const flamenco_http_routes routes_table = {
    .struct_size = (uint32_t)sizeof(flamenco_http_routes),
    .routes = routes,
    .handle = handle,
};
static const flamenco_provide discovery_provide = { (uint32_t)sizeof(flamenco_provide), 0, FLAMENCO_DISCOVERY,
                                                    &discovery_table };
static const flamenco_provide routes_provide = { (uint32_t)sizeof(flamenco_provide), 0, FLAMENCO_HTTP_ROUTES,
                                                 &routes_table };
static const flamenco_provide *const provides[] = { &discovery_provide, &routes_provide, NULL };

static const flamenco_setting autodiscoverable_setting = {
    .struct_size = (uint32_t)sizeof(flamenco_setting),
    .type = FLAMENCO_SETTING_BOOL,
    .key = "autodiscoverable",
    .default_text = "true",
    .doc = "Whether Workers can find the manager by themselves.",
    .reference_key = "autodiscoverable",
};
static const flamenco_setting interval_setting = {
    .struct_size = (uint32_t)sizeof(flamenco_setting),
    .type = FLAMENCO_SETTING_DURATION,
    .key = "announce_interval",
    .default_text = "25m",
    .min = 1000000,
    .max = INT64_C(3600000000),
    .doc = "How often the manager announces itself; Workers do not wait for that, they search.",
};
static const flamenco_setting *const settings[] = { &autodiscoverable_setting, &interval_setting, NULL };

static const flamenco_plugin plugin = {
    FLAMENCO_PLUGIN_INIT,
    .id = "discovery-ssdp",
    .version = FL_PLUGIN_VERSION,
    .licence = "Apache-2.0",
    .provides = provides,
    .settings = settings,
    .create = create,
    .configure = configure,
    .start = start,
    .stop = stop,
    .destroy = destroy,
    .health = health,
};

const flamenco_plugin *flamenco_plugin_query(void)
{
    return &plugin;
}

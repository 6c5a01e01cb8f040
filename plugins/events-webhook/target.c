/* SPDX-License-Identifier: Apache-2.0
 *
 * target.c - see target.h.
 */
#include "target.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "text.h"

#define SECOND_US INT64_C(1000000)
#define REPLY_MAX 65536u /* bytes of a reply that are read, and thrown away */
#define COMPLAIN_FROM 3u /* attempts that fail before it counts as an illness */

static int64_t now_of(const fl_target *t)
{
    return t->settings->host->monotonic_us(t->settings->host->h);
}

static void count(const fl_target *t, const char *name, double n)
{
    t->settings->host->metric(t->settings->host->h, name, n);
}

/* xorshift: no secret depends on it. */
static uint64_t next_random(fl_target *t)
{
    t->random ^= t->random << 13;
    t->random ^= t->random >> 7;
    t->random ^= t->random << 17;
    return t->random;
}

/* ---- Life ------------------------------------------------------------------------------------------------------------- */

/* The reply's bytes are of no interest; too many of them end the request. */
static size_t take_reply(char *data, size_t size, size_t n, void *ctx)
{
    fl_target *t = ctx;
    (void)data;
    t->received += size * n;
    return t->received <= REPLY_MAX ? size * n : 0;
}

static int set_options(fl_target *t)
{
    const fl_target_settings *s = t->settings;
    CURL *e = t->easy;
    CURLcode rc = CURLE_OK;
#define SET(option, value) rc = rc == CURLE_OK ? curl_easy_setopt(e, option, value) : rc
    SET(CURLOPT_URL, t->url);
    SET(CURLOPT_POST, 1L);
    SET(CURLOPT_PRIVATE, (void *)t);
    SET(CURLOPT_WRITEFUNCTION, take_reply);
    SET(CURLOPT_WRITEDATA, (void *)t);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L); /* a name that is being looked up does not keep the manager from stopping */
    SET(CURLOPT_TIMEOUT_MS, (long)(s->timeout_us / 1000));
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)(s->timeout_us / 1000));
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    if (s->ca_file[0] != '\0')
        SET(CURLOPT_CAINFO, s->ca_file);
#undef SET
    return rc == CURLE_OK;
}

/* Each URL has a directory of its own, named by its hash: the URL may be a secret. */
static int make_path(char *out, size_t size, const char *directory, flamenco_str url)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    char name[17];
    if (EVP_Digest(url.ptr, (size_t)url.len, hash, NULL, EVP_sha256(), NULL) != 1)
        return 0;
    for (size_t i = 0; i < 8; ++i)
        snprintf(name + 2 * i, 3, "%02x", hash[i]);
    int n = snprintf(out, size, "%s/%s", directory, name);
    return n > 0 && (size_t)n < size;
}

int32_t fl_target_open(fl_target *t, const fl_target_settings *settings, flamenco_str url, const char *directory,
                       flamenco_error *err)
{
    char path[4096];
    uint64_t lost = 0;
    const flamenco_host *host = settings->host;
    memset(t, 0, sizeof(*t));
    t->settings = settings;
    fl_webhook_label(url, t->label, sizeof(t->label));
    if (!make_path(path, sizeof(path), directory, url))
        return flamenco_fail(err, FLAMENCO_E_INVALID, "the path of the journal is too long");
    if (pthread_mutex_init(&t->lock, NULL) != 0)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no mutex to be had");
    t->url = host->alloc(host->h, url.len + 1);
    t->easy = curl_easy_init();
    int32_t rc = t->url != NULL && t->easy != NULL ? FLAMENCO_OK : FLAMENCO_E_NOMEM;
    if (rc == FLAMENCO_OK) {
        memcpy(t->url, url.ptr, (size_t)url.len);
        t->url[url.len] = '\0';
        rc = set_options(t) ? FLAMENCO_OK : FLAMENCO_E_NOMEM;
    }
    if (rc != FLAMENCO_OK)
        (void)flamenco_fail(err, rc, "no memory to send to %s", t->label);
    else
        rc = fl_journal_open(&t->journal, path, settings->limit, &lost, err);
    if (getrandom(&t->random, sizeof(t->random), GRND_NONBLOCK) != (ssize_t)sizeof(t->random))
        t->random = (uint64_t)now_of(t);
    t->random |= 1;
    if (rc != FLAMENCO_OK) {
        fl_target_close(t, NULL);
        return rc;
    }
    uint64_t waiting = fl_journal_waiting(&t->journal);
    if (lost > 0)
        host->log(host->h, FLAMENCO_LOG_WARN,
                  "%s: %" PRIu64 " bytes that a crash left half written were cut off the journal", t->label, lost);
    if (waiting > 0)
        host->log(host->h, FLAMENCO_LOG_INFO, "%s: %" PRIu64 " events wait from before", t->label, waiting);
    return FLAMENCO_OK;
}

void fl_target_close(fl_target *t, CURLM *multi)
{
    if (t->settings == NULL)
        return;
    if (t->under_way)
        curl_multi_remove_handle(multi, t->easy);
    curl_slist_free_all(t->headers);
    curl_easy_cleanup(t->easy);
    fl_journal_close(&t->journal);
    fl_journal_text_fini(&t->text);
    t->settings->host->free(t->settings->host->h, t->url);
    pthread_mutex_destroy(&t->lock);
    memset(t, 0, sizeof(*t));
}

/* ---- Keeping ---------------------------------------------------------------------------------------------------------- */

void fl_target_add(fl_target *t, const char *data, size_t len, int64_t time_us)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    uint64_t dropped = 0;
    pthread_mutex_lock(&t->lock);
    int32_t rc = fl_journal_append(&t->journal, data, len, time_us, &dropped, &err);
    int was_unwritable = t->unwritable;
    t->unwritable = rc != FLAMENCO_OK;
    pthread_mutex_unlock(&t->lock);
    const flamenco_host *host = t->settings->host;
    if (rc != FLAMENCO_OK && !was_unwritable) /* once, not for each event of a full disk */
        host->log(host->h, FLAMENCO_LOG_ERROR, "%s: events are lost: %s", t->label, err.text);
    dropped += rc != FLAMENCO_OK;
    if (dropped > 0)
        count(t, "webhook_dropped_total", (double)dropped);
}

void fl_target_sync(fl_target *t, int64_t now_us)
{
    int fds[FL_JOURNAL_FDS];
    if (now_us < t->synced_us + SECOND_US)
        return;
    t->synced_us = now_us;
    pthread_mutex_lock(&t->lock);
    size_t n = fl_journal_unsynced(&t->journal, fds);
    pthread_mutex_unlock(&t->lock);
    for (size_t i = 0; i < n; ++i) {
        (void)fsync(fds[i]); /* where it cannot be done, kill -9 is outlived all the same */
        close(fds[i]);
    }
}

/* ---- Sending ---------------------------------------------------------------------------------------------------------- */

static int add_header(struct curl_slist **list, const char *name, const char *value)
{
    char line[1024];
    int n = snprintf(line, sizeof(line), "%s: %s", name, value);
    struct curl_slist *longer = n > 0 && (size_t)n < sizeof(line) ? curl_slist_append(*list, line) : NULL;
    if (longer == NULL)
        return 0;
    *list = longer;
    return 1;
}

/* The event's id stands at a fixed place in its text. */
static void copy_id(const fl_target *t, char *out, size_t size)
{
    static const char before[] = "{\"id\":\"";
    size_t skip = sizeof(before) - 1;
    out[0] = '\0';
    if (t->text.len > skip + 36 && size > 36)
        snprintf(out, size, "%.36s", t->text.data + skip);
}

static int make_headers(fl_target *t)
{
    const fl_target_settings *s = t->settings;
    char id[40], timestamp[24], number[24], attempt[16], signature[FL_WEBHOOK_SIGNATURE_SIZE];
    struct curl_slist *list = NULL;
    copy_id(t, id, sizeof(id));
    snprintf(timestamp, sizeof(timestamp), "%" PRId64, s->host->now_us(s->host->h) / SECOND_US);
    snprintf(number, sizeof(number), "%" PRIu64, t->text.number);
    snprintf(attempt, sizeof(attempt), "%" PRIu32, t->attempts + 1);
    int ok = add_header(&list, "Content-Type", "application/json") &&
             add_header(&list, "User-Agent", "flamenco-manager") && add_header(&list, "X-Flamenco-Event", id) &&
             add_header(&list, "X-Flamenco-Number", number) && add_header(&list, "X-Flamenco-Attempt", attempt) &&
             add_header(&list, "X-Flamenco-Timestamp", timestamp) && add_header(&list, "Expect", "");
    flamenco_str body = { t->text.data, t->text.len };
    if (ok && s->secret.len > 0)
        ok = fl_webhook_sign(s->secret, timestamp, body, signature) &&
             add_header(&list, "X-Flamenco-Signature", signature);
    if (ok && s->authorization[0] != '\0')
        ok = add_header(&list, "Authorization", s->authorization);
    if (!ok) {
        curl_slist_free_all(list);
        return 0;
    }
    curl_slist_free_all(t->headers);
    t->headers = list;
    return 1;
}

/* The text is done with, one way or the other. */
static void pass_on(fl_target *t)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    pthread_mutex_lock(&t->lock);
    int32_t rc = fl_journal_done(&t->journal, t->text.number, &err);
    t->attempts = 0;
    t->trouble[0] = '\0';
    t->due_us = 0;
    pthread_mutex_unlock(&t->lock);
    if (rc != FLAMENCO_OK)
        t->settings->host->log(t->settings->host->h, FLAMENCO_LOG_WARN, "%s: %s; events will come twice", t->label,
                               err.text);
}

/* Tries again later. */
static void fail(fl_target *t, const char *why, int64_t retry_after_s)
{
    const flamenco_host *host = t->settings->host;
    pthread_mutex_lock(&t->lock);
    uint32_t attempts = ++t->attempts;
    snprintf(t->trouble, sizeof(t->trouble), "%s", why);
    pthread_mutex_unlock(&t->lock);
    int64_t wait_us =
        fl_webhook_backoff(attempts, t->settings->first_us, t->settings->max_us, retry_after_s, next_random(t));
    t->due_us = now_of(t) + wait_us;
    count(t, "webhook_retries_total", 1);
    /* When it begins, and then now and then. */
    host->log(host->h, attempts == 1 || attempts % 32 == 0 ? FLAMENCO_LOG_WARN : FLAMENCO_LOG_DEBUG,
              "%s: attempt %" PRIu32 " failed: %s; the next one in %" PRId64 " ms", t->label, attempts, why,
              wait_us / 1000);
}

/* Takes the next text out of the journal. Returns 0 when there is none to send now. */
static int take_next(fl_target *t)
{
    const fl_target_settings *s = t->settings;
    for (;;) {
        flamenco_error err = FLAMENCO_ERROR_INIT;
        pthread_mutex_lock(&t->lock);
        uint64_t before = t->text.number;
        uint64_t waiting = fl_journal_waiting(&t->journal);
        int32_t rc = fl_journal_read(&t->journal, &t->text, &err);
        if (rc == FLAMENCO_OK && t->text.number != before)
            t->attempts = 0; /* the one before was dropped */
        uint64_t lost = rc == FLAMENCO_E_CORRUPT ? waiting - fl_journal_waiting(&t->journal) : 0;
        pthread_mutex_unlock(&t->lock);
        if (rc == FLAMENCO_E_NOT_FOUND)
            return 0;
        if (rc == FLAMENCO_E_CORRUPT) {
            s->host->log(s->host->h, FLAMENCO_LOG_ERROR, "%s: %s", t->label, err.text);
            count(t, "webhook_dropped_total", (double)lost);
            continue;
        }
        if (rc != FLAMENCO_OK) {
            fail(t, err.text, 0);
            return 0;
        }
        if (s->max_age_us == 0 || s->host->now_us(s->host->h) - t->text.time_us <= s->max_age_us)
            return 1;
        count(t, "webhook_dropped_total", 1);
        pass_on(t);
    }
}

void fl_target_start(fl_target *t, CURLM *multi)
{
    if (t->under_way || now_of(t) < t->due_us)
        return;
    t->due_us = 0;
    if (!take_next(t))
        return;
    t->received = 0;
    if (!make_headers(t) || curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers) != CURLE_OK ||
        curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)t->text.len) != CURLE_OK ||
        curl_easy_setopt(t->easy, CURLOPT_POSTFIELDS, t->text.data) != CURLE_OK ||
        curl_multi_add_handle(multi, t->easy) != CURLM_OK) {
        fail(t, "no memory for a request", 0);
        return;
    }
    t->under_way = 1;
}

/* Refusals that a repetition would not change: it is about this event, so the others get their turn. */
static int is_final(long status)
{
    return status == 400 || status == 406 || status == 411 || status == 413 || status == 414 || status == 415 ||
           status == 422 || status == 431;
}

void fl_target_end(fl_target *t, CURLM *multi, CURLcode result)
{
    char why[128];
    long status = 0;
    curl_off_t retry_after_s = 0;
    curl_multi_remove_handle(multi, t->easy);
    t->under_way = 0;
    /* A reply that is too long, or never ends, has nevertheless said what we want to know. */
    int has_reply = result == CURLE_OK || (result == CURLE_WRITE_ERROR && t->received > REPLY_MAX);
    if (has_reply)
        (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status >= 200 && status < 300) {
        count(t, "webhook_delivered_total", 1);
        pass_on(t);
        return;
    }
    if (is_final(status)) {
        t->settings->host->log(t->settings->host->h, FLAMENCO_LOG_WARN,
                               "%s refuses event %" PRIu64 " with status %ld: dropped", t->label, t->text.number,
                               status);
        count(t, "webhook_refused_total", 1);
        pass_on(t);
        return;
    }
    if (has_reply)
        snprintf(why, sizeof(why), "status %ld", status);
    else
        snprintf(why, sizeof(why), "%s", curl_easy_strerror(result));
    if (has_reply && curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &retry_after_s) != CURLE_OK)
        retry_after_s = 0;
    fail(t, why, (int64_t)retry_after_s);
}

/* ---- What is told ----------------------------------------------------------------------------------------------------- */

int64_t fl_target_due(fl_target *t)
{
    int64_t due_us = INT64_MAX;
    pthread_mutex_lock(&t->lock);
    if (!t->under_way && fl_journal_waiting(&t->journal) > 0)
        due_us = t->due_us;
    if (t->journal.dirty && t->synced_us + SECOND_US < due_us)
        due_us = t->synced_us + SECOND_US;
    pthread_mutex_unlock(&t->lock);
    return due_us;
}

uint64_t fl_target_waiting(fl_target *t, uint64_t *bytes_out)
{
    pthread_mutex_lock(&t->lock);
    uint64_t n = fl_journal_waiting(&t->journal);
    *bytes_out = t->journal.bytes;
    pthread_mutex_unlock(&t->lock);
    return n;
}

int fl_target_is_busy(fl_target *t)
{
    pthread_mutex_lock(&t->lock);
    int busy = t->attempts == 0 && fl_journal_waiting(&t->journal) > 0;
    pthread_mutex_unlock(&t->lock);
    return busy;
}

int32_t fl_target_health(fl_target *t, flamenco_error *err)
{
    int32_t rc = FLAMENCO_OK;
    pthread_mutex_lock(&t->lock);
    if (t->unwritable)
        rc = flamenco_fail(err, FLAMENCO_E_IO, "%s: events cannot be kept, and are lost", t->label);
    else if (t->attempts >= COMPLAIN_FROM)
        rc = flamenco_fail(err, FLAMENCO_E_UNAVAILABLE, "%s: %" PRIu64 " events wait, %" PRIu32 " attempts failed: %s",
                           t->label, fl_journal_waiting(&t->journal), t->attempts, t->trouble);
    pthread_mutex_unlock(&t->lock);
    return rc;
}

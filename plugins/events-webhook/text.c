/* SPDX-License-Identifier: Apache-2.0
 *
 * text.c - see text.h.
 */
#include "text.h"

#include <strings.h>
#include <time.h>

#include <openssl/evp.h>

#define RETRY_AFTER_MAX_S 3600

int fl_webhook_matches(flamenco_str pattern, flamenco_str topic)
{
    /* The last star, and where its text began: on a mismatch it takes one character more. A "*" that would have to take a
     * slash gives way to the "**" before it. */
    const uint64_t none = UINT64_MAX;
    uint64_t p = 0, t = 0, star = none, star_t = 0, deep = none, deep_t = 0;
    while (t < topic.len) {
        int is_star = p < pattern.len && pattern.ptr[p] == '*';
        if (is_star && p + 1 < pattern.len && pattern.ptr[p + 1] == '*') {
            p += 2;
            deep = p;
            deep_t = t;
            star = none;
        } else if (is_star) {
            star = ++p;
            star_t = t;
        } else if (p < pattern.len && pattern.ptr[p] == topic.ptr[t]) {
            ++p;
            ++t;
        } else if (star != none && topic.ptr[star_t] != '/') {
            p = star;
            t = ++star_t;
        } else if (deep != none) {
            p = deep;
            t = ++deep_t;
            star = none;
        } else {
            return 0;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*')
        ++p;
    return p == pattern.len;
}

const char *fl_webhook_kind(uint32_t kind)
{
    static const char *const names[] = { "lifecycle", "farm_status",   "job",    "task",
                                         "task_log",  "last_rendered", "worker", "worker_tag" };
    return kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "other";
}

/* ---- Body ------------------------------------------------------------------------------------------------------------- */

size_t fl_webhook_body_size(const flamenco_event *event)
{
    return 256 + 6 * (size_t)(event->topic.len + event->name.len) + (size_t)event->payload.len;
}

/* As a JSON text. */
static char *add_quoted(char *out, flamenco_str text)
{
    static const char digits[] = "0123456789abcdef";
    *out++ = '"';
    for (uint64_t i = 0; i < text.len; ++i) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c < 0x20) {
            out = stpcpy(out, "\\u00");
            *out++ = digits[c >> 4];
            *out++ = digits[c & 15];
            continue;
        }
        if (c == '"' || c == '\\')
            *out++ = '\\';
        *out++ = (char)c;
    }
    *out++ = '"';
    return out;
}

static char *add_time(char *out, int64_t now_us)
{
    time_t seconds = (time_t)(now_us / 1000000);
    long micros = (long)(now_us % 1000000);
    struct tm tm;
    char text[64] = "1970-01-01T00:00:00.000000Z";
    if (micros < 0) {
        micros += 1000000;
        --seconds;
    }
    if (gmtime_r(&seconds, &tm) != NULL)
        snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%06ldZ", tm.tm_year + 1900, tm.tm_mon + 1,
                 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, micros);
    return stpcpy(out, text);
}

size_t fl_webhook_body(char *out, const flamenco_event *event, const char *id, int64_t now_us)
{
    char *at = stpcpy(stpcpy(out, "{\"id\":\""), id);
    at = add_time(stpcpy(at, "\",\"time\":\""), now_us);
    at = stpcpy(stpcpy(at, "\",\"kind\":\""), fl_webhook_kind(event->kind));
    at = add_quoted(stpcpy(at, "\",\"topic\":"), event->topic);
    at = add_quoted(stpcpy(at, ",\"name\":"), event->name);
    at = stpcpy(at, ",\"payload\":");
    if (event->payload.len > 0)
        memcpy(at, event->payload.ptr, (size_t)event->payload.len);
    at = stpcpy(at + event->payload.len, "}");
    return (size_t)(at - out);
}

/* ---- Signature -------------------------------------------------------------------------------------------------------- */

int fl_webhook_sign(flamenco_str secret, const char *timestamp, flamenco_str body, char *out)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    size_t stamp_len = strlen(timestamp);
    EVP_PKEY *key =
        EVP_PKEY_new_raw_private_key(EVP_PKEY_HMAC, NULL, (const unsigned char *)secret.ptr, (size_t)secret.len);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t size = sizeof(mac);
    int ok = key != NULL && ctx != NULL && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
             EVP_DigestSignUpdate(ctx, timestamp, stamp_len) == 1 && EVP_DigestSignUpdate(ctx, ".", 1) == 1 &&
             EVP_DigestSignUpdate(ctx, body.ptr, (size_t)body.len) == 1 && EVP_DigestSignFinal(ctx, mac, &size) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    if (!ok || size != 32)
        return 0;
    char *at = stpcpy(out, "sha256=");
    for (size_t i = 0; i < size; ++i)
        at += snprintf(at, 3, "%02x", mac[i]);
    return 1;
}

/* ---- Back-off --------------------------------------------------------------------------------------------------------- */

int64_t fl_webhook_backoff(uint32_t attempts, int64_t first_us, int64_t max_us, int64_t retry_after_s, uint64_t chance)
{
    int64_t wait_us = first_us;
    for (uint32_t i = 1; i < attempts && wait_us < max_us; ++i)
        wait_us = wait_us > max_us / 2 ? max_us : wait_us * 2;
    if (wait_us > max_us)
        wait_us = max_us;
    wait_us -= (int64_t)(chance % ((uint64_t)wait_us / 2 + 1));
    if (retry_after_s > RETRY_AFTER_MAX_S)
        retry_after_s = RETRY_AFTER_MAX_S;
    return retry_after_s * 1000000 > wait_us ? retry_after_s * 1000000 : wait_us;
}

/* ---- URLs ------------------------------------------------------------------------------------------------------------- */

/* Where the host begins; 0: it is no URL for us. */
static uint64_t host_at(flamenco_str url)
{
    if (url.len > 7 && strncasecmp(url.ptr, "http://", 7) == 0)
        return 7;
    return url.len > 8 && strncasecmp(url.ptr, "https://", 8) == 0 ? 8 : 0;
}

static uint64_t host_end(flamenco_str url, uint64_t at)
{
    while (at < url.len && strchr("/?#", url.ptr[at]) == NULL)
        ++at;
    return at;
}

int fl_webhook_is_url(flamenco_str url)
{
    for (uint64_t i = 0; i < url.len; ++i)
        if ((unsigned char)url.ptr[i] <= ' ' || url.ptr[i] == 0x7f || url.ptr[i] == '\\')
            return 0;
    uint64_t begin = host_at(url), end = begin > 0 ? host_end(url, begin) : 0;
    return end > begin && url.ptr[begin] != ':' && memchr(url.ptr + begin, '@', (size_t)(end - begin)) == NULL;
}

void fl_webhook_label(flamenco_str url, char *out, size_t size)
{
    uint64_t end = host_end(url, host_at(url));
    snprintf(out, size, "%.*s", (int)end, url.ptr);
}

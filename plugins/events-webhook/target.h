/* SPDX-License-Identifier: Apache-2.0
 *
 * target.h - one URL that events are sent to: its journal, and the one request that is under way to it. Used by plugin.c:
 * fl_target_add on the publisher's thread, the rest on the plugin's own, but for what says [any].
 */
#ifndef WEBHOOK_TARGET_H
#define WEBHOOK_TARGET_H

#include <pthread.h>

#include <curl/curl.h>

#include "journal.h"

/* What all targets of an instance have in common. Texts are NUL-terminated, empty = none. */
typedef struct fl_target_settings {
    const flamenco_host *host;
    flamenco_str secret;
    const char *authorization, *ca_file;
    int64_t timeout_us, first_us, max_us, max_age_us;
    uint64_t limit; /* bytes of the journal */
} fl_target_settings;

typedef struct fl_target {
    const fl_target_settings *settings;
    char *url;
    char label[128]; /* what may be shown of it */
    CURL *easy;
    struct curl_slist *headers; /* of the request under way */
    int under_way;
    size_t received; /* of the reply */
    fl_journal_text text; /* that is being sent */
    uint64_t random; /* state of a generator, for jitter */
    int64_t due_us; /* when to try again, monotonic; 0 = now */
    int64_t synced_us;

    pthread_mutex_t lock; /* the rest */
    fl_journal journal;
    uint32_t attempts; /* that failed, of the text that is to be sent */
    char trouble[160]; /* of the last one */
    int unwritable; /* the last text could not be kept */
} fl_target;

/* Makes a target; opens its journal below `directory`, which exists. `url` is copied. On failure nothing is left. */
int32_t fl_target_open(fl_target *target, const fl_target_settings *settings, flamenco_str url, const char *directory,
                       flamenco_error *err);

/* Gives up the request under way, if there is one; what is in the journal stays. Accepts a zeroed target. */
void fl_target_close(fl_target *target, CURLM *multi);

/* Keeps an event's text. Does not wait for the receiver. */
void fl_target_add(fl_target *target, const char *data, size_t len, int64_t time_us);

/* Starts the next request when it is time. */
void fl_target_start(fl_target *target, CURLM *multi);

/* Ends a request that curl says is over. */
void fl_target_end(fl_target *target, CURLM *multi, CURLcode result);

/* Brings to the disk what was written, once a second. */
void fl_target_sync(fl_target *target, int64_t now_us);

/* When to look again at the latest; µs, monotonic; INT64_MAX = not by itself. */
int64_t fl_target_due(fl_target *target);

/* How many events wait, and how many bytes they are. [any] */
uint64_t fl_target_waiting(fl_target *target, uint64_t *bytes_out);

/* Whether events can still be expected to go out soon: some wait, and the receiver takes them. [any] */
int fl_target_is_busy(fl_target *target);

/* [any] */
int32_t fl_target_health(fl_target *target, flamenco_error *err);

#endif

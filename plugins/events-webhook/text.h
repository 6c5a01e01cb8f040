/* SPDX-License-Identifier: Apache-2.0
 *
 * text.h - what a webhook is sent: which events, as what text, signed how, tried again when. Pure; used by plugin.c and
 * target.c.
 */
#ifndef WEBHOOK_TEXT_H
#define WEBHOOK_TEXT_H

#include "flamenco/plugin.h"

#define FL_WEBHOOK_SIGNATURE_SIZE 72u /* "sha256=", 64 digits, NUL */

/* Whether a topic is one of those that the pattern names: "*" stands for any characters but '/', "**" for any at all. */
int fl_webhook_matches(flamenco_str pattern, flamenco_str topic);

/* The name of a kind of events, "task_log"; "other" for one that is not known. */
const char *fl_webhook_kind(uint32_t kind);

/* How long the text of an event can become at most. */
size_t fl_webhook_body_size(const flamenco_event *event);

/* Writes the text of an event, which has room; returns its length. `id` is a UUID as text. */
size_t fl_webhook_body(char *out, const flamenco_event *event, const char *id, int64_t now_us);

/* Signs: HMAC-SHA256 with `secret` over "TIMESTAMP.BODY", as "sha256=" and hexadecimal digits. Returns 0 when the library
 * fails. */
int fl_webhook_sign(flamenco_str secret, const char *timestamp, flamenco_str body, char *out);

/* How long to wait after so many failed attempts (1 = the first): first_us doubled each time, at most max_us, of which
 * something between half and all, as `chance` has it (any number). A receiver that asked for longer gets it, up to an hour;
 * retry_after_s 0 = it did not. */
int64_t fl_webhook_backoff(uint32_t attempts, int64_t first_us, int64_t max_us, int64_t retry_after_s, uint64_t chance);

/* Whether an URL is one that may be sent to: http or https, a host, no user in it, no blanks or control characters. */
int fl_webhook_is_url(flamenco_str url);

/* What may be shown of an URL, "https://host:port": paths and queries of webhooks are secrets. Cut to the room. */
void fl_webhook_label(flamenco_str url, char *out, size_t size);

#endif

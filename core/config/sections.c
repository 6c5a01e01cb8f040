/* SPDX-License-Identifier: Apache-2.0
 *
 * sections.c - the plain sections of manager.yaml, `http` and `limits`: their settings, with the defaults of architecture.md 8.
 */
#include "core/config/manager_yaml.h"

#include <string.h>

#define SECOND INT64_C(1000000)
#define KIB INT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

#define SETTING(key_, type_, default_, min_, max_, unit_, doc_) \
    { \
        .struct_size = (uint32_t)sizeof(flamenco_setting), .type = FLAMENCO_SETTING_##type_, .key = key_, \
        .default_text = default_, .min = min_, .max = max_, .unit = unit_, .doc = doc_ \
    }
#define HTTP(member, ...) \
    { \
        SETTING(__VA_ARGS__), (uint32_t)offsetof(fl_http_settings, member) \
    }
#define LIMIT(member, ...) \
    { \
        SETTING(__VA_ARGS__), (uint32_t)offsetof(fl_limit_settings, member) \
    }

// clang-format off
static const fl_section_setting http_settings[] = {
    HTTP(threads, "threads", INT, "0", 0, 256, "threads", "Event loops; 0 = one per core."),
    HTTP(connections, "connections", INT, "0", 0, 1000000, "connections",
         "Open connections, then accepting pauses; 0 = 50000, or as many as the limit of open files leaves."),
    HTTP(head_timeout_us, "head_timeout", DURATION, "10s", SECOND, 3600 * SECOND, NULL,
         "Time for the head of a request."),
    HTTP(idle_timeout_us, "idle_timeout", DURATION, "15m", 70 * SECOND, 86400 * SECOND, NULL,
         "A connection without a request for so long is closed; Workers are silent for up to 66 s."),
    HTTP(body_timeout_us, "body_timeout", DURATION, "1m", SECOND, 3600 * SECOND, NULL,
         "A body of which nothing arrives for so long is given up."),
    HTTP(body_rate_bytes, "body_rate", BYTES, "1KiB", 0, GIB, "per second",
         "A body that arrives more slowly is given up; 0 = any speed."),
    HTTP(reply_timeout_us, "reply_timeout", DURATION, "1m", SECOND, 3600 * SECOND, NULL,
         "A reply of which nothing is read for so long is given up."),
    HTTP(body_json_bytes, "body_json", BYTES, "16MiB", 64 * KIB, GIB, NULL, "Largest JSON body."),
    HTTP(body_job_bytes, "body_job", BYTES, "128MiB", 64 * KIB, GIB, NULL,
         "Largest body of a job submission and of Shaman's lists."),
    HTTP(body_image_bytes, "body_image", BYTES, "26214400", 64 * KIB, GIB, NULL, "Largest rendered image."),
    HTTP(spill_above_bytes, "spill_above", BYTES, "1MiB", 4 * KIB, GIB, NULL,
         "Bodies above this size wait in a file instead of in memory."),
    HTTP(spill_directory, "spill_directory", PATH, "", 0, 0, NULL,
         "Where those files are; empty = the system's directory for temporary files."),
    HTTP(websocket_messages, "websocket_messages", INT, "500", 1, 1000000, "messages",
         "Messages that may wait for one web page, then it is cut off."),
    HTTP(websocket_queue_bytes, "websocket_queue", BYTES, "4MiB", 64 * KIB, GIB, NULL,
         "Bytes that may wait for one web page, then it is cut off."),
    HTTP(websocket_message_bytes, "websocket_message", BYTES, "64KiB", KIB, 16 * MIB, NULL,
         "Largest message from a web page."),
    HTTP(websocket_timeout_us, "websocket_timeout", DURATION, "1m", 30 * SECOND, 86400 * SECOND, NULL,
         "A web page that is silent for so long is cut off."),
    HTTP(gzip, "gzip", BOOL, "true", 0, 0, NULL, "Whether replies are compressed for those who accept it."),
    HTTP(tls_certificate, "tls_certificate", PATH, "", 0, 0, NULL,
         "PEM file with the certificate chain; with tls_key it makes the manager speak HTTPS."),
    HTTP(tls_key, "tls_key", PATH, "", 0, 0, NULL, "PEM file with the private key."),
};

static const fl_section_setting limit_settings[] = {
    LIMIT(hold_empty_poll_us, "hold_empty_poll", DURATION, "10m", 0, 86400 * SECOND, NULL,
          "How long a Worker's question for a task waits for one; 0 = it is answered at once."),
    LIMIT(hold_empty_poll_proxy_us, "hold_empty_poll_proxy", DURATION, "50s", 0, 3600 * SECOND, NULL,
          "The same for Workers behind a proxy, which would close the connection."),
    LIMIT(readers, "readers", INT, "0", 0, 64, "threads", "Threads that read the database; 0 = one per core, 2 to 8."),
    LIMIT(read_timeout_us, "read_timeout", DURATION, "10s", SECOND, 600 * SECOND, NULL,
          "Time for one request that only reads."),
    LIMIT(request_timeout_us, "request_timeout", DURATION, "25s", SECOND, 600 * SECOND, NULL,
          "Time for one request that writes, its tries included."),
    LIMIT(reply_memory_bytes, "reply_memory", BYTES, "256MiB", 16 * MIB, 64 * GIB, NULL,
          "Replies in memory, then lists wait."),
    LIMIT(compile_memory_bytes, "compile_memory", BYTES, "512MiB", 16 * MIB, 64 * GIB, NULL,
          "Compiled jobs in memory, then compiling waits."),
    LIMIT(image_memory_bytes, "image_memory", BYTES, "256MiB", 32 * MIB, 64 * GIB, NULL,
          "Rendered images that wait to be made small, then more are refused (429)."),
};
// clang-format on

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const fl_section fl_sections[] = {
    { "http", "The web server.", http_settings, COUNT(http_settings), (uint32_t)offsetof(fl_manager_yaml, http) },
    { "limits", "Threads, time and memory.", limit_settings, COUNT(limit_settings),
      (uint32_t)offsetof(fl_manager_yaml, limits) },
};
const size_t fl_sections_count = COUNT(fl_sections);

int64_t fl_limit_by_key(const fl_limit_settings *limits, const char *key)
{
    int64_t value = 0;
    for (size_t i = 0; i < COUNT(limit_settings); ++i) {
        const fl_section_setting *s = &limit_settings[i];
        int is_number = s->setting.type != FLAMENCO_SETTING_TEXT && s->setting.type != FLAMENCO_SETTING_PATH;
        if (is_number && strcmp(s->setting.key, key) == 0)
            memcpy(&value, (const char *)limits + s->offset, sizeof(value));
    }
    return value;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * talk.c - see talk.h.
 */
#include "talk.h"

#include "jscheck.h"
#include "modules.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SLICE_MS 25
#define READ_BYTES (256u << 10)
/* The helper watches its own limits; this much later it is taken to be unable to. */
#define GRACE_US 1000000
#define LOGS_MAX 1100
#define LOG_BYTES_MAX (8u << 10)

int32_t fl_talk_refuse(const flamenco_compile_sink *sink, flamenco_str message, flamenco_str place, uint32_t line,
                       uint32_t column, flamenco_error *err)
{
    if (sink != NULL && FLAMENCO_HAS(sink, problem)) {
        flamenco_script_problem problem = { (uint32_t)sizeof(problem), line, column, 0, place, message };
        sink->problem(sink->ctx, &problem);
    }
    /* The place stands at the end, and must survive when the message is too long. */
    char where[96] = "";
    if (place.len > 0 && place.len < 64 && line > 0)
        snprintf(where, sizeof(where), " (%.*s:%" PRIu32 ")", (int)place.len, place.ptr, line);
    else if (place.len > 0 && place.len < 64)
        snprintf(where, sizeof(where), " (%.*s)", (int)place.len, place.ptr);
    size_t room = sizeof(err->text) - 1 - strlen(where);
    size_t n = (size_t)message.len;
    if (n > room) {
        n = room;
        while (n > 0 && ((unsigned char)message.ptr[n] & 0xC0) == 0x80)
            n--;
    }
    flamenco_fail(err, FLAMENCO_E_INVALID, "%.*s%s", (int)n, n > 0 ? message.ptr : "", where);
    return FLAMENCO_E_INVALID;
}

static int32_t refuse_script(fl_talk *talk, flamenco_error *err, const char *message)
{
    return fl_talk_refuse(talk->sink, flamenco_text(message), flamenco_text(talk->script->file), 0, 0, err);
}

static int32_t refuse_time(fl_talk *talk, flamenco_error *err)
{
    char text[96];
    snprintf(text, sizeof(text), "the script took longer than %g s", (double)talk->limits->time_us / 1e6);
    return refuse_script(talk, err, text);
}

/* ---- The end of a helper --------------------------------------------------------------------------------------- */

static void end_helper(fl_talk *talk, fl_death *out)
{
    if (talk->helper != NULL)
        fl_pool_bury(talk->pool, talk->helper, out);
    talk->helper = NULL;
}

/* The helper has closed its socket: says why. */
static int32_t judge_death(fl_talk *talk, flamenco_error *err)
{
    fl_death death;
    char text[160];
    end_helper(talk, &death);
    talk->problem = 0;
    switch (death.code) {
    case FL_WIRE_EXIT_MEMORY:
        snprintf(text, sizeof(text), "the script needed more than %" PRIu64 " MiB of memory",
                 talk->limits->memory_bytes >> 20);
        return refuse_script(talk, err, text);
    case FL_WIRE_EXIT_TIME:
        return refuse_time(talk, err);
    default:
        break;
    }
    switch (death.signal) {
    case SIGABRT:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
    case SIGSEGV:
    case SIGSYS:
    case SIGTRAP:
        /* The engine aborts when its heap is full: far more likely than a defect of it. */
        snprintf(text, sizeof(text), "the script engine crashed (signal %d): the script needs too much memory",
                 death.signal);
        return refuse_script(talk, err, text);
    default:
        talk->killed = death.signal == SIGKILL && talk->received == 0;
        flamenco_fail(err, FLAMENCO_E_UNAVAILABLE, "the script engine ended unexpectedly (%s %d)%s%s",
                      death.signal != 0 ? "signal" : "exit code", death.signal != 0 ? death.signal : death.code,
                      death.text[0] != '\0' ? ": " : "", death.text);
        return FLAMENCO_E_UNAVAILABLE;
    }
}

/* ---- Frames ---------------------------------------------------------------------------------------------------- */

static int32_t broken(flamenco_error *err, const char *what)
{
    return flamenco_fail(err, FLAMENCO_E_INTERNAL, "the script engine sent %s", what);
}

static int32_t answer_script(fl_talk *talk, fl_wire_in *in, flamenco_error *err)
{
    if (fl_wire_get_u64(in) != talk->script->id || !fl_wire_done(in))
        return broken(err, "a question for another script");
    flamenco_str text = { talk->script->text, talk->script->len };
    fl_wire_begin(&talk->out, FL_WIRE_SCRIPT);
    fl_wire_str(&talk->out, text);
    fl_wire_end(&talk->out);
    return FLAMENCO_OK;
}

static int32_t answer_module(fl_talk *talk, fl_wire_in *in, flamenco_error *err)
{
    flamenco_str from = fl_wire_get_str(in);
    flamenco_str name = fl_wire_get_str(in);
    if (!fl_wire_done(in) || !fl_jscheck_utf8(name))
        return broken(err, "a broken question");
    fl_module *module = malloc(sizeof(*module));
    if (module == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for a module");
    flamenco_error reason = FLAMENCO_ERROR_INIT;
    int32_t rc = fl_modules_find(talk->catalogue, from, name, module, &reason);
    fl_wire_begin(&talk->out, FL_WIRE_MODULE);
    fl_wire_u32(&talk->out, rc == FLAMENCO_OK);
    if (rc == FLAMENCO_OK) {
        flamenco_str text = { module->text, module->len };
        fl_wire_str(&talk->out, flamenco_text(module->key));
        fl_wire_str(&talk->out, flamenco_text(module->place));
        fl_wire_str(&talk->out, text);
        free(module->text);
    } else {
        fl_wire_str(&talk->out, flamenco_text(NULL));
        fl_wire_str(&talk->out, flamenco_text(NULL));
        fl_wire_str(&talk->out, flamenco_text(reason.text));
    }
    fl_wire_end(&talk->out);
    free(module);
    return FLAMENCO_OK;
}

static int32_t take_log(fl_talk *talk, fl_wire_in *in, flamenco_error *err)
{
    uint32_t level = fl_wire_get_u32(in);
    flamenco_str text = fl_wire_get_str(in);
    if (!fl_wire_done(in) || (level != FLAMENCO_LOG_INFO && level != FLAMENCO_LOG_WARN) || !fl_jscheck_utf8(text) ||
        text.len > LOG_BYTES_MAX || ++talk->logs > LOGS_MAX)
        return broken(err, "a broken log line");
    /* One line stays one line. */
    char line[LOG_BYTES_MAX + 1];
    for (uint64_t i = 0; i < text.len; i++)
        line[i] = (unsigned char)text.ptr[i] < 0x20 ? ' ' : text.ptr[i];
    line[text.len] = '\0';
    if (talk->sink != NULL && FLAMENCO_HAS(talk->sink, log)) {
        talk->sink->log(talk->sink->ctx, level, flamenco_text(line));
    } else {
        const flamenco_host *host = talk->pool->host;
        /* What a script prints while it is loaded only to be described is noise. */
        int noise = talk->sink == NULL && level == FLAMENCO_LOG_INFO;
        host->log(host->h, noise ? FLAMENCO_LOG_DEBUG : level, "%s: %s", talk->script->file, line);
    }
    return FLAMENCO_OK;
}

static int32_t take_type(fl_talk *talk, fl_wire_in *in, flamenco_error *err)
{
    flamenco_str json = fl_wire_get_str(in);
    if (!fl_wire_done(in) || talk->sink != NULL || talk->json != NULL || !fl_jscheck_json(json, FL_JSCHECK_OBJECT, 1))
        return broken(err, "a broken job type");
    talk->json = strndup(json.ptr, (size_t)json.len);
    talk->json_len = (size_t)json.len;
    return talk->json != NULL ? FLAMENCO_OK : flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for a job type");
}

static int32_t take_problem(fl_talk *talk, fl_wire_in *in, flamenco_error *err)
{
    uint32_t kind = fl_wire_get_u32(in);
    talk->line = fl_wire_get_u32(in);
    talk->column = fl_wire_get_u32(in);
    flamenco_str place = fl_wire_get_str(in);
    flamenco_str message = fl_wire_get_str(in);
    if (!fl_wire_done(in) || kind > FL_WIRE_PROBLEM_SYNTAX || !fl_jscheck_utf8(place) || !fl_jscheck_utf8(message) ||
        talk->problem != 0)
        return broken(err, "a broken problem");
    talk->problem = kind + 1;
    fl_talk_refuse(talk->sink, message, place.len > 0 ? place : flamenco_text(talk->script->file), talk->line,
                   talk->column, err);
    return FLAMENCO_OK; /* its end frame follows */
}

static int32_t take_end(fl_talk *talk, fl_wire_in *in, flamenco_error *err)
{
    if (fl_wire_get_u64(in) != talk->number || !fl_wire_done(in))
        return broken(err, "the end of another answer");
    talk->ended = 1;
    if (talk->problem != 0)
        return FLAMENCO_E_INVALID; /* err says why since the problem's frame */
    if (talk->sink == NULL)
        return talk->json != NULL ? FLAMENCO_OK : broken(err, "no job type");
    int32_t rc = fl_assembly_finish(&talk->assembly, err);
    if (rc == FLAMENCO_E_INVALID) {
        char text[sizeof(err->text)];
        memcpy(text, err->text, sizeof(text));
        return refuse_script(talk, err, text);
    }
    return rc;
}

static int32_t take_frame(fl_talk *talk, uint32_t type, fl_wire_in *in, flamenco_error *err)
{
    int32_t rc;
    switch (type) {
    case FL_WIRE_NEED_SCRIPT:
        return answer_script(talk, in, err);
    case FL_WIRE_NEED_MODULE:
        return answer_module(talk, in, err);
    case FL_WIRE_LOG:
        return take_log(talk, in, err);
    case FL_WIRE_TYPE:
        return take_type(talk, in, err);
    case FL_WIRE_JOB:
    case FL_WIRE_TASK:
        if (talk->sink == NULL)
            return broken(err, "a job that nobody asked for");
        rc = type == FL_WIRE_JOB ? fl_assembly_job(&talk->assembly, in, err)
                                 : fl_assembly_task(&talk->assembly, in, err);
        if (rc == FLAMENCO_E_INVALID) {
            char text[sizeof(err->text)];
            memcpy(text, err->text, sizeof(text));
            return refuse_script(talk, err, text);
        }
        return rc;
    case FL_WIRE_PROBLEM:
        return take_problem(talk, in, err);
    case FL_WIRE_END:
        return take_end(talk, in, err);
    default:
        return broken(err, "an unknown frame");
    }
}

/* Takes all frames that are complete. */
static int32_t take_frames(fl_talk *talk, flamenco_error *err)
{
    int32_t rc = FLAMENCO_OK;
    while (rc == FLAMENCO_OK && !talk->ended && talk->in_len - talk->in_start >= FL_WIRE_HEADER) {
        uint32_t header[2];
        memcpy(header, talk->in + talk->in_start, sizeof(header));
        if (header[0] > FL_WIRE_PAYLOAD_MAX)
            return broken(err, "too large a frame");
        if (talk->in_len - talk->in_start - FL_WIRE_HEADER < header[0])
            break;
        fl_wire_in in = { talk->in + talk->in_start + FL_WIRE_HEADER, NULL, 0 };
        in.end = in.at + header[0];
        talk->in_start += FL_WIRE_HEADER + header[0];
        rc = take_frame(talk, header[1], &in, err);
    }
    /* The rows' texts lie in the buffer, which is about to move. */
    if (rc == FLAMENCO_OK && talk->sink != NULL)
        rc = fl_assembly_flush(&talk->assembly, err);
    return rc;
}

/* ---- The socket ------------------------------------------------------------------------------------------------ */

static int32_t make_space(fl_talk *talk, flamenco_error *err)
{
    if (talk->in_start > 0) {
        memmove(talk->in, talk->in + talk->in_start, talk->in_len - talk->in_start);
        talk->in_len -= talk->in_start;
        talk->in_start = 0;
    }
    if (talk->in_cap - talk->in_len >= READ_BYTES / 4)
        return FLAMENCO_OK;
    size_t cap = talk->in_cap == 0 ? READ_BYTES : talk->in_cap * 2;
    uint8_t *in = realloc(talk->in, cap);
    if (in == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for the answer of the script engine");
    talk->in = in;
    talk->in_cap = cap;
    return FLAMENCO_OK;
}

static int32_t receive(fl_talk *talk, flamenco_error *err)
{
    int32_t rc = make_space(talk, err);
    if (rc != FLAMENCO_OK)
        return rc;
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): converse() ends when it is gone */
    ssize_t n = recv(talk->helper->sock, talk->in + talk->in_len, talk->in_cap - talk->in_len, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return FLAMENCO_OK;
    if (n <= 0)
        return judge_death(talk, err);
    talk->in_len += (size_t)n;
    talk->received += (uint64_t)n;
    if (talk->received > talk->limits->output_bytes) {
        char text[96];
        snprintf(text, sizeof(text), "the compiled job is larger than %" PRIu64 " MiB",
                 talk->limits->output_bytes >> 20);
        return refuse_script(talk, err, text);
    }
    return take_frames(talk, err);
}

static int32_t transmit(fl_talk *talk, flamenco_error *err)
{
    ssize_t n = send(talk->helper->sock, talk->out.data + talk->sent, talk->out.len - talk->sent, MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return FLAMENCO_OK;
    if (n < 0)
        return judge_death(talk, err);
    talk->sent += (size_t)n;
    if (talk->sent == talk->out.len)
        talk->sent = talk->out.len = 0;
    return FLAMENCO_OK;
}

static int32_t wait_for_helper(fl_talk *talk, short *events, flamenco_error *err)
{
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): converse() ends when it is gone */
    struct pollfd fd = { talk->helper->sock, (short)(POLLIN | (talk->out.len > 0 ? POLLOUT : 0)), 0 };
    int64_t before = fl_pool_now_us();
    int n = poll(&fd, 1, SLICE_MS);
    talk->waited_us += fl_pool_now_us() - before;
    *events = n > 0 ? fd.revents : 0;
    int32_t rc = fl_pool_given_up(talk->pool, talk->cx, err);
    if (rc == FLAMENCO_OK && *events == 0 && talk->waited_us > talk->limits->time_us + GRACE_US)
        rc = refuse_time(talk, err);
    return rc;
}

/* Sends what is in `out` and takes the whole answer. Gives the helper back, or ends it when it cannot be trusted to be at
 * the beginning of the next order. */
static int32_t converse(fl_talk *talk, flamenco_error *err)
{
    if (talk->out.failed)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "the job is too large to be compiled");
    int32_t rc = fl_pool_take(talk->pool, talk->cx, &talk->helper, err);
    /* Most often the order fits into the socket at once. */
    if (rc == FLAMENCO_OK)
        rc = transmit(talk, err);
    while (rc == FLAMENCO_OK && !talk->ended) {
        short events = 0;
        rc = wait_for_helper(talk, &events, err);
        if (rc == FLAMENCO_OK && (events & POLLOUT) != 0)
            rc = transmit(talk, err);
        if (rc == FLAMENCO_OK && (events & (POLLIN | POLLHUP | POLLERR)) != 0)
            rc = receive(talk, err);
        if (rc == FLAMENCO_OK && talk->out.failed)
            rc = flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for the script engine");
    }
    /* Behind the end frame nothing may follow. */
    int clean = talk->ended && rc != FLAMENCO_E_INTERNAL && talk->in_start == talk->in_len && talk->out.len == 0;
    if (talk->helper != NULL && clean)
        fl_pool_give(talk->pool, talk->helper, talk->assembly.tasks);
    else
        end_helper(talk, NULL);
    talk->helper = NULL;
    fl_wire_free(&talk->out);
    free(talk->in);
    talk->in = NULL;
    fl_assembly_free(&talk->assembly);
    return rc;
}

static void put_order(fl_talk *talk, uint32_t type, char *key, size_t size)
{
    talk->number = talk->script->id ^ (uint64_t)fl_pool_now_us();
    snprintf(key, size, "%" PRIu32 ":%s", talk->script->source, talk->script->file);
    fl_wire_order order = { talk->number,          talk->script->id,
                            talk->limits->time_us, talk->limits->memory_bytes,
                            flamenco_text(key),    flamenco_text(talk->script->file) };
    fl_wire_begin(&talk->out, type);
    fl_wire_put_order(&talk->out, &order);
}

int32_t fl_talk_describe(fl_talk *talk, flamenco_error *err)
{
    char key[300];
    put_order(talk, FL_WIRE_DESCRIBE, key, sizeof(key));
    fl_wire_str(&talk->out, flamenco_text(talk->script->type));
    fl_wire_end(&talk->out);
    return converse(talk, err);
}

int32_t fl_talk_compile(fl_talk *talk, const flamenco_compile_request *request, flamenco_error *err)
{
    char key[300];
    char uuid[37];
    flamenco_str none = flamenco_text("{}");
    talk->assembly.host = talk->pool->host;
    talk->assembly.sink = talk->sink;
    talk->assembly.tasks_max = talk->limits->tasks;
    talk->pool->host->uuid_format(&request->uuid, uuid);
    put_order(talk, FL_WIRE_COMPILE, key, sizeof(key));
    fl_wire_u64(&talk->out, (uint64_t)request->created_us);
    fl_wire_u32(&talk->out, (uint32_t)request->priority);
    fl_wire_str(&talk->out, flamenco_text(uuid));
    fl_wire_str(&talk->out, request->worker_tag);
    fl_wire_str(&talk->out, request->name);
    fl_wire_str(&talk->out, request->type);
    fl_wire_str(&talk->out, request->settings.len > 0 ? request->settings : none);
    fl_wire_str(&talk->out, request->metadata.len > 0 ? request->metadata : none);
    fl_wire_str(&talk->out, request->shaman_checkout_id);
    fl_wire_end(&talk->out);
    return converse(talk, err);
}

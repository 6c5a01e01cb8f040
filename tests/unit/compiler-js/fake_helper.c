/* SPDX-License-Identifier: Apache-2.0
 *
 * fake_helper.c - a helper that describes every script well and answers every compilation wrongly, each time in the way that
 * its own file name says. For test_protocol.c.
 */
#include "wire.h"

#include <stdlib.h>
#include <unistd.h>

static fl_wire_out out;
static uint8_t payload[1 << 20];

static void flush(void)
{
    for (size_t at = 0; at < out.len;) {
        ssize_t n = write(FL_WIRE_FD, out.data + at, out.len - at);
        if (n <= 0)
            _exit(0);
        at += (size_t)n;
    }
    out.len = 0;
}

static uint32_t receive(fl_wire_in *in)
{
    uint32_t header[2];
    uint8_t *to = (uint8_t *)header;
    size_t left = sizeof(header);
    for (int part = 0; part < 2; part++) {
        while (left > 0) {
            ssize_t n = read(FL_WIRE_FD, to, left);
            if (n <= 0)
                _exit(0);
            to += n;
            left -= (size_t)n;
        }
        to = payload;
        left = header[0] < sizeof(payload) ? header[0] : 0;
    }
    in->at = payload;
    in->end = payload + header[0];
    in->failed = 0;
    return header[1];
}

static void put_text(const char *text)
{
    fl_wire_str(&out, flamenco_text(text));
}

static void put_job(const char *name, const char *settings, uint64_t tasks, uint64_t deps, uint64_t steps)
{
    fl_wire_begin(&out, FL_WIRE_JOB);
    put_text("f9168c5e-ceb2-4faa-b6bf-329bf39fa1e4");
    fl_wire_u32(&out, 50);
    put_text(name);
    put_text("type");
    put_text(settings);
    put_text("{}");
    put_text("");
    put_text("");
    fl_wire_u64(&out, tasks);
    fl_wire_u64(&out, deps);
    fl_wire_u64(&out, steps);
    fl_wire_end(&out);
}

static void put_task(const char *name, const char *commands, uint64_t steps, uint32_t n, const uint32_t *deps)
{
    fl_wire_begin(&out, FL_WIRE_TASK);
    put_text("");
    fl_wire_u32(&out, 50);
    fl_wire_u64(&out, steps);
    put_text(name);
    put_text("misc");
    put_text(commands);
    fl_wire_u32(&out, n);
    fl_wire_bytes(&out, deps, n * sizeof(*deps));
    fl_wire_end(&out);
}

static void put_end(uint64_t number)
{
    fl_wire_begin(&out, FL_WIRE_END);
    fl_wire_u64(&out, number);
    fl_wire_end(&out);
}

static void put_empty(uint32_t type)
{
    fl_wire_begin(&out, type);
    fl_wire_end(&out);
}

static int is_mode(const char *mode, const char *name)
{
    return strcmp(mode, name) == 0;
}

/* What goes wrong with a job of two tasks. */
static void answer_job(const char *mode, uint64_t number)
{
    static const uint32_t first[] = { 0 }, far[] = { 7 }, twice[] = { 0, 0 };
    const char *commands = "[{\"name\":\"c\",\"parameters\":null,\"total_step_count\":0}]";
    int bad_deps = is_mode(mode, "dep-far") || is_mode(mode, "dep-more");
    put_job(is_mode(mode, "job-utf8") ? "\xC3" : "job",
            is_mode(mode, "job-json")   ? "{"
            : is_mode(mode, "job-list") ? "[]"
            : is_mode(mode, "job-html") ? "{\"a\":\"<\"}"
                                        : "{}",
            is_mode(mode, "job-huge") ? UINT64_C(1) << 40 : 2,
            is_mode(mode, "dep-more")    ? 0
            : is_mode(mode, "dep-twice") ? 2
                                         : 1,
            is_mode(mode, "job-steps") ? 3 : 2);
    if (is_mode(mode, "job-twice"))
        put_job("job", "{}", 2, 1, 2);
    put_task("a", is_mode(mode, "task-json") ? "[{}" : is_mode(mode, "task-text") ? "\"x\"" : commands, 1, 0, NULL);
    if (!is_mode(mode, "few-tasks"))
        put_task(is_mode(mode, "task-utf8") ? "\xFF" : "b", commands, is_mode(mode, "task-steps") ? (uint64_t)-1 : 1,
                 is_mode(mode, "dep-twice") ? 2 : 1,
                 is_mode(mode, "dep-far") ? far
                 : bad_deps               ? first
                                          : twice);
    if (is_mode(mode, "many-tasks"))
        put_task("c", "null", 0, 0, NULL);
    put_end(is_mode(mode, "wrong-end") ? number + 1 : number);
    if (is_mode(mode, "trailing"))
        put_end(number);
}

static void put_problem(const char *message)
{
    fl_wire_begin(&out, FL_WIRE_PROBLEM);
    fl_wire_u32(&out, FL_WIRE_PROBLEM_SCRIPT);
    fl_wire_u32(&out, 1);
    fl_wire_u32(&out, 1);
    put_text("x.js");
    put_text(message);
    fl_wire_end(&out);
}

static void answer(const char *mode, uint64_t number)
{
    if (is_mode(mode, "frame-unknown")) {
        put_empty(99);
    } else if (is_mode(mode, "frame-huge")) {
        fl_wire_u32(&out, UINT32_MAX);
        fl_wire_u32(&out, FL_WIRE_TASK);
    } else if (is_mode(mode, "frame-empty")) {
        put_empty(FL_WIRE_JOB);
    } else if (is_mode(mode, "task-first")) {
        put_task("a", "null", 0, 0, NULL);
    } else if (is_mode(mode, "end-only")) {
        put_end(number);
    } else if (is_mode(mode, "type-again")) {
        fl_wire_begin(&out, FL_WIRE_TYPE);
        put_text("{}");
        fl_wire_end(&out);
    } else if (is_mode(mode, "script-other")) {
        fl_wire_begin(&out, FL_WIRE_NEED_SCRIPT);
        fl_wire_u64(&out, 123456789);
        fl_wire_end(&out);
    } else if (is_mode(mode, "problem-twice")) {
        put_problem("one");
        put_problem("two");
    } else if (is_mode(mode, "problem-utf8")) {
        put_problem("\xED\xA0\x80");
    } else if (is_mode(mode, "problem-open")) {
        put_problem("never ended");
        flush();
        _exit(0);
    } else if (is_mode(mode, "log-flood")) {
        for (int i = 0; i < 5000; i++) {
            fl_wire_begin(&out, FL_WIRE_LOG);
            fl_wire_u32(&out, FLAMENCO_LOG_INFO);
            put_text("line");
            fl_wire_end(&out);
        }
    } else if (is_mode(mode, "leave")) {
        put_job("job", "{}", 2, 0, 0);
        put_task("a", "null", 0, 0, NULL);
        flush();
        _exit(5);
    } else if (is_mode(mode, "module-lies")) {
        fl_wire_begin(&out, FL_WIRE_NEED_MODULE);
        put_text("0:../../../etc/x");
        put_text("./passwd");
        fl_wire_end(&out);
        flush();
        fl_wire_in in;
        if (receive(&in) != FL_WIRE_MODULE || fl_wire_get_u32(&in) != 0)
            _exit(6);
        answer_job("good", number);
    } else {
        answer_job(mode, number);
    }
    flush();
}

int main(int argc, char **argv)
{
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    const char *mode = slash != NULL ? slash + 1 : "";
    fl_wire_in in;
    if (is_mode(mode, "dies")) {
        static const char text[] = "error while loading shared libraries\n";
        return write(STDERR_FILENO, text, sizeof(text) - 1) > 0 ? 127 : 1;
    }
    receive(&in);
    fl_wire_begin(&out, is_mode(mode, "hello-type") ? FL_WIRE_END : FL_WIRE_HELLO);
    fl_wire_u32(&out, is_mode(mode, "hello-version") ? 99 : FL_WIRE_VERSION);
    fl_wire_u32(&out, is_mode(mode, "unsealed") ? 38 : 0);
    fl_wire_u32(&out, is_mode(mode, "unsealed") ? 95 : 0);
    put_text(argv[0]);
    fl_wire_end(&out);
    flush();
    for (;;) {
        fl_wire_order order;
        uint32_t type = receive(&in);
        fl_wire_get_order(&in, &order);
        if (type == FL_WIRE_DESCRIBE) {
            fl_wire_begin(&out, FL_WIRE_TYPE);
            put_text(is_mode(mode, "type-broken") ? "{"
                                                  : "{\"etag\":\"\",\"label\":\"\",\"name\":\"x\",\"settings\":[]}");
            fl_wire_end(&out);
            put_end(order.number);
            flush();
        } else {
            answer(mode, order.number);
        }
    }
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_frames.c - what a script helper may send: frames with header and payload, as talk.c takes them apart. JOB and TASK
 * frames go to the assembly and its checks, the others through the reader of payloads.
 */
#include "assembly.h"
#include "fuzz.h"
#include "jscheck.h"

static void *give(void *h, uint64_t bytes)
{
    (void)h;
    return bytes < (64u << 20) ? malloc(bytes > 0 ? (size_t)bytes : 1) : NULL;
}

static void take(void *h, void *ptr)
{
    (void)h;
    free(ptr);
}

static void ignore_line(void *h, uint32_t level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void ignore_line(void *h, uint32_t level, const char *fmt, ...)
{
    (void)h;
    (void)level;
    (void)fmt;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int32_t parse_uuid(flamenco_str text, flamenco_uuid *out)
{
    size_t n = 0;
    if (text.len != 36)
        return FLAMENCO_E_INVALID;
    for (size_t i = 0; i < 36; ++i) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (text.ptr[i] != '-')
                return FLAMENCO_E_INVALID;
            continue;
        }
        int digit = hex_digit(text.ptr[i]);
        if (digit < 0)
            return FLAMENCO_E_INVALID;
        if (n % 2 == 0)
            out->b[n / 2] = (uint8_t)(digit << 4);
        else
            out->b[n / 2] = (uint8_t)(out->b[n / 2] | digit);
        ++n;
    }
    return FLAMENCO_OK;
}

static const flamenco_host host = {
    .struct_size = (uint32_t)sizeof(host), .log = ignore_line, .alloc = give, .free = take, .uuid_parse = parse_uuid
};

/* What the core relies on (job_compiler.h, TRUST). */
typedef struct result {
    uint64_t n_tasks, tasks, deps;
} result;

static int32_t on_job(void *ctx, const flamenco_compiled_job *job)
{
    result *r = ctx;
    r->n_tasks = job->n_tasks;
    FUZZ_MUST(fl_jscheck_utf8(job->name) && fl_jscheck_utf8(job->type));
    FUZZ_MUST(fl_jscheck_json(job->settings, FL_JSCHECK_OBJECT, 1) &&
              fl_jscheck_json(job->metadata, FL_JSCHECK_OBJECT, 1));
    return FLAMENCO_OK;
}

static int32_t on_tasks(void *ctx, const flamenco_compiled_task *rows, uint64_t stride, uint64_t n)
{
    result *r = ctx;
    for (uint64_t i = 0; i < n; ++i) {
        const flamenco_compiled_task *row =
            (const flamenco_compiled_task *)(const void *)((const char *)rows + i * stride);
        FUZZ_MUST(fl_jscheck_utf8(row->name) && fl_jscheck_utf8(row->type));
        FUZZ_MUST(fl_jscheck_json(row->commands, FL_JSCHECK_ANY, 1) && row->steps_total >= 0);
        for (uint64_t d = 0; d < row->n_deps; ++d)
            FUZZ_MUST(row->deps[d] < r->n_tasks);
        ++r->tasks;
    }
    FUZZ_MUST(r->tasks <= r->n_tasks);
    return FLAMENCO_OK;
}

static void read_other(fl_wire_in *in)
{
    fl_wire_order order;
    fl_wire_in copy = *in;
    fl_wire_get_order(&copy, &order);
    (void)fl_wire_get_u64(in);
    flamenco_str text = fl_wire_get_str(in);
    (void)fl_jscheck_json(text, FL_JSCHECK_OBJECT, 1);
    uint32_t n = fl_wire_get_u32(in);
    const uint8_t *bytes = fl_wire_get_bytes(in, n);
    if (bytes != NULL && n > 0) {
        volatile uint8_t last = bytes[n - 1];
        (void)last;
    }
    (void)fl_wire_done(in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    result r = { 0, 0, 0 };
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_compile_sink sink = { .struct_size = (uint32_t)sizeof(sink), .ctx = &r, .job = on_job, .tasks = on_tasks };
    fl_assembly *assembly = calloc(1, sizeof(*assembly));
    FUZZ_MUST(assembly != NULL);
    assembly->host = &host;
    assembly->sink = &sink;
    assembly->tasks_max = 100000;
    int32_t rc = FLAMENCO_OK;
    while (rc == FLAMENCO_OK && size >= FL_WIRE_HEADER) {
        uint32_t header[2];
        memcpy(header, data, sizeof(header));
        data += FL_WIRE_HEADER;
        size -= FL_WIRE_HEADER;
        /* A length that does not fit is cut, so that the fuzzer gets further. */
        size_t len = header[0] < size ? header[0] : size;
        fl_wire_in in = { data, data + len, 0 };
        uint32_t type = header[1] & 31u;
        if (type == FL_WIRE_JOB)
            rc = fl_assembly_job(assembly, &in, &err);
        else if (type == FL_WIRE_TASK)
            rc = fl_assembly_task(assembly, &in, &err);
        else if (type == FL_WIRE_END)
            break;
        else
            read_other(&in);
        data += len;
        size -= len;
    }
    if (rc == FLAMENCO_OK)
        rc = fl_assembly_flush(assembly, &err);
    if (rc == FLAMENCO_OK && fl_assembly_finish(assembly, &err) == FLAMENCO_OK)
        FUZZ_MUST(r.tasks == r.n_tasks);
    fl_assembly_free(assembly);
    free(assembly);
    return 0;
}

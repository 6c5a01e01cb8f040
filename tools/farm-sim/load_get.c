/* SPDX-License-Identifier: Apache-2.0
 * Load scenario --get: clients that read one path over and over, without workers. Called by load.c. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "load.h"

struct reader {
    fl_load *load;
    fl_conn *conn;
};

struct get {
    struct reader *readers;
    uint32_t readers_len;
    uint64_t sent, answered, bytes;
};

static void read_once(struct reader *r);

static void on_read(void *ctx, const fl_reply *reply)
{
    struct reader *r = ctx;
    struct get *all = r->load->scenario;
    if (r->load->ended)
        return;
    if (reply->status != 200) {
        fl_load_fail(r->load, FL_EXIT_FAILED, r->load->opt->path, reply);
        return;
    }
    all->answered++;
    all->bytes += reply->len;
    if (all->answered >= r->load->opt->requests)
        fl_load_end(r->load, FL_EXIT_OK);
    else if (all->sent < r->load->opt->requests)
        read_once(r);
}

static void read_once(struct reader *r)
{
    struct get *all = r->load->scenario;
    fl_request request = { .op = FL_OP_OTHER, .method = "GET", .path = r->load->opt->path };
    if (fl_conn_send(r->conn, &request, on_read, r) < 0)
        fl_load_end(r->load, FL_EXIT_FAILED);
    else
        all->sent++;
}

static void start_get(fl_load *load)
{
    struct get *all = load->scenario;
    fl_load_begin_window(load);
    for (uint32_t i = 0; i < all->readers_len && all->sent < load->opt->requests; i++)
        read_once(&all->readers[i]);
}

static void get_json(fl_load *load, json_t *report)
{
    const struct get *all = load->scenario;
    json_object_set_new(report, "path", json_string(load->opt->path));
    json_object_set_new(report, "clients", json_integer(all->readers_len));
    json_object_set_new(report, "reply_bytes",
                        json_integer((json_int_t)(all->answered ? all->bytes / all->answered : 0)));
    if (load->opt->server_pid && all->answered)
        json_object_set_new(
            json_object_get(report, "server"), "cpu_us_per_request",
            json_real((double)(load->server_after.cpu_us - load->server_before.cpu_us) / (double)all->answered));
}

static void get_print(fl_load *load)
{
    const struct get *all = load->scenario;
    printf("%" PRIu64 " replies to %u clients, %" PRIu64 " bytes each\n", all->answered, all->readers_len,
           all->answered ? all->bytes / all->answered : 0);
}

static void get_free(fl_load *load)
{
    struct get *all = load->scenario;
    for (uint32_t i = 0; i < all->readers_len; i++)
        fl_conn_destroy(all->readers[i].conn);
}

bool fl_load_get_prepare(fl_load *load)
{
    struct get *all = calloc(1, sizeof *all + load->opt->clients * sizeof(struct reader));
    if (!all)
        return false;
    load->scenario = all;
    all->readers = (struct reader *)(all + 1);
    load->on_ready = start_get;
    load->scenario_json = get_json;
    load->scenario_print = get_print;
    load->scenario_free = get_free;
    for (uint32_t i = 0; i < load->opt->clients; i++) {
        all->readers[i] = (struct reader){ .load = load, .conn = fl_conn_create(load->farm->client, NULL, NULL) };
        if (!all->readers[i].conn)
            return false;
        all->readers_len++;
    }
    return true;
}

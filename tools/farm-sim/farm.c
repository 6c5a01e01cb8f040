/* SPDX-License-Identifier: Apache-2.0
 * The workers' common ground; see farm.h. Created by the modes. */
#include "farm.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker.h"

enum { STARTING_AT_A_TIME = 64 };

/* ---- random numbers and pauses ---- */

/* splitmix64: short, and good enough for pauses and faults. Secrets come from the kernel (worker.c). */
static uint64_t next_random(fl_farm *farm)
{
    uint64_t z = farm->random_state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

double fl_farm_random(fl_farm *farm)
{
    return (double)(next_random(farm) >> 11) * 0x1p-53;
}

int64_t fl_farm_scaled_us(const fl_farm *farm, double seconds)
{
    return (int64_t)(seconds * 1e6 * farm->opt->time_scale);
}

int64_t fl_farm_pause_us(fl_farm *farm, double seconds)
{
    return fl_farm_scaled_us(farm, seconds * (0.9 + 0.2 * fl_farm_random(farm)));
}

/* ---- credentials ---- */

static void save_credentials(void *ctx)
{
    fl_farm *farm = ctx;
    const char *file = farm->opt->state_file;
    if (!file)
        return;
    char *partial = NULL;
    if (asprintf(&partial, "%s.part-%d", file, (int)getpid()) < 0)
        return;
    FILE *f = fopen(partial, "we");
    bool ok = f && fchmod(fileno(f), 0600) == 0 && json_dumpf(farm->credentials, f, JSON_INDENT(1)) == 0;
    if (f && fclose(f) != 0)
        ok = false;
    if (!ok || rename(partial, file) < 0) {
        fprintf(stderr, "farm-sim: cannot write %s: %s\n", file, strerror(errno));
        unlink(partial);
    }
    free(partial);
}

static bool load_credentials(fl_farm *farm)
{
    const char *file = farm->opt->state_file;
    json_error_t error;
    if (file && access(file, F_OK) == 0) {
        farm->credentials = json_load_file(file, 0, &error);
        if (!json_is_object(farm->credentials)) {
            fprintf(stderr, "farm-sim: cannot read %s: %s\n", file, error.text);
            return false;
        }
        return true;
    }
    farm->credentials = json_object();
    return farm->credentials != NULL;
}

bool fl_farm_find_credentials(const fl_farm *farm, const char *name, char uuid[37], char secret[65])
{
    const json_t *entry = json_object_get(json_object_get(farm->credentials, fl_client_url(farm->client)), name);
    const char *u = json_string_value(json_object_get(entry, "uuid"));
    const char *s = json_string_value(json_object_get(entry, "secret"));
    if (!u || !s || strlen(u) != 36 || strlen(s) > 64)
        return false;
    snprintf(uuid, 37, "%s", u);
    snprintf(secret, 65, "%s", s);
    return true;
}

void fl_farm_keep_credentials(fl_farm *farm, const char *name, const char *uuid, const char *secret)
{
    json_t *of_url = json_object_get(farm->credentials, fl_client_url(farm->client));
    if (!of_url) {
        of_url = json_object();
        json_object_set_new(farm->credentials, fl_client_url(farm->client), of_url);
    }
    if (json_object_set_new(of_url, name, json_pack("{s:s, s:s}", "uuid", uuid, "secret", secret)) < 0)
        fprintf(stderr, "farm-sim: out of memory\n");
    if (farm->opt->state_file && !farm->save_timer.place)
        fl_timer_start(farm->loop, &farm->save_timer, 200000);
}

/* ---- life ---- */

fl_farm *fl_farm_create(const fl_options *opt, fl_loop *loop, fl_stats *stats)
{
    fl_farm *farm = calloc(1, sizeof *farm);
    if (!farm)
        return NULL;
    farm->opt = opt;
    farm->loop = loop;
    farm->stats = stats;
    farm->random_state = opt->seed;
    fl_timer_init(&farm->save_timer, save_credentials, farm);
    farm->client = fl_client_create(loop, opt->url, stats);
    farm->workers = calloc(opt->workers, sizeof(struct fl_worker *));
    if (!farm->client || !farm->workers || !load_credentials(farm)) {
        fl_farm_destroy(farm);
        return NULL;
    }
    for (uint32_t i = 0; i < opt->workers; i++) {
        farm->workers[i] = fl_worker_create(farm, i);
        if (!farm->workers[i]) {
            fprintf(stderr, "farm-sim: no memory for %u workers\n", opt->workers);
            fl_farm_destroy(farm);
            return NULL;
        }
        farm->workers_len++;
    }
    return farm;
}

void fl_farm_destroy(fl_farm *farm)
{
    if (!farm)
        return;
    if (farm->quiet_timer.place)
        fl_timer_stop(farm->loop, &farm->quiet_timer);
    if (farm->save_timer.place) {
        fl_timer_stop(farm->loop, &farm->save_timer);
        save_credentials(farm);
    }
    for (uint32_t i = 0; farm->workers && i < farm->workers_len; i++)
        fl_worker_destroy(farm->workers[i]);
    fl_client_destroy(farm->client);
    json_decref(farm->credentials);
    free(farm->workers);
    free(farm);
}

static void start_more(fl_farm *farm)
{
    while (!farm->stopping && farm->starting < STARTING_AT_A_TIME && farm->next_to_start < farm->workers_len) {
        struct fl_worker *w = farm->workers[farm->next_to_start++];
        farm->starting++;
        w->counted = true;
        fl_worker_start(w);
    }
}

void fl_farm_start(fl_farm *farm)
{
    start_more(farm);
}

void fl_farm_started_one(fl_farm *farm)
{
    if (farm->starting)
        farm->starting--;
    start_more(farm);
}

bool fl_farm_is_up(const fl_farm *farm)
{
    return farm->next_to_start == farm->workers_len && !farm->starting;
}

static void check_quiet(void *ctx)
{
    fl_farm *farm = ctx;
    uint32_t i = 0;
    while (i < farm->workers_len && fl_worker_is_gone(farm->workers[i]))
        i++;
    if (i < farm->workers_len)
        fl_timer_start(farm->loop, &farm->quiet_timer, 10000);
    else
        farm->on_quiet(farm->on_quiet_ctx);
}

void fl_farm_sign_off(fl_farm *farm, fl_loop_on_timer done, void *ctx)
{
    if (farm->stopping)
        return;
    farm->stopping = true;
    farm->on_quiet = done;
    farm->on_quiet_ctx = ctx;
    for (uint32_t i = 0; i < farm->workers_len; i++)
        fl_worker_stop(farm->workers[i]);
    fl_timer_restart(farm->loop, &farm->quiet_timer, check_quiet, farm, 0);
}

void fl_farm_log(const fl_farm *farm, const struct fl_worker *w, const char *fmt, ...)
{
    if (!farm->opt->verbose)
        return;
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "%12.6f %s: ", (double)fl_now_us() / 1e6, w->name);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
}

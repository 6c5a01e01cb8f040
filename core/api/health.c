/* SPDX-License-Identifier: Apache-2.0 */
#include "core/api/health.h"

#include <stdlib.h>

#include "core/base/str.h"
#include "core/config/current.h"
#include "core/executor.h"
#include "core/loader.h"
#include "core/metrics.h"
#include "core/probes.h"

#define HEALTH_LIMIT_US 2000000

int32_t fl_health_live(struct flamenco *f, fl_reply *reply)
{
    const char *stuck = NULL;
    if (fl_executor_stuck(f->executor, &stuck))
        return fl_reply_error(reply, 503, "%s hangs", stuck);
    fl_json *w = fl_reply_json_begin(reply, 200);
    fl_json_object_begin(w);
    fl_json_key(w, "status");
    fl_json_text(w, "live");
    fl_json_object_end(w);
    return fl_reply_json_end(reply);
}

/* Writes {"ok": …, "message": …} and tells whether it was ok. */
static int write_check(fl_json *w, const char *name, int32_t rc, const char *text)
{
    fl_json_key_str(w, flamenco_text(name));
    fl_json_object_begin(w);
    fl_json_key(w, "message");
    fl_json_text(w, rc == FLAMENCO_OK ? "" : text);
    fl_json_key(w, "ok");
    fl_json_bool(w, rc == FLAMENCO_OK);
    fl_json_object_end(w);
    return rc == FLAMENCO_OK;
}

int32_t fl_health_ready(struct flamenco *f, fl_reply *reply)
{
    int serving = __atomic_load_n(&f->ready, __ATOMIC_ACQUIRE) != 0;
    int ok = serving;
    char trouble[512] = "";
    fl_json *w = fl_reply_json_begin(reply, 200);
    fl_json_object_begin(w);
    fl_json_key(w, "checks");
    fl_json_object_begin(w);
    ok &= write_check(w, "manager", serving ? FLAMENCO_OK : FLAMENCO_E_UNAVAILABLE, "starting or stopping");
    /* An unusable file does not keep the manager from serving: the last good configuration is in force. */
    write_check(w, "configuration", fl_config_trouble(f->config, trouble, sizeof(trouble)) ? FLAMENCO_E_INVALID : 0,
                trouble);
    size_t n = fl_loader_count(f->loader);
    fl_probe_result *results = calloc(n + 1, sizeof(*results));
    if (results == NULL)
        return FLAMENCO_E_NOMEM;
    fl_probes_ask(f->probes, HEALTH_LIMIT_US, results);
    for (size_t i = 0; i < n; ++i) {
        fl_plugin_info info = fl_loader_info(f->loader, i);
        int healthy = write_check(w, info.name, results[i].code, results[i].text);
        /* Nothing can be served without the database. A broken job type or a lost broker is no reason for a proxy to take
         * the whole manager off the network. */
        if (strcmp(info.member, "persist") == 0)
            ok &= healthy;
    }
    free(results);
    fl_json_object_end(w);
    fl_json_key(w, "status");
    fl_json_text(w, ok ? "ready" : "not ready");
    fl_json_object_end(w);
    reply->status = ok ? 200 : 503;
    return fl_reply_json_end(reply);
}

int32_t fl_health_metrics(struct flamenco *f, fl_reply *reply)
{
    fl_reply_reset(reply);
    reply->status = 200;
    reply->content_type = "text/plain; version=0.0.4; charset=utf-8";
    fl_metrics_write(f, &reply->body);
    return reply->body.failed ? FLAMENCO_E_NOMEM : FLAMENCO_OK;
}

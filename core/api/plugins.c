/* SPDX-License-Identifier: Apache-2.0
 *
 * plugins.c - getPlugins: what is loaded, with which settings, and whether it can work (decisions, "Ours alone").
 */
#include "core/api/handlers.h"
#include "core/base/str.h"
#include "core/loader.h"
#include "core/probes.h"

#define HEALTH_LIMIT_US 2000000

/* The texts of a list, from one text with a separator between. */
static int32_t split_texts(fl_call *call, const char *joined, char separator, api_text_array *out)
{
    flamenco_str rest = flamenco_text(joined), part;
    uint64_t most = 1;
    for (const char *at = joined; *at != '\0'; ++at)
        most += *at == separator;
    flamenco_str *list = fl_arena_alloc(call->arena, most * sizeof(*list));
    if (list == NULL)
        return FLAMENCO_E_NOMEM;
    uint64_t n = 0;
    while (n < most && fl_str_split(&rest, separator, &part)) {
        if (part.len > 0)
            list[n++] = part;
    }
    *out = (api_text_array){ list, n };
    return FLAMENCO_OK;
}

static int32_t fill_plugin(fl_call *call, const fl_plugin_info *info, api_plugin *out)
{
    *out = (api_plugin){ .name = flamenco_text(info->name),
                         .id = flamenco_text(info->id),
                         .version = flamenco_text(info->version),
                         .licence = flamenco_text(info->licence),
                         .file = flamenco_text(info->file),
                         .enabled = info->enabled };
    int32_t rc = split_texts(call, info->members, ' ', &out->members);
    return rc == FLAMENCO_OK ? split_texts(call, info->services, ' ', &out->interface) : rc;
}

static int32_t fill_settings(fl_call *call, size_t index, api_plugin *out)
{
    fl_buf json = { 0 };
    fl_loader_settings_json(call->f->loader, index, &json);
    out->settings = fl_arena_copy(call->arena, fl_buf_str(&json));
    int failed = json.failed || out->settings.ptr == NULL;
    fl_buf_fini(&json);
    return failed ? FLAMENCO_E_NOMEM : FLAMENCO_OK;
}

int32_t fl_get_plugins(fl_call *call, const api_get_plugins_in *in)
{
    (void)in;
    struct flamenco *f = call->f;
    size_t loaded = fl_loader_count(f->loader), disabled = fl_loader_count_disabled(f->loader);
    fl_probe_result *health = fl_arena_alloc(call->arena, (loaded + 1) * sizeof(*health));
    api_plugin *list = fl_arena_alloc(call->arena, (loaded + disabled + 1) * sizeof(*list));
    if (health == NULL || list == NULL)
        return flamenco_fail(call->err, FLAMENCO_E_NOMEM, "no memory for the list of plugins");
    fl_probes_ask(f->probes, HEALTH_LIMIT_US, health);
    for (size_t i = 0; i < loaded + disabled; ++i) {
        fl_plugin_info info =
            i < loaded ? fl_loader_info(f->loader, i) : fl_loader_info_disabled(f->loader, i - loaded);
        int32_t rc = fill_plugin(call, &info, &list[i]);
        if (rc == FLAMENCO_OK && i < loaded)
            rc = fill_settings(call, i, &list[i]);
        if (rc != FLAMENCO_OK)
            return flamenco_fail(call->err, rc, "no memory for the list of plugins");
        list[i].health.ok = i < loaded && health[i].code == FLAMENCO_OK;
        if (!list[i].health.ok)
            list[i].health.message = i < loaded ? flamenco_text(health[i].text) : FL_STR("disabled");
    }
    api_plugin_list out = { .plugins = { list, loaded + disabled } };
    return api_get_plugins_200(&call->reply, &out);
}

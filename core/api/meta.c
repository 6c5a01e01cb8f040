/* SPDX-License-Identifier: Apache-2.0
 *
 * meta.c - the operations about the manager itself (api-behaviour 7.1).
 */
#include "core/api/handlers.h"
#include "core/api/shaman.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "core/config/current.h"

int32_t fl_get_version(fl_call *call, const api_get_version_in *in)
{
    (void)in;
    const struct flamenco *f = call->f;
    const fl_config_snapshot *config = fl_config_current(call->f->config);
    api_flamenco_version out = { .version = flamenco_text(f->reported_version),
                                 .shortversion = flamenco_text(f->reported_version),
                                 .name = config->ref->manager_name,
                                 .git = flamenco_text(f->version) };
    int32_t rc = api_get_version_200(&call->reply, &out);
    fl_config_unref(config);
    return rc;
}

int32_t fl_get_configuration(fl_call *call, const api_get_configuration_in *in)
{
    (void)in;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    /* A file that cannot be used is logged there and shown under /health/ready; the last good configuration is the answer
     * then (decisions). */
    (void)fl_config_reload(call->f->config, &err);
    const fl_config_snapshot *config = fl_config_current(call->f->config);
    api_manager_configuration out = { .storage_location = config->storage_path,
                                      .shaman_enabled = fl_shaman_is_active(call->f),
                                      .is_first_run = config->first_run != 0 };
    int32_t rc = api_get_configuration_200(&call->reply, &out);
    fl_config_unref(config);
    return rc;
}

int32_t fl_get_configuration_file(fl_call *call, const api_get_configuration_file_in *in)
{
    (void)in;
    fl_buf text = { 0 };
    const fl_config_snapshot *config = fl_config_current(call->f->config);
    fl_reference_json(config->ref, &text);
    fl_config_unref(config);
    int32_t rc = text.failed ? FLAMENCO_E_NOMEM : api_get_configuration_file_200(&call->reply, fl_buf_str(&text));
    fl_buf_fini(&text);
    return rc;
}

int32_t fl_update_configuration_file(fl_call *call, const api_update_configuration_file_in *in)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    int32_t rc = fl_config_put(call->f->config, in->body, call->cx->pub.now_us, &err);
    if (rc == FLAMENCO_E_INVALID)
        return fl_call_refuse(call, 400, "%s", err.text);
    if (rc != FLAMENCO_OK) {
        fl_error("config", "the configuration was not saved: %s", err.text);
        return fl_call_refuse(call, 500, "the configuration was not saved, the old one stays: %s", err.text);
    }
    fl_info("config", "a new configuration was saved; some settings act at the next start only");
    return api_update_configuration_file_204(&call->reply);
}

int32_t fl_get_farm_status(fl_call *call, const api_get_farm_status_in *in)
{
    static const api_farm_status statuses[] = {
        [FLAMENCO_FARM_STARTING] = API_FARM_STATUS_STARTING, [FLAMENCO_FARM_ACTIVE] = API_FARM_STATUS_ACTIVE,
        [FLAMENCO_FARM_IDLE] = API_FARM_STATUS_IDLE,         [FLAMENCO_FARM_WAITING] = API_FARM_STATUS_WAITING,
        [FLAMENCO_FARM_ASLEEP] = API_FARM_STATUS_ASLEEP,     [FLAMENCO_FARM_INOPERATIVE] = API_FARM_STATUS_INOPERATIVE,
        [FLAMENCO_FARM_UNKNOWN] = API_FARM_STATUS_UNKNOWN,
    };
    (void)in;
    const flamenco_farm_status_ref *farm = &call->f->farm_status;
    uint32_t status = farm->table != NULL ? flamenco_farm_status_current(farm) : FLAMENCO_FARM_UNKNOWN;
    if (status >= sizeof(statuses) / sizeof(statuses[0]))
        status = FLAMENCO_FARM_UNKNOWN;
    api_farm_status_report out = { statuses[status] };
    return api_get_farm_status_200(&call->reply, &out);
}

int32_t fl_get_variables(fl_call *call, const api_get_variables_in *in)
{
    const fl_config_snapshot *config = fl_config_current(call->f->config);
    const fl_variable *list = NULL;
    int32_t rc = FLAMENCO_E_NOMEM;
    size_t n = fl_variables_list(config->variables, in->audience, in->platform, &list);
    api_manager_variables_entry *entries = fl_arena_alloc(call->arena, (n + 1) * sizeof(*entries));
    if (entries != NULL) {
        for (size_t i = 0; i < n; ++i)
            entries[i] = (api_manager_variables_entry){ list[i].name, { list[i].value, list[i].is_twoway != 0 } };
        api_manager_variables out = { entries, n };
        rc = api_get_variables_200(&call->reply, &out);
    }
    fl_config_unref(config);
    return rc;
}

int32_t fl_get_shared_storage(fl_call *call, const api_get_shared_storage_in *in)
{
    const fl_config_snapshot *config = fl_config_current(call->f->config);
    api_shared_storage_location out = { .audience = in->audience,
                                        .platform = in->platform,
                                        .shaman_enabled = fl_shaman_is_active(call->f) };
    int32_t rc = fl_variables_expand(config->variables, call->arena, in->audience, in->platform, config->storage_path,
                                     &out.location);
    if (rc == FLAMENCO_OK)
        rc = api_get_shared_storage_200(&call->reply, &out);
    fl_config_unref(config);
    if (rc == FLAMENCO_E_FULL)
        rc = flamenco_fail(call->err, FLAMENCO_E_INTERNAL, "the variables in the storage path cannot be replaced");
    return rc;
}

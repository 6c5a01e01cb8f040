/* SPDX-License-Identifier: Apache-2.0
 *
 * plugin.c - the life of the plugin: settings, start and stop, health, the table.
 */
#include "shaman.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROBE_BYTES 4096

static uint32_t is_active(void *self)
{
    return ((const shaman *)self)->root[0] != '\0';
}

static int32_t create(const flamenco_host *host, void **self_out, flamenco_error *err)
{
    pthread_rwlockattr_t attr;
    shaman *s = host->alloc(host->h, sizeof(*s));
    if (s == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    memset(s, 0, sizeof(*s));
    s->host = host;
    if (pthread_rwlockattr_init(&attr) != 0) {
        host->free(host->h, s);
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    }
    /* The collection of garbage must come to its turn. No thread holds it twice. */
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&s->hold, &attr);
    pthread_rwlockattr_destroy(&attr);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->collector_wake, NULL);
    *self_out = s;
    return FLAMENCO_OK;
}

static int32_t configure(void *self, const flamenco_config *config, flamenco_error *err)
{
    shaman *s = self;
    (void)err;
    s->config = config;
    return FLAMENCO_OK;
}

/* Reads the settings, which count until the next restart. */
static int32_t read_settings(shaman *s, flamenco_error *err)
{
    const flamenco_config *config = s->config;
    flamenco_str path = config->text(config->c, "storage");
    s->root[0] = '\0';
    s->period_us = config->integer(config->c, "gc_period");
    s->max_age_us = config->integer(config->c, "gc_max_age");
    s->direct_io = config->integer(config->c, "direct_io") != 0;
    if (config->integer(config->c, "enabled") == 0) {
        s->host->log(s->host->h, FLAMENCO_LOG_INFO, "switched off: shaman.enabled is false");
        return FLAMENCO_OK;
    }
    if (path.len == 0) {
        s->host->log(s->host->h, FLAMENCO_LOG_ERROR, "switched off: shared_storage_path is empty");
        return FLAMENCO_OK;
    }
    if (path.len >= sizeof(s->root) || path.ptr[0] != '/' || memchr(path.ptr, '\0', (size_t)path.len) != NULL)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "shared_storage_path is no absolute path of less than %zu bytes",
                             sizeof(s->root));
    memcpy(s->root, path.ptr, (size_t)path.len);
    s->root[path.len] = '\0';
    return FLAMENCO_OK;
}

static int32_t start(void *self, flamenco_error *err)
{
    shaman *s = self;
    flamenco_error why = FLAMENCO_ERROR_INIT;
    flamenco_shaman_collected dropped = { .struct_size = (uint32_t)sizeof(dropped) };
    int32_t rc = read_settings(s, err);
    if (rc != FLAMENCO_OK || s->root[0] == '\0')
        return rc;
    s->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (s->sha256 == NULL)
        return flamenco_fail(err, FLAMENCO_E_UNAVAILABLE, "OpenSSL has no SHA-256");
    s->has_proc = access("/proc/self/fd", X_OK) == 0;
    /* A storage that is not there yet is tried again by each call. */
    rc = fl_sh_make_places(s, &why);
    if (rc == FLAMENCO_OK)
        rc = fl_sh_drop_stale(s, NULL, 0, 0, NULL, NULL, &dropped, &why);
    if (rc != FLAMENCO_OK)
        s->host->log(s->host->h, FLAMENCO_LOG_ERROR, "the storage cannot be used: %s", why.text);
    if (dropped.stale_uploads > 0)
        s->host->log(s->host->h, FLAMENCO_LOG_INFO, "%llu uploads that were never finished are removed",
                     (unsigned long long)dropped.stale_uploads);
    s->host->log(s->host->h, FLAMENCO_LOG_INFO, "files are stored in %s", s->root);
    return fl_sh_collector_start(s, err);
}

static int32_t stop(void *self, int64_t deadline_us, flamenco_error *err)
{
    (void)deadline_us;
    (void)err;
    fl_sh_collector_stop(self);
    return FLAMENCO_OK;
}

static void destroy(void *self)
{
    shaman *s = self;
    if (s == NULL)
        return;
    fl_sh_collector_stop(s); /* of a start that failed */
    EVP_MD_free(s->sha256);
    pthread_cond_destroy(&s->collector_wake);
    pthread_mutex_destroy(&s->lock);
    pthread_rwlock_destroy(&s->hold);
    s->host->free(s->host->h, s);
}

/* Writes a little file and removes it: the one way to know of a storage that is full, read-only or gone. */
static int32_t probe(int uploading_fd, flamenco_error *err)
{
    static const char bytes[PROBE_BYTES];
    char name[48];
    snprintf(name, sizeof(name), "health-%ld-%lx.tmp", (long)getpid(), (unsigned long)pthread_self());
    int fd = openat(uploading_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0)
        return fl_sh_fail_errno(err, "cannot make a file in", FL_SH_UPLOADING);
    int32_t rc = FLAMENCO_OK;
    if (write(fd, bytes, sizeof(bytes)) != (ssize_t)sizeof(bytes))
        rc = fl_sh_fail_errno(err, "cannot write to the shared storage:", FL_SH_UPLOADING);
    close(fd);
    (void)unlinkat(uploading_fd, name, 0);
    return rc;
}

static int32_t health(void *self, flamenco_error *err)
{
    static const char *const places[] = { FL_SH_STORED, FL_SH_JOBS, FL_SH_UPLOADING };
    shaman *s = self;
    if (s->root[0] == '\0')
        return FLAMENCO_OK;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); ++i) {
        int fd = -1;
        int32_t rc = fl_sh_open_place(s, places[i], &fd, err);
        if (rc == FLAMENCO_OK && faccessat(fd, ".", W_OK | X_OK, 0) != 0)
            rc = fl_sh_fail_errno(err, "cannot write to", places[i]);
        if (rc == FLAMENCO_OK && strcmp(places[i], FL_SH_UPLOADING) == 0)
            rc = probe(fd, err);
        if (fd >= 0)
            close(fd);
        if (rc != FLAMENCO_OK)
            return rc;
    }
    return FLAMENCO_OK;
}

/* ---- Descriptor ------------------------------------------------------------------------------------------------------ */

static const flamenco_shaman table = {
    .struct_size = (uint32_t)sizeof(flamenco_shaman),
    .is_active = is_active,
    .requirements = fl_sh_requirements,
    .file_status = fl_sh_file_status,
    .upload_begin = fl_sh_upload_begin,
    .upload_write = fl_sh_upload_write,
    .upload_end = fl_sh_upload_end,
    .upload_abort = fl_sh_upload_abort,
    .checkout = fl_sh_checkout,
    .erase_checkout = fl_sh_erase_checkout,
    .collect = fl_sh_collect,
};

static const flamenco_provide shaman_provide = { (uint32_t)sizeof(flamenco_provide), 0, FLAMENCO_SHAMAN, &table };
static const flamenco_provide *const provides[] = { &shaman_provide, NULL };

static const flamenco_setting enabled_setting = {
    .struct_size = (uint32_t)sizeof(flamenco_setting),
    .type = FLAMENCO_SETTING_BOOL,
    .key = "enabled",
    .default_text = "true",
    .doc = "Whether artists' files are stored by their content; a change counts after a restart.",
    .reference_key = "shaman.enabled",
};
static const flamenco_setting period_setting = {
    .struct_size = (uint32_t)sizeof(flamenco_setting),
    .type = FLAMENCO_SETTING_DURATION,
    .key = "gc_period",
    .default_text = "24h",
    .doc = "How often unused files are removed; 0 = never.",
    .reference_key = "shaman.garbageCollect.period",
};
static const flamenco_setting max_age_setting = {
    .struct_size = (uint32_t)sizeof(flamenco_setting),
    .type = FLAMENCO_SETTING_DURATION,
    .key = "gc_max_age",
    .default_text = "744h",
    .doc = "How long a file must have been unused; less than 24h counts as 24h.",
    .reference_key = "shaman.garbageCollect.maxAge",
};
static const flamenco_setting storage_setting = {
    .struct_size = (uint32_t)sizeof(flamenco_setting),
    .type = FLAMENCO_SETTING_PATH,
    .key = "storage",
    .doc = "The storage that all Workers can reach; without one, nothing is stored.",
    .reference_key = "shared_storage_path",
};
static const flamenco_setting direct_setting = {
    .struct_size = (uint32_t)sizeof(flamenco_setting),
    .type = FLAMENCO_SETTING_BOOL,
    .key = "direct_io",
    .default_text = "true",
    .doc = "Whether files from 8 MiB on are written past the page cache on ext4 and XFS, which costs less CPU; Workers "
           "that "
           "read them at once then read from the disk.",
};
static const flamenco_setting *const settings[] = { &enabled_setting, &period_setting, &max_age_setting,
                                                    &storage_setting, &direct_setting, NULL };

static const flamenco_plugin plugin = {
    FLAMENCO_PLUGIN_INIT, .id = "shaman",       .version = "0.1.0", .licence = "Apache-2.0",
    .provides = provides, .settings = settings, .create = create,   .configure = configure,
    .start = start,       .stop = stop,         .destroy = destroy, .health = health,
};

const flamenco_plugin *flamenco_plugin_query(void)
{
    return &plugin;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * settings.c - see settings.h.
 */
#include "settings.h"

#include "message.h"

#define ENABLED "enabled"
#define BROKER "broker"
#define CLIENT_ID "client_id"
#define PREFIX "topic_prefix"
#define USERNAME "username"
#define PASSWORD "password"
#define OWN "own_" /* the same for this instance alone, from manager.yaml */
#define CA_FILE "ca_file"
#define CERT_FILE "cert_file"
#define KEY_FILE "key_file"
#define LAST_WILL "last_will"
#define RETRY_MAX "retry_max"
#define QUEUE "queue"
#define CLIENT_ID_DEFAULT "flamenco"

#define SETTING(...) \
    { \
        .struct_size = (uint32_t)sizeof(flamenco_setting), __VA_ARGS__ \
    }

// clang-format off
static const flamenco_setting
    enabled = SETTING(.type = FLAMENCO_SETTING_BOOL, .key = ENABLED, .reference_key = "mqtt.client.enabled",
        .doc = "Whether events are sent to the broker."),
    broker = SETTING(.type = FLAMENCO_SETTING_TEXT, .key = BROKER, .reference_key = "mqtt.client.broker",
        .doc = "The broker, as mqtt://HOST:PORT or mqtts://HOST:PORT."),
    client_id = SETTING(.type = FLAMENCO_SETTING_TEXT, .key = CLIENT_ID, .reference_key = "mqtt.client.clientID",
        .doc = "Name towards the broker; two connections of one name end each other."),
    prefix = SETTING(.type = FLAMENCO_SETTING_TEXT, .key = PREFIX, .reference_key = "mqtt.client.topic_prefix",
        .doc = "Put in front of every topic."),
    username = SETTING(.type = FLAMENCO_SETTING_TEXT, .key = USERNAME, .reference_key = "mqtt.client.username",
        .doc = "User name at the broker; empty = none is sent."),
    password = SETTING(.type = FLAMENCO_SETTING_TEXT, .key = PASSWORD, .reference_key = "mqtt.client.password",
        .doc = "Password at the broker; empty = none is sent.", .flags = FLAMENCO_SETTING_SECRET),
    own_broker = SETTING(.type = FLAMENCO_SETTING_TEXT, .key = OWN BROKER,
        .doc = "Another broker for this instance alone, so that events go to several; mqtt.client.enabled is not asked then."),
    own_client_id = SETTING(.type = FLAMENCO_SETTING_TEXT, .key = OWN CLIENT_ID,
        .doc = "With own_broker: the name towards it; empty = that of mqtt.client.clientID."),
    own_prefix = SETTING(.type = FLAMENCO_SETTING_TEXT, .key = OWN PREFIX, .default_text = "flamenco",
        .doc = "With own_broker: put in front of every topic."),
    own_username = SETTING(.type = FLAMENCO_SETTING_TEXT, .key = OWN USERNAME,
        .doc = "With own_broker: user name there."),
    own_password = SETTING(.type = FLAMENCO_SETTING_TEXT, .key = OWN PASSWORD, .flags = FLAMENCO_SETTING_SECRET,
        .doc = "With own_broker: password there."),
    ca_file = SETTING(.type = FLAMENCO_SETTING_PATH, .key = CA_FILE,
        .doc = "For TLS: PEM file with the certificates that may vouch for the broker; empty = those of the system."),
    cert_file = SETTING(.type = FLAMENCO_SETTING_PATH, .key = CERT_FILE,
        .doc = "For TLS: PEM file with our certificate and its chain, for brokers that ask for one."),
    key_file = SETTING(.type = FLAMENCO_SETTING_PATH, .key = KEY_FILE,
        .doc = "For TLS: PEM file with the key of our certificate, without a passphrase."),
    last_will = SETTING(.type = FLAMENCO_SETTING_BOOL, .key = LAST_WILL, .default_text = "true",
        .doc = "Whether the broker tells manager-shutdown by itself when the connection breaks."),
    retry_max = SETTING(.type = FLAMENCO_SETTING_DURATION, .key = RETRY_MAX, .default_text = "10s", .min = 100000,
        .max = INT64_C(3600000000), .doc = "The longest time between two attempts to connect; it begins with 1s and doubles."),
    queue = SETTING(.type = FLAMENCO_SETTING_INT, .key = QUEUE, .default_text = "10000", .min = 10, .max = 1000000,
        .unit = "events", .doc = "How many events may wait for the broker; then the oldest is dropped.");

const flamenco_setting *const fl_mqtt_setting_list[] = {
    &enabled, &broker, &client_id, &prefix, &username, &password,
    &own_broker, &own_client_id, &own_prefix, &own_username, &own_password,
    &ca_file, &cert_file, &key_file, &last_will, &retry_max, &queue, NULL,
};
// clang-format on

static flamenco_str trim(flamenco_str text)
{
    static const char blanks[] = " \t\r\n\v\f";
    while (text.len > 0 && strchr(blanks, text.ptr[0]) != NULL && text.ptr[0] != '\0')
        text = (flamenco_str){ text.ptr + 1, text.len - 1 };
    while (text.len > 0 && strchr(blanks, text.ptr[text.len - 1]) != NULL && text.ptr[text.len - 1] != '\0')
        --text.len;
    return text;
}

/* While the settings are read. */
typedef struct reader {
    mqtt_settings *settings;
    const flamenco_host *host;
    const flamenco_config *config;
    int own; /* the broker is the instance's own */
    flamenco_error *err;
} reader;

/* A key of mqtt.client switches off, one of manager.yaml is refused. */
static int32_t wrong(reader *r, const char *key, const char *what)
{
    flamenco_str place = r->config->place(r->config->c, key);
    const char *name = NULL;
    for (const flamenco_setting *const *s = fl_mqtt_setting_list; *s != NULL; ++s)
        if (strcmp((*s)->key, key) == 0)
            name = (*s)->reference_key;
    if (name == NULL)
        return flamenco_fail(r->err, FLAMENCO_E_INVALID, "%.*s: setting %s: %s", (int)place.len, place.ptr, key, what);
    if (r->settings->trouble[0] == '\0')
        (void)snprintf(r->settings->trouble, sizeof(r->settings->trouble), "%s (%.*s): %s", name, (int)place.len,
                       place.ptr, what);
    return FLAMENCO_OK;
}

/* Copies a text for libraries that want a NUL behind it; an empty one gives NULL. */
static int32_t copy_text(reader *r, const char *key, flamenco_str text, char **out)
{
    if (text.len == 0)
        return FLAMENCO_OK;
    if (memchr(text.ptr, '\0', (size_t)text.len) != NULL)
        return wrong(r, key, "it contains a NUL");
    if (text.len > 65535)
        return wrong(r, key, "it is longer than MQTT allows");
    char *copy = r->host->alloc(r->host->h, text.len + 1);
    if (copy == NULL)
        return flamenco_fail(r->err, FLAMENCO_E_NOMEM, "no memory for the settings");
    memcpy(copy, text.ptr, (size_t)text.len);
    copy[text.len] = '\0';
    *out = copy;
    return FLAMENCO_OK;
}

static flamenco_str text_of(const reader *r, const char *key)
{
    return r->config->text(r->config->c, key);
}

static int32_t read_broker(reader *r)
{
    const char *key = r->own ? OWN BROKER : BROKER;
    flamenco_str url = trim(text_of(r, key));
    const char *problem = url.len == 0 ? "no broker is given" : fl_mqtt_broker_read(url, &r->settings->broker);
    return problem != NULL ? wrong(r, key, problem) : FLAMENCO_OK;
}

static int32_t read_names(reader *r)
{
    mqtt_settings *s = r->settings;
    const char *key = r->own ? OWN PREFIX : PREFIX;
    s->prefix = text_of(r, key);
    const char *problem = fl_mqtt_prefix_check(s->prefix);
    int32_t rc = problem != NULL ? wrong(r, key, problem) : FLAMENCO_OK;
    key = r->own ? OWN CLIENT_ID : CLIENT_ID;
    flamenco_str id = trim(text_of(r, key));
    if (id.len == 0 && r->own)
        id = trim(text_of(r, CLIENT_ID));
    if (rc == FLAMENCO_OK)
        rc = copy_text(r, key, id.len > 0 ? id : flamenco_text(CLIENT_ID_DEFAULT), &s->client_id);
    /* The credentials of one broker are never shown to another. */
    key = r->own ? OWN USERNAME : USERNAME;
    if (rc == FLAMENCO_OK)
        rc = copy_text(r, key, text_of(r, key), &s->username);
    key = r->own ? OWN PASSWORD : PASSWORD;
    if (rc == FLAMENCO_OK)
        rc = copy_text(r, key, text_of(r, key), &s->password);
    return rc;
}

static int32_t read_tls(reader *r)
{
    mqtt_settings *s = r->settings;
    int32_t rc = copy_text(r, CA_FILE, text_of(r, CA_FILE), &s->ca_file);
    if (rc == FLAMENCO_OK)
        rc = copy_text(r, CERT_FILE, text_of(r, CERT_FILE), &s->cert_file);
    if (rc == FLAMENCO_OK)
        rc = copy_text(r, KEY_FILE, text_of(r, KEY_FILE), &s->key_file);
    if (rc == FLAMENCO_OK && s->cert_file != NULL && s->key_file == NULL)
        rc = wrong(r, CERT_FILE, "key_file is missing beside it");
    if (rc == FLAMENCO_OK && s->key_file != NULL && s->cert_file == NULL)
        rc = wrong(r, KEY_FILE, "cert_file is missing beside it");
    return rc;
}

int32_t fl_mqtt_settings_read(mqtt_settings *settings, const flamenco_host *host, const flamenco_config *config,
                              flamenco_error *err)
{
    reader r = { .settings = settings, .host = host, .config = config, .err = err };
    r.own = trim(text_of(&r, OWN BROKER)).len > 0;
    settings->enabled = r.own || config->integer(config->c, ENABLED) != 0;
    settings->last_will = config->integer(config->c, LAST_WILL) != 0;
    settings->retry_max_us = config->integer(config->c, RETRY_MAX);
    settings->queue_size = (size_t)config->integer(config->c, QUEUE);
    int32_t rc = read_tls(&r);
    if (rc == FLAMENCO_OK && settings->enabled)
        rc = read_broker(&r);
    if (rc == FLAMENCO_OK && settings->enabled)
        rc = read_names(&r);
    return rc;
}

void fl_mqtt_settings_fini(mqtt_settings *settings, const flamenco_host *host)
{
    char **texts[] = { &settings->client_id, &settings->username,  &settings->password,
                       &settings->ca_file,   &settings->cert_file, &settings->key_file };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); ++i) {
        host->free(host->h, *texts[i]);
        *texts[i] = NULL;
    }
}

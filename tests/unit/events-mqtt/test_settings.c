/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings of the MQTT forwarder: defaults, what is refused and how it is named, whose password goes where.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "fake_host.h"
#include "settings.h"

static const flamenco_plugin plugin = { FLAMENCO_PLUGIN_INIT, .id = "events-mqtt", .settings = fl_mqtt_setting_list };

typedef struct world {
    fake_host host;
    mqtt_settings settings;
    flamenco_error err;
} world;

static void begin(world *w)
{
    memset(w, 0, sizeof(*w));
    w->err = (flamenco_error)FLAMENCO_ERROR_INIT;
    fake_host_init(&w->host);
}

static int32_t read_settings(world *w)
{
    return fl_mqtt_settings_read(&w->settings, &w->host.host, fake_host_config(&w->host, &plugin), &w->err);
}

static void end(world *w)
{
    fl_mqtt_settings_fini(&w->settings, &w->host.host);
    fake_host_fini(&w->host);
}

static void off_unless_enabled(void **state)
{
    world w;
    (void)state;
    begin(&w);
    fake_host_set(&w.host, "broker", "nonsense");
    assert_int_equal(read_settings(&w), FLAMENCO_OK);
    assert_false(w.settings.enabled);
    assert_string_equal(w.settings.trouble, "");
    end(&w);
}

static void defaults_and_blanks(void **state)
{
    world w;
    (void)state;
    begin(&w);
    fake_host_set(&w.host, "enabled", "true");
    fake_host_set(&w.host, "broker", " mqtts://broker:8883\n");
    fake_host_set(&w.host, "client_id", " \t");
    assert_int_equal(read_settings(&w), FLAMENCO_OK);
    assert_string_equal(w.settings.trouble, "");
    assert_true(w.settings.enabled && w.settings.broker.tls && w.settings.last_will);
    assert_string_equal(w.settings.broker.host, "broker");
    assert_string_equal(w.settings.client_id, "flamenco");
    assert_null(w.settings.username);
    assert_null(w.settings.password);
    assert_null(w.settings.ca_file);
    assert_int_equal(w.settings.queue_size, 10000);
    assert_int_equal(w.settings.retry_max_us, 10000000);
    end(&w);
}

static void a_wrong_key_of_the_reference_switches_off(void **state)
{
    static const struct {
        const char *key, *value, *text;
    } cases[] = {
        { "broker", "", "mqtt.client.broker (manager.yaml:1): no broker" },
        { "broker", "ws://a:1", "mqtt.client.broker (manager.yaml:1): brokers by WebSocket" },
        { "topic_prefix", "a/#", "mqtt.client.topic_prefix (manager.yaml:1): " },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        world w;
        begin(&w);
        fake_host_set(&w.host, "enabled", "true");
        fake_host_set(&w.host, "broker", "mqtt://a:1");
        fake_host_set(&w.host, cases[i].key, cases[i].value);
        assert_int_equal(read_settings(&w), FLAMENCO_OK);
        assert_non_null(strstr(w.settings.trouble, cases[i].text));
        end(&w);
    }
}

static void a_wrong_setting_of_the_instance_is_refused(void **state)
{
    static const struct {
        const char *key, *value, *text;
    } cases[] = {
        { "own_broker", "mqtt://a", "setting own_broker: a port" },
        { "own_topic_prefix", "+", "setting own_topic_prefix: " },
        { "cert_file", "/a", "setting cert_file: key_file is missing" },
        { "key_file", "/a", "setting key_file: cert_file is missing" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        world w;
        begin(&w);
        fake_host_set(&w.host, "own_broker", "mqtt://a:1");
        fake_host_set(&w.host, cases[i].key, cases[i].value);
        assert_int_equal(read_settings(&w), FLAMENCO_E_INVALID);
        assert_non_null(strstr(w.err.text, cases[i].text));
        assert_non_null(strstr(w.err.text, "manager.yaml:1"));
        end(&w);
    }
}

static void an_own_broker_never_gets_the_other_ones_credentials(void **state)
{
    world w;
    (void)state;
    begin(&w);
    fake_host_set(&w.host, "broker", "mqtt://first:1");
    fake_host_set(&w.host, "client_id", "name");
    fake_host_set(&w.host, "topic_prefix", "first");
    fake_host_set(&w.host, "username", "me");
    fake_host_set(&w.host, "password", "s3cret");
    fake_host_set(&w.host, "own_broker", "mqtt://second:2");
    assert_int_equal(read_settings(&w), FLAMENCO_OK);
    assert_true(w.settings.enabled);
    assert_string_equal(w.settings.broker.host, "second");
    assert_string_equal(w.settings.client_id, "name");
    assert_int_equal(w.settings.prefix.len, strlen("flamenco"));
    assert_null(w.settings.username);
    assert_null(w.settings.password);
    end(&w);
}

static void secrets_are_declared_as_such(void **state)
{
    (void)state;
    for (const flamenco_setting *const *s = fl_mqtt_setting_list; *s != NULL; ++s)
        assert_int_equal(((*s)->flags & FLAMENCO_SETTING_SECRET) != 0, strstr((*s)->key, "password") != NULL);
}

static void memory_may_be_exhausted(void **state)
{
    (void)state;
    int32_t rc = FLAMENCO_E_NOMEM;
    for (int64_t n = 0; rc != FLAMENCO_OK; ++n) {
        world w;
        begin(&w);
        fake_host_set(&w.host, "enabled", "true");
        fake_host_set(&w.host, "broker", "mqtt://a:1");
        fake_host_set(&w.host, "username", "me");
        fake_host_set(&w.host, "password", "s3cret");
        fake_host_set(&w.host, "ca_file", "/ca");
        w.host.allocations_left = n;
        rc = read_settings(&w);
        assert_true(rc == FLAMENCO_OK || rc == FLAMENCO_E_NOMEM);
        assert_int_equal(rc == FLAMENCO_OK, n == 4);
        end(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(off_unless_enabled),
        cmocka_unit_test(defaults_and_blanks),
        cmocka_unit_test(a_wrong_key_of_the_reference_switches_off),
        cmocka_unit_test(a_wrong_setting_of_the_instance_is_refused),
        cmocka_unit_test(an_own_broker_never_gets_the_other_ones_credentials),
        cmocka_unit_test(secrets_are_declared_as_such),
        cmocka_unit_test(memory_may_be_exhausted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * URLs of brokers (events 3.1).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "broker_url.h"

static void urls_that_are_understood(void **state)
{
    static const struct {
        const char *url, *host, *port;
        int tls;
    } cases[] = {
        { "tcp://broker:1883", "broker", "1883", 0 },
        { "mqtt://broker:1883", "broker", "1883", 0 },
        { "MQTT://Broker.Example:1883", "Broker.Example", "1883", 0 },
        { "//broker:1883", "broker", "1883", 0 },
        { "broker:1883", "broker", "1883", 0 },
        { "192.168.1.7:1", "192.168.1.7", "1", 0 },
        { "ssl://broker:8883", "broker", "8883", 1 },
        { "tls://broker:8883", "broker", "8883", 1 },
        { "mqtts://broker:65535", "broker", "65535", 1 },
        { "mqtt+ssl://broker:8883", "broker", "8883", 1 },
        { "tcps://broker:8883", "broker", "8883", 1 },
        { "mqtt://[::1]:1883", "::1", "1883", 0 },
        { "mqtt://[fe80::1%eth0]:1883", "fe80::1%eth0", "1883", 0 },
        { "mqtt://me:secret@broker:1883", "broker", "1883", 0 },
        { "mqtt://me:s@cret@broker:1883/path?query#end", "broker", "1883", 0 },
        { "mqtt://broker:1883/", "broker", "1883", 0 },
        { "mqtt://under_score:1883", "under_score", "1883", 0 },
        { "mqtt://b\xc3\xbcro:1883", "b\xc3\xbcro", "1883", 0 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        mqtt_broker broker = { .tls = -1 };
        const char *wrong = fl_mqtt_broker_read(flamenco_text(cases[i].url), &broker);
        if (wrong != NULL)
            fail_msg("%s: %s", cases[i].url, wrong);
        assert_string_equal(broker.host, cases[i].host);
        assert_string_equal(broker.port, cases[i].port);
        assert_int_equal(broker.port_number, strtol(cases[i].port, NULL, 10));
        assert_int_equal(broker.tls, cases[i].tls);
    }
}

static void urls_that_are_not(void **state)
{
    static const struct {
        const char *url, *text;
    } cases[] = {
        { "", "no host" },
        { "mqtt://", "no host" },
        { "mqtt://:1883", "no host" },
        { "mqtt:///path", "no host" },
        { "broker", "port" },
        { "mqtt://broker", "port" },
        { "mqtt://broker:", "port" },
        { "mqtt://broker:0", "port" },
        { "mqtt://broker:65536", "port" },
        { "mqtt://broker:123456", "port" },
        { "mqtt://broker:18x3", "port" },
        { "mqtt://broker:-1", "port" },
        { "mqtt://[::1]", "port" },
        { "mqtt://[::1]1883", "port" },
        { "mqtt://[::1", "brackets" },
        { "mqtt://::1:1883", "no host" },
        { "mqtt://fe80::1:1883", "port" },
        { "mqtt://a b:1883", "host name" },
        { "mqtt://a%20b:1883", "host name" },
        { "ws://broker:80", "WebSocket" },
        { "WSS://broker:443/mqtt", "WebSocket" },
        { "http://broker:80", "scheme" },
        { "unix:///run/mqtt", "scheme" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        mqtt_broker broker = { .host = "untouched" };
        const char *wrong = fl_mqtt_broker_read(flamenco_text(cases[i].url), &broker);
        if (wrong == NULL || strstr(wrong, cases[i].text) == NULL)
            fail_msg("\"%s\": %s", cases[i].url, wrong != NULL ? wrong : "it was taken");
        assert_string_equal(broker.host, "untouched");
    }
}

static void a_host_fits_its_place_or_is_refused(void **state)
{
    char url[400];
    mqtt_broker broker;
    (void)state;
    for (int len = 250; len < 260; ++len) {
        int n = snprintf(url, sizeof(url), "mqtt://%0*d:1883", len, 0);
        const char *wrong = fl_mqtt_broker_read((flamenco_str){ url, (uint64_t)n }, &broker);
        assert_int_equal(wrong == NULL, len < (int)sizeof(broker.host));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_that_are_understood),
        cmocka_unit_test(urls_that_are_not),
        cmocka_unit_test(a_host_fits_its_place_or_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

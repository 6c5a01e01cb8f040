/* SPDX-License-Identifier: Apache-2.0
 *
 * test_settings.c - what the settings may be, and to which share a job belongs.
 */
#include "fair.h"
#include "farm.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int32_t configure(const char *key, const char *value, char *text, size_t room)
{
    fake_host fake;
    void *self = NULL;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    const flamenco_plugin *plugin = flamenco_plugin_query();
    fake_host_init(&fake);
    if (key != NULL)
        fake_host_set(&fake, key, value);
    assert_int_equal(plugin->create(&fake.host, &self, &err), FLAMENCO_OK);
    int32_t rc = plugin->configure(self, fake_host_config(&fake, plugin), &err);
    (void)snprintf(text, room, "%s", err.text);
    plugin->destroy(self);
    fake_host_fini(&fake);
    return rc;
}

static void weights_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *weights;
        int32_t rc;
    } vectors[] = {
        { "anna=2", 0 },         { "anna=2\nbert=0.5", 0 }, { "a=b=1.125", 0 }, { "=3", 0 },
        { "x=1000", 0 },         { "x=0.001", 0 },          { "anna", -4 },     { "anna=", -4 },
        { "anna=0", -4 },        { "anna=-1", -4 },         { "anna=1.", -4 },  { "anna=.5", -4 },
        { "anna=1.2345", -4 },   { "anna=1001", -4 },       { "anna=1e3", -4 }, { "anna=99999999999999999999", -4 },
        { "anna=1000.001", -4 },
    };
    for (size_t i = 0; i < COUNT(vectors); ++i) {
        char text[250];
        int32_t rc = configure("weights", vectors[i].weights, text, sizeof(text));
        if (rc != vectors[i].rc)
            fail_msg("%s: %d %s", vectors[i].weights, (int)rc, text);
        assert_true(rc == 0 || strstr(text, "NAME=WEIGHT") != NULL);
    }
}

static void the_defaults_are_accepted(void **state)
{
    (void)state;
    char text[250];
    assert_int_equal(configure(NULL, NULL, text, sizeof(text)), FLAMENCO_OK);
}

static fl_identity identity_of(const char *keys, const char *metadata)
{
    static const char *settings[] = { "keys", NULL, "weights", "anna=2\nOwl=3\nanna=4", NULL };
    fl_identity identity = { 0 };
    int64_t created = 0;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    farm f;
    settings[1] = keys;
    farm_start(&f, settings);
    int64_t key = farm_add_job(&f, &(farm_job){ .tasks = "Q", .metadata = metadata });
    assert_int_equal(fl_fair_identify(f.self, farm_begin(&f), key, &identity, &created, &err), FLAMENCO_OK);
    farm_rollback(&f);
    assert_true(created > 0);
    assert_int_equal(fl_fair_identify(f.self, farm_begin(&f), 4711, &identity, &created, &err), FLAMENCO_E_NOT_FOUND);
    farm_rollback(&f);
    farm_stop(&f);
    assert_true(identity.number > 0);
    return identity;
}

static void the_first_key_that_a_job_has_counts(void **state)
{
    (void)state;
    static const char both[] = "user.name\nproject";
    fl_identity anna = identity_of(both, "{\"project\":\"Owl\",\"user.name\":\"anna\"}");
    fl_identity owl = identity_of(both, "{\"project\":\"Owl\",\"user.name\":\"\"}");
    fl_identity none = identity_of(both, "{}");
    assert_int_equal(anna.weight, 4 * FL_WEIGHT_ONE);
    assert_int_equal(owl.weight, 3 * FL_WEIGHT_ONE);
    assert_int_equal(none.weight, FL_WEIGHT_ONE);
    assert_true(anna.number != owl.number && owl.number != none.number && anna.number != none.number);
    assert_int_equal(identity_of(both, "{\"user.name\":\"anna\"}").number, anna.number);
    assert_int_equal(identity_of(both, "{\"other\":\"x\"}").number, none.number);
    /* The same text under another key, or by other settings, is another share. */
    assert_true(identity_of(both, "{\"project\":\"anna\"}").number != anna.number);
    assert_true(identity_of("project", "{\"project\":\"Owl\"}").number != owl.number);
    /* What cannot be read is as if it said nothing. */
    assert_int_equal(identity_of(both, "{\"user.name\":5}").number, none.number);
    assert_int_equal(identity_of(both, "[").number, none.number);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_are_checked),
        cmocka_unit_test(the_defaults_are_accepted),
        cmocka_unit_test(the_first_key_that_a_job_has_counts),
    };
    return cmocka_run_group_tests_name("scheduler-fair-settings", tests, NULL, NULL);
}

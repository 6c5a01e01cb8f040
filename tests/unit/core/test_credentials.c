/* SPDX-License-Identifier: Apache-2.0
 *
 * Secrets of Workers: bcrypt hashes of the reference are understood, ours are of the same kind, and what was right once is
 * known without bcrypt.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "core/api/credentials.h"
#include "core/base/str.h"

#define MANY 600 /* more than the table's first size, twice over */

static fl_credentials *credentials;

static int set_up(void **state)
{
    (void)state;
    credentials = fl_credentials_create();
    return credentials != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    fl_credentials_destroy(credentials);
    return 0;
}

/* As random as a UUID of version 4 is where the table looks. */
static flamenco_uuid worker(int n)
{
    flamenco_uuid uuid = { { 0xaa } };
    uint64_t mixed = ((uint64_t)n + 1) * UINT64_C(0x9E3779B97F4A7C15);
    memcpy(uuid.b + 8, &mixed, sizeof(mixed));
    return uuid;
}

static int32_t check(int n, const char *secret, const char *hash)
{
    flamenco_uuid uuid = worker(n);
    return fl_credentials_check(credentials, &uuid, flamenco_text(secret), flamenco_text(hash));
}

static int known(int n, const char *secret)
{
    flamenco_uuid uuid = worker(n);
    return fl_credentials_known(credentials, &uuid, flamenco_text(secret));
}

/* Published vectors of bcrypt, and hashes of cost 4 made with another implementation's salt. */
static const struct {
    const char *secret, *hash;
} vectors[] = {
    { "the worker's secret", "$2a$04$abcdefghijklmnopqrstuuPv8wpbJBI9EBz3rzbBOfzx7LzBa8nu6" },
    { "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
      "$2a$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i" }, /* 72 bytes */
    { "U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW" },
    { "U*U*", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK" },
    { "a", "$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe" },
    { "abc", "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i" },
    { "a", "$2a$10$k87L/MF28Q673VKh8/cPi.SUl7MU/rWuSiIDDFayrKk/1tBsSQu4u" },
    { "abc", "$2a$10$WvvTPHKwdBJ3uk0Z37EMR.hLA2W6N9AEBhEgrAOljy2Ae5MtaSIUi" },
};

static void hashes_of_any_cost_are_verified(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); ++i) {
        assert_int_equal(check((int)i, vectors[i].secret, vectors[i].hash), FLAMENCO_OK);
        assert_true(known((int)i, vectors[i].secret));
    }
}

static void wrong_secrets_are_refused_and_not_remembered(void **state)
{
    (void)state;
    static const char *const wrong[] = { "", "ab", "abcd", "ABC", "abc ", " abc" };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); ++i) {
        assert_int_equal(check(1, wrong[i], vectors[5].hash), FLAMENCO_E_INVALID);
        assert_false(known(1, wrong[i]));
    }
    assert_false(known(1, "abc"));
}

static void unusable_hashes_are_refused(void **state)
{
    (void)state;
    static const char *const hashes[] = {
        "",
        "*0",
        "*1",
        "abc",
        "$2a$",
        "$2a$04$",
        "$2a$04$abcdefghijklmnopqrstuu", /* the salt alone */
        "$2a$04$abcdefghijklmnopqrstuuPv8wpbJBI9EBz3rzbBOfzx7LzBa8nu", /* a character short */
        "$2a$04$abcdefghijklmnopqrstuuPv8wpbJBI9EBz3rzbBOfzx7LzBa8nu66", /* and one long */
        "$2a$04$abcdefghijklmnopqrstuuPv8wpbJBI9EBz3rzbBOfzx7LzBa8nu7",
        "$2a$03$abcdefghijklmnopqrstuuPv8wpbJBI9EBz3rzbBOfzx7LzBa8nu6", /* a cost that does not exist */
        "$9z$04$abcdefghijklmnopqrstuuPv8wpbJBI9EBz3rzbBOfzx7LzBa8nu6",
    };
    for (size_t i = 0; i < sizeof(hashes) / sizeof(hashes[0]); ++i)
        assert_int_equal(check(1, "the worker's secret", hashes[i]), FLAMENCO_E_INVALID);
    flamenco_uuid uuid = worker(1);
    flamenco_str with_nul = { "$2a$04$abcdefghijklmnopqrstuuPv8wpbJBI9EBz3rzbBOfzx7LzBa8nu6\0x", 62 };
    assert_int_equal(fl_credentials_check(credentials, &uuid, FL_STR("the worker's secret"), with_nul),
                     FLAMENCO_E_INVALID);
    assert_false(known(1, "the worker's secret"));
}

static void new_hashes_are_bcrypt_of_cost_4_with_a_salt_of_their_own(void **state)
{
    (void)state;
    char first[FL_SECRET_HASH_MAX], second[FL_SECRET_HASH_MAX];
    assert_int_equal(fl_credentials_hash(FL_STR("secret"), first), FLAMENCO_OK);
    assert_int_equal(fl_credentials_hash(FL_STR("secret"), second), FLAMENCO_OK);
    assert_int_equal(strlen(first), 60);
    assert_memory_equal(first + 3, "$04$", 4);
    assert_memory_equal(first, "$2", 2);
    assert_string_not_equal(first, second);
    assert_int_equal(check(1, "secret", first), FLAMENCO_OK);
    assert_int_equal(check(2, "secret", second), FLAMENCO_OK);
    assert_int_equal(check(3, "Secret", second), FLAMENCO_E_INVALID);
    assert_int_equal(fl_credentials_hash(FL_STR(""), first), FLAMENCO_OK); /* allowed, however unwise */
    assert_int_equal(check(4, "", first), FLAMENCO_OK);
    assert_int_equal(check(4, "x", first), FLAMENCO_E_INVALID);
}

static void secrets_have_at_most_72_bytes_and_no_nul(void **state)
{
    (void)state;
    static const char longest[] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    flamenco_uuid uuid = worker(1);
    char hash[FL_SECRET_HASH_MAX];
    flamenco_str fits = { longest, 72 }, too_long = { longest, 73 };
    flamenco_str nul = { "sec\0ret", 7 }, cut = { "sec", 3 };
    assert_int_equal(fl_credentials_hash(too_long, hash), FLAMENCO_E_INVALID);
    assert_int_equal(fl_credentials_hash(nul, hash), FLAMENCO_E_INVALID);
    assert_int_equal(fl_credentials_hash(fits, hash), FLAMENCO_OK);
    /* The 73rd byte does not matter to bcrypt, so it must not come so far. */
    assert_int_equal(fl_credentials_check(credentials, &uuid, too_long, flamenco_text(hash)), FLAMENCO_E_INVALID);
    assert_false(fl_credentials_known(credentials, &uuid, too_long));
    assert_int_equal(fl_credentials_check(credentials, &uuid, fits, flamenco_text(hash)), FLAMENCO_OK);
    assert_int_equal(fl_credentials_hash(cut, hash), FLAMENCO_OK);
    assert_int_equal(fl_credentials_check(credentials, &uuid, nul, flamenco_text(hash)), FLAMENCO_E_INVALID);
}

static void known_is_for_this_worker_and_this_secret(void **state)
{
    (void)state;
    assert_false(known(1, "abc"));
    assert_int_equal(check(1, "abc", vectors[5].hash), FLAMENCO_OK);
    assert_true(known(1, "abc"));
    assert_true(known(1, "abc"));
    assert_false(known(1, "abd"));
    assert_false(known(1, ""));
    assert_false(known(2, "abc"));
    flamenco_uuid none = { { 0 } };
    assert_false(fl_credentials_known(credentials, &none, FL_STR("abc")));
    /* A table of its own knows nothing of this one's. */
    fl_credentials *others = fl_credentials_create();
    flamenco_uuid uuid = worker(1);
    assert_non_null(others);
    assert_false(fl_credentials_known(others, &uuid, FL_STR("abc")));
    fl_credentials_destroy(others);
}

static void new_secret_of_a_worker_replaces_the_old_one(void **state)
{
    (void)state;
    assert_int_equal(check(1, "a", vectors[4].hash), FLAMENCO_OK);
    assert_int_equal(check(1, "abc", vectors[5].hash), FLAMENCO_OK);
    assert_false(known(1, "a"));
    assert_true(known(1, "abc"));
}

static void thousands_of_workers_are_known(void **state)
{
    (void)state;
    for (int i = 0; i < MANY; ++i)
        assert_int_equal(check(i, "the worker's secret", vectors[0].hash), FLAMENCO_OK);
    for (int i = 0; i < MANY; ++i) {
        assert_true(known(i, "the worker's secret"));
        assert_false(known(i, "another secret"));
    }
    assert_false(known(MANY, "the worker's secret"));
}

static int failures; /* atomic */

static void *check_some(void *arg)
{
    int first = *(const int *)arg;
    for (int i = first; i < first + 100; ++i) {
        flamenco_uuid uuid = worker(i);
        flamenco_str secret = FL_STR("the worker's secret");
        int ok = fl_credentials_check(credentials, &uuid, secret, flamenco_text(vectors[0].hash)) == FLAMENCO_OK;
        for (int k = first; k <= i; ++k) {
            uuid = worker(k);
            ok = ok && fl_credentials_known(credentials, &uuid, secret);
        }
        if (!ok)
            __atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void table_grows_beside_those_who_read_it(void **state)
{
    (void)state;
    pthread_t threads[3];
    int firsts[3] = { 0, 100, 200 };
    for (int i = 0; i < 3; ++i)
        assert_int_equal(pthread_create(&threads[i], NULL, check_some, &firsts[i]), 0);
    for (int i = 0; i < 3; ++i)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(failures, 0);
}

#define credentials_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        credentials_test(hashes_of_any_cost_are_verified),
        credentials_test(wrong_secrets_are_refused_and_not_remembered),
        credentials_test(unusable_hashes_are_refused),
        credentials_test(new_hashes_are_bcrypt_of_cost_4_with_a_salt_of_their_own),
        credentials_test(secrets_have_at_most_72_bytes_and_no_nul),
        credentials_test(known_is_for_this_worker_and_this_secret),
        credentials_test(new_secret_of_a_worker_replaces_the_old_one),
        credentials_test(thousands_of_workers_are_known),
        credentials_test(table_grows_beside_those_who_read_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

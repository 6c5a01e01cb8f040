/* SPDX-License-Identifier: Apache-2.0
 *
 * The queue before the broker: order, bound, drops, what is under way, and that no event is leaked.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <time.h>

#include "core/base/buf.h"
#include "fake_host.h"
#include "queue.h"

#define SIZE 8u

typedef struct world {
    fake_host host;
    mqtt_queue queue;
} world;

static void begin(world *w)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    memset(w, 0, sizeof(*w));
    fake_host_init(&w->host);
    assert_int_equal(fl_mqtt_queue_init(&w->queue, &w->host.host, SIZE, &err), FLAMENCO_OK);
}

static void end(world *w)
{
    fl_mqtt_queue_fini(&w->queue);
    fake_host_fini(&w->host);
}

/* An event whose payload is this one character. */
static int push(world *w, char name)
{
    flamenco_buf *buf = fl_shared_create(1);
    assert_non_null(buf);
    *fl_shared_data(buf) = name;
    const flamenco_event event = { .struct_size = (uint32_t)sizeof(event),
                                   .payload = fl_shared_str(buf),
                                   .topic = flamenco_text("/jobs"),
                                   .buf = buf };
    int wake = fl_mqtt_queue_push(&w->queue, &event);
    fl_shared_unref(buf);
    return wake;
}

static void push_all(world *w, const char *names)
{
    for (; *names != '\0'; ++names)
        (void)push(w, *names);
}

/* Takes up to `max` and compares. They stay with the caller. */
static void take(world *w, mqtt_item *items, size_t max, const char *wanted)
{
    size_t n = fl_mqtt_queue_take(&w->queue, items, max);
    assert_int_equal(n, strlen(wanted));
    for (size_t i = 0; i < n; ++i)
        assert_int_equal(items[i].payload.ptr[0], wanted[i]);
}

static void done_all(world *w, mqtt_item *items, size_t n)
{
    for (size_t i = 0; i < n; ++i)
        fl_mqtt_queue_done(&w->queue, &items[i], 0);
}

static void events_leave_in_order(void **state)
{
    world w;
    mqtt_item items[SIZE];
    (void)state;
    begin(&w);
    for (int round = 0; round < 10; ++round) {
        push_all(&w, "abc");
        take(&w, items, 2, "ab");
        push_all(&w, "de");
        done_all(&w, items, 2);
        take(&w, items, SIZE, "cde");
        done_all(&w, items, 3);
        take(&w, items, SIZE, "");
    }
    assert_int_equal(fl_mqtt_queue_counts(&w.queue).sent, 50);
    assert_int_equal(fl_mqtt_queue_counts(&w.queue).waiting, 0);
    end(&w);
}

static void the_oldest_is_dropped_and_counted(void **state)
{
    world w;
    mqtt_item items[SIZE];
    (void)state;
    begin(&w);
    push_all(&w, "abcdefghijkl");
    mqtt_counts counts = fl_mqtt_queue_counts(&w.queue);
    assert_int_equal(counts.waiting, SIZE);
    assert_int_equal(counts.dropped, 4);
    take(&w, items, SIZE, "efghijkl");
    done_all(&w, items, SIZE);
    end(&w);
}

static void what_is_under_way_counts_and_is_not_dropped(void **state)
{
    world w;
    mqtt_item items[SIZE], more[SIZE];
    (void)state;
    begin(&w);
    push_all(&w, "abcdefgh");
    take(&w, items, 3, "abc");
    assert_int_equal(fl_mqtt_queue_counts(&w.queue).waiting, SIZE);
    push_all(&w, "ij");
    assert_int_equal(fl_mqtt_queue_counts(&w.queue).dropped, 2);
    assert_int_equal(fl_mqtt_queue_counts(&w.queue).waiting, SIZE);
    /* The connection breaks: they go back, and stand before the others. */
    fl_mqtt_queue_put_back(&w.queue, items, 3);
    assert_int_equal(fl_mqtt_queue_counts(&w.queue).under_way, 0);
    assert_int_equal(fl_mqtt_queue_counts(&w.queue).waiting, SIZE);
    take(&w, more, SIZE, "abcfghij");
    /* All under way: then the new one has no place. */
    (void)push(&w, 'k');
    assert_int_equal(fl_mqtt_queue_counts(&w.queue).dropped, 3);
    fl_mqtt_queue_done(&w.queue, &more[0], 1);
    assert_int_equal(fl_mqtt_queue_counts(&w.queue).refused, 1);
    (void)push(&w, 'l');
    take(&w, items, SIZE, "l");
    fl_mqtt_queue_put_back(&w.queue, items, 1);
    fl_mqtt_queue_put_back(&w.queue, more + 1, SIZE - 1);
    take(&w, items, SIZE, "bcfghijl");
    fl_mqtt_queue_put_back(&w.queue, items, SIZE);
    end(&w); /* what is left is let go */
}

static void events_of_one_buffer_are_kept_apart(void **state)
{
    world w;
    (void)state;
    begin(&w);
    flamenco_buf *buf = fl_shared_create(1);
    assert_non_null(buf);
    const flamenco_event event = { .struct_size = (uint32_t)sizeof(event), .payload = fl_shared_str(buf), .buf = buf };
    for (size_t i = 0; i < 2 * SIZE; ++i)
        (void)fl_mqtt_queue_push(&w.queue, &event);
    assert_int_equal(fl_mqtt_queue_counts(&w.queue).waiting, SIZE);
    assert_int_equal(fl_mqtt_queue_counts(&w.queue).dropped, SIZE);
    fl_shared_unref(buf);
    end(&w);
}

static void the_reader_is_woken_once_and_only_when_it_sleeps(void **state)
{
    world w;
    mqtt_item items[SIZE];
    (void)state;
    begin(&w);
    assert_false(push(&w, 'a'));
    assert_false(fl_mqtt_queue_sleep(&w.queue, 1)); /* there is one already */
    assert_false(push(&w, 'b'));
    assert_true(fl_mqtt_queue_sleep(&w.queue, 0)); /* it could not send it anyway */
    assert_false(push(&w, 'c'));
    take(&w, items, SIZE, "abc");
    done_all(&w, items, 3);
    assert_true(fl_mqtt_queue_sleep(&w.queue, 1));
    assert_true(push(&w, 'd'));
    assert_false(push(&w, 'e'));
    end(&w);
}

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

typedef struct finisher {
    world *w;
    mqtt_item items[SIZE];
    int give_up;
} finisher;

static void *finish(void *arg)
{
    finisher *f = arg;
    if (f->give_up)
        fl_mqtt_queue_set_hopeless(&f->w->queue, 1);
    else
        done_all(f->w, f->items, 2);
    return NULL;
}

static void draining_waits_for_the_broker(void **state)
{
    (void)state;
    for (int give_up = 0; give_up < 2; ++give_up) {
        world w;
        finisher f = { .w = &w, .give_up = give_up };
        pthread_t thread;
        begin(&w);
        assert_int_equal(fl_mqtt_queue_drain(&w.queue, now_us() + 1), 0);
        push_all(&w, "ab");
        take(&w, f.items, SIZE, "ab");
        assert_int_equal(fl_mqtt_queue_drain(&w.queue, now_us() - 1), 2); /* the time is over */
        assert_int_equal(pthread_create(&thread, NULL, finish, &f), 0);
        size_t left = fl_mqtt_queue_drain(&w.queue, now_us() + INT64_C(600000000));
        assert_int_equal(left, give_up ? 2 : 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        if (give_up)
            fl_mqtt_queue_put_back(&w.queue, f.items, 2);
        end(&w);
    }
}

static void memory_may_be_exhausted(void **state)
{
    fake_host host;
    mqtt_queue queue;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    (void)state;
    fake_host_init(&host);
    host.allocations_left = 0;
    assert_int_equal(fl_mqtt_queue_init(&queue, &host.host, SIZE, &err), FLAMENCO_E_NOMEM);
    fl_mqtt_queue_fini(&queue);
    fake_host_fini(&host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_leave_in_order),
        cmocka_unit_test(the_oldest_is_dropped_and_counted),
        cmocka_unit_test(what_is_under_way_counts_and_is_not_dropped),
        cmocka_unit_test(events_of_one_buffer_are_kept_apart),
        cmocka_unit_test(the_reader_is_woken_once_and_only_when_it_sleeps),
        cmocka_unit_test(draining_waits_for_the_broker),
        cmocka_unit_test(memory_may_be_exhausted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

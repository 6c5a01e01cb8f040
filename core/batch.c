/* SPDX-License-Identifier: Apache-2.0 */
#include "core/batch.h"

#include <stdlib.h>

fl_batch *fl_batch_create(void)
{
    fl_batch *batch = calloc(1, sizeof(*batch));
    if (batch == NULL)
        return NULL;
    batch->arena = fl_arena_create(0);
    if (batch->arena == NULL) {
        free(batch);
        return NULL;
    }
    batch->refs = 1;
    batch->last = &batch->first;
    batch->done_last = &batch->done_first;
    return batch;
}

void fl_batch_ref(fl_batch *batch)
{
    __atomic_add_fetch(&batch->refs, 1, __ATOMIC_RELAXED);
}

static void drop_effects(fl_effect *effect)
{
    for (; effect != NULL; effect = effect->next) {
        if (effect->kind == FL_EFFECT_EVENT)
            fl_shared_unref(effect->event.buf);
    }
}

void fl_batch_unref(fl_batch *batch)
{
    if (batch == NULL || __atomic_sub_fetch(&batch->refs, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    drop_effects(batch->first);
    fl_arena_destroy(batch->arena);
    free(batch);
}

fl_effect **fl_batch_mark(fl_batch *batch)
{
    return batch->last;
}

void fl_batch_cut(fl_batch *batch, fl_effect **mark)
{
    drop_effects(*mark);
    *mark = NULL;
    batch->last = mark;
}

static fl_effect *add_effect(fl_batch *batch, uint32_t kind)
{
    fl_effect *effect = fl_arena_alloc(batch->arena, sizeof(*effect));
    if (effect == NULL)
        return NULL;
    effect->kind = kind;
    return effect;
}

static int32_t link_effect(fl_batch *batch, fl_effect *effect)
{
    *batch->last = effect;
    batch->last = &effect->next;
    return FLAMENCO_OK;
}

/* Puts every text of the event into one shared buffer, unless the caller brought one. */
static flamenco_buf *share_texts(flamenco_event *event)
{
    flamenco_str *texts[] = { &event->topic, &event->name, &event->payload, &event->status, &event->previous_status };
    size_t total = 0;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); ++i)
        total += (size_t)texts[i]->len;
    flamenco_buf *buf = fl_shared_create(total);
    if (buf == NULL)
        return NULL;
    char *at = fl_shared_data(buf);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); ++i) {
        if (texts[i]->len > 0)
            memcpy(at, texts[i]->ptr, (size_t)texts[i]->len);
        texts[i]->ptr = at;
        at += texts[i]->len;
    }
    return buf;
}

int32_t fl_batch_add_event(fl_batch *batch, const flamenco_event *event)
{
    fl_effect *effect = add_effect(batch, FL_EFFECT_EVENT);
    if (effect == NULL)
        return FLAMENCO_E_NOMEM;
    size_t size = event->struct_size < sizeof(effect->event) ? event->struct_size : sizeof(effect->event);
    memcpy(&effect->event, event, size);
    effect->event.struct_size = (uint32_t)sizeof(effect->event);
    if (effect->event.buf != NULL)
        fl_shared_ref(effect->event.buf);
    else
        effect->event.buf = share_texts(&effect->event);
    if (effect->event.buf == NULL)
        return FLAMENCO_E_NOMEM;
    return link_effect(batch, effect);
}

int32_t fl_batch_add_log(fl_batch *batch, const flamenco_uuid *job, const flamenco_uuid *task, flamenco_str text)
{
    fl_effect *effect = add_effect(batch, FL_EFFECT_LOG);
    if (effect == NULL)
        return FLAMENCO_E_NOMEM;
    effect->log.job = *job;
    effect->log.task = *task;
    effect->log.text = fl_arena_copy(batch->arena, text);
    if (effect->log.text.ptr == NULL)
        return FLAMENCO_E_NOMEM;
    return link_effect(batch, effect);
}

int32_t fl_batch_add_wake(fl_batch *batch, const flamenco_wake *wake)
{
    fl_effect *effect = add_effect(batch, FL_EFFECT_WAKE);
    if (effect == NULL)
        return FLAMENCO_E_NOMEM;
    size_t size = wake->struct_size < sizeof(effect->wake) ? wake->struct_size : sizeof(effect->wake);
    memcpy(&effect->wake, wake, size);
    effect->wake.task_type = fl_arena_copy(batch->arena, effect->wake.task_type);
    if (effect->wake.task_type.ptr == NULL)
        return FLAMENCO_E_NOMEM;
    return link_effect(batch, effect);
}

int32_t fl_batch_add_touch(fl_batch *batch, const flamenco_touch *touch)
{
    fl_effect *effect = add_effect(batch, FL_EFFECT_TOUCH);
    if (effect == NULL)
        return FLAMENCO_E_NOMEM;
    effect->touch = *touch;
    return link_effect(batch, effect);
}

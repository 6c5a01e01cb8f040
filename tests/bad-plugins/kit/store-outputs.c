/* SPDX-License-Identifier: Apache-2.0
 *
 * store-outputs.c - persist-sqlite whose tag_get clears its output before it looks.
 */
#include "flamenco/persistence.h"

int32_t __real_fl_tag_get(void *self, flamenco_cx *cx, const flamenco_uuid *uuid, flamenco_tag *out,
                          flamenco_error *err);
int32_t __wrap_fl_tag_get(void *self, flamenco_cx *cx, const flamenco_uuid *uuid, flamenco_tag *out,
                          flamenco_error *err);

int32_t __wrap_fl_tag_get(void *self, flamenco_cx *cx, const flamenco_uuid *uuid, flamenco_tag *out,
                          flamenco_error *err)
{
    out->key = 0;
    return __real_fl_tag_get(self, cx, uuid, out, err);
}

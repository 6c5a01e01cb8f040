/* SPDX-License-Identifier: Apache-2.0
 *
 * null-descriptor.c - its query gives nothing.
 */
#include "parts.h"

const flamenco_plugin *flamenco_plugin_query(void)
{
    return NULL;
}

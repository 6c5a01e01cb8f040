/* SPDX-License-Identifier: Apache-2.0
 *
 * report.h - shows results, to people line by line as they come, or as one JSON document at the end.
 */
#ifndef KIT_REPORT_H
#define KIT_REPORT_H

#include "runner.h"

/* What is known of the plugin before any check; texts may be empty. */
typedef struct kit_identity {
    char id[128], version[64], licence[64];
    char services[1024]; /* blank-separated */
} kit_identity;

typedef struct kit_totals {
    size_t passed, failed, skipped;
} kit_totals;

void kit_report_begin(const kit_options *options, const kit_identity *identity);
void kit_report_result(const kit_options *options, const kit_result *result, int first);
void kit_report_end(const kit_options *options, const kit_totals *totals);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * report.c - see report.h.
 */
#include "report.h"

static void put_json(const char *text)
{
    putchar('"');
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; ++p) {
        if (*p == '"' || *p == '\\')
            printf("\\%c", *p);
        else if (*p == '\n')
            fputs("\\n", stdout);
        else if (*p < 0x20)
            printf("\\u%04x", *p);
        else
            putchar(*p);
    }
    putchar('"');
}

static void put_member(const char *name, const char *text, int first)
{
    printf("%s\"%s\":", first ? "" : ",", name);
    put_json(text);
}

void kit_report_begin(const kit_options *options, const kit_identity *identity)
{
    if (!options->json) {
        printf("%s: %s %s (%s)\n", options->file, identity->id[0] != '\0' ? identity->id : "unknown", identity->version,
               identity->services[0] != '\0' ? identity->services : "no services");
        return;
    }
    printf("{");
    put_member("file", options->file, 1);
    put_member("id", identity->id, 0);
    put_member("version", identity->version, 0);
    put_member("licence", identity->licence, 0);
    put_member("services", identity->services, 0);
    printf(",\"checks\":[");
}

void kit_report_result(const kit_options *options, const kit_result *result, int first)
{
    static const char *const words[] = { "ok", "failed", "skipped", "failed" };
    const kit_check *c = result->check;
    if (options->json) {
        printf("%s{", first ? "\n" : ",\n");
        put_member("name", c->name, 1);
        put_member("service", c->service != NULL ? c->service : "", 0);
        put_member("result", words[result->verdict], 0);
        put_member("reason", result->reason, 0);
        put_member("proves", c->proves, 0);
        put_member("reference", c->reference, 0);
        printf(",\"seconds\":%.3f}", result->seconds);
        return;
    }
    if (result->verdict == KIT_OK) {
        printf("ok       %s\n", c->name);
    } else {
        printf("%s  %s\n", result->verdict == KIT_SKIPPED ? "skipped" : "FAILED ", c->name);
        if (result->verdict != KIT_SKIPPED)
            printf("         proves: %s (%s)\n", c->proves, c->reference);
        for (const char *line = result->reason; line[0] != '\0';) {
            size_t len = strcspn(line, "\n");
            printf("         %s%.*s\n", line == result->reason ? "why: " : "     ", (int)len, line);
            line += len + (line[len] == '\n');
        }
    }
    (void)fflush(stdout);
}

void kit_report_end(const kit_options *options, const kit_totals *totals)
{
    if (options->json)
        printf("\n],\"passed\":%zu,\"failed\":%zu,\"skipped\":%zu}\n", totals->passed, totals->failed, totals->skipped);
    else
        printf("%zu passed, %zu failed, %zu skipped\n", totals->passed, totals->failed, totals->skipped);
}

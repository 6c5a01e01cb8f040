/* SPDX-License-Identifier: Apache-2.0
 *
 * modules.h - finds what a script asks for by `require` (contract: job-compiler 2.2). Called by talk.c while a helper waits.
 * The helper's words are not trusted: nothing outside of the script directories is ever opened.
 */
#ifndef FL_MODULES_H
#define FL_MODULES_H

#include "catalogue.h"

#define FL_MODULES_KEY_MAX 4096

typedef struct fl_module {
    char key[FL_MODULES_KEY_MAX + 16]; /* "1:lib/util.js": number of the directory, path in it */
    const char *place; /* the path, in key */
    char *text; /* malloc'ed */
    size_t len;
} fl_module;

/* Finds `name` as the file `from` (a key) asks for it. The caller frees out->text. NOT_FOUND and INVALID with a text for the
 * author of the script; IO, NOMEM. */
int32_t fl_modules_find(const fl_catalogue *catalogue, flamenco_str from, flamenco_str name, fl_module *out,
                        flamenco_error *err);

/* Cleans a relative path in place: `.`, `x/..` and repeated slashes go. Returns -1 when it leads outside or is absolute. The
 * path of the directory itself is empty. */
int fl_modules_clean(char *path);

#endif

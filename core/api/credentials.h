/* SPDX-License-Identifier: Apache-2.0
 *
 * credentials.h - checks the secrets of Workers: bcrypt once per worker and secret, then a keyed hash in memory
 * (libraries 5). Used by call.c; worker.c makes new hashes with it.
 */
#ifndef FL_API_CREDENTIALS_H
#define FL_API_CREDENTIALS_H

#include "flamenco/plugin.h"

typedef struct fl_credentials fl_credentials;

/* Makes the empty table with a random key. NULL: no memory, or no random bytes. */
fl_credentials *fl_credentials_create(void);
void fl_credentials_destroy(fl_credentials *credentials);

/* Tells whether this worker showed this very secret before, with success. [any], fast */
int fl_credentials_known(fl_credentials *credentials, const flamenco_uuid *worker, flamenco_str secret);

/* Compares the secret with a stored hash, and remembers a success. Takes milliseconds. Returns 0; INVALID: wrong; NOMEM.
 * [worker] */
int32_t fl_credentials_check(fl_credentials *credentials, const flamenco_uuid *worker, flamenco_str secret,
                             flamenco_str hash);

#define FL_SECRET_MAX 72u /* bytes that bcrypt looks at */

/* Hashes a new secret (bcrypt, cost 4) into out. Returns 0; INVALID: longer than 72 bytes or holds a NUL; NOMEM. [worker] */
#define FL_SECRET_HASH_MAX 128
int32_t fl_credentials_hash(flamenco_str secret, char out[FL_SECRET_HASH_MAX]);

#endif

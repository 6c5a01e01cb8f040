/* SPDX-License-Identifier: Apache-2.0
 *
 * The table is open-addressing by worker, guarded by a read-write lock. What it holds is a SHA-256 over a random key, the
 * worker and the secret: a memory dump gives no secret away.
 */
#include "core/api/credentials.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

#include "core/base/uuid.h"

#define KEY_LEN 32u
#define DIGEST_LEN 32u
#define FIRST_SIZE 256u
#define CONTEXTS 8u /* kept for the next hash: making one costs more than the hash */

typedef struct entry {
    flamenco_uuid worker; /* none = empty */
    unsigned char digest[DIGEST_LEN];
} entry;

struct fl_credentials {
    pthread_rwlock_t lock;
    EVP_MD *sha256; /* fetched once: looking it up by name each time costs more than the hash */
    unsigned char key[KEY_LEN];
    EVP_MD_CTX *contexts[CONTEXTS]; /* atomic each; NULL = none there */
    entry *entries;
    size_t size, used; /* size: a power of two */
};

fl_credentials *fl_credentials_create(void)
{
    fl_credentials *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return NULL;
    c->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    c->entries = calloc(FIRST_SIZE, sizeof(entry));
    c->size = FIRST_SIZE;
    if (c->sha256 == NULL || c->entries == NULL || getrandom(c->key, KEY_LEN, 0) != KEY_LEN) {
        EVP_MD_free(c->sha256);
        free(c->entries);
        free(c);
        return NULL;
    }
    pthread_rwlock_init(&c->lock, NULL);
    return c;
}

void fl_credentials_destroy(fl_credentials *c)
{
    if (c == NULL)
        return;
    pthread_rwlock_destroy(&c->lock);
    for (size_t i = 0; i < CONTEXTS; ++i)
        EVP_MD_CTX_free(c->contexts[i]);
    EVP_MD_free(c->sha256);
    OPENSSL_cleanse(c->key, sizeof(c->key));
    free(c->entries);
    free(c);
}

static EVP_MD_CTX *take_context(fl_credentials *c)
{
    for (size_t i = 0; i < CONTEXTS; ++i) {
        EVP_MD_CTX *context = __atomic_exchange_n(&c->contexts[i], NULL, __ATOMIC_ACQUIRE);
        if (context != NULL)
            return context;
    }
    return EVP_MD_CTX_new();
}

static void give_context_back(fl_credentials *c, EVP_MD_CTX *context)
{
    for (size_t i = 0; i < CONTEXTS; ++i) {
        EVP_MD_CTX *none = NULL;
        if (__atomic_compare_exchange_n(&c->contexts[i], &none, context, 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
            return;
    }
    EVP_MD_CTX_free(context);
}

static int make_digest(fl_credentials *c, const flamenco_uuid *worker, flamenco_str secret, unsigned char *out)
{
    EVP_MD_CTX *context = take_context(c);
    unsigned int len = 0;
    int ok = context != NULL && EVP_DigestInit_ex(context, c->sha256, NULL) == 1 &&
             EVP_DigestUpdate(context, c->key, KEY_LEN) == 1 &&
             EVP_DigestUpdate(context, worker->b, sizeof(worker->b)) == 1 &&
             (secret.len == 0 || EVP_DigestUpdate(context, secret.ptr, (size_t)secret.len) == 1) &&
             EVP_DigestFinal_ex(context, out, &len) == 1 && len == DIGEST_LEN;
    if (context != NULL)
        give_context_back(c, context);
    return ok;
}

static entry *slot_of(entry *entries, size_t size, const flamenco_uuid *worker)
{
    size_t at;
    memcpy(&at, worker->b + 8, sizeof(at)); /* random in UUIDs of version 4 */
    for (;; ++at) {
        entry *e = &entries[at & (size - 1)];
        if (fl_uuid_is_none(&e->worker) || fl_uuid_equal(&e->worker, worker))
            return e;
    }
}

int fl_credentials_known(fl_credentials *c, const flamenco_uuid *worker, flamenco_str secret)
{
    unsigned char digest[DIGEST_LEN];
    if (fl_uuid_is_none(worker) || !make_digest(c, worker, secret, digest))
        return 0;
    pthread_rwlock_rdlock(&c->lock);
    const entry *e = slot_of(c->entries, c->size, worker);
    int known = fl_uuid_equal(&e->worker, worker) && CRYPTO_memcmp(e->digest, digest, DIGEST_LEN) == 0;
    pthread_rwlock_unlock(&c->lock);
    return known;
}

/* Out of memory: it is not remembered, and the next request costs a bcrypt again. */
static void remember(fl_credentials *c, const flamenco_uuid *worker, const unsigned char *digest)
{
    pthread_rwlock_wrlock(&c->lock);
    if (c->used * 2 >= c->size) {
        entry *grown = calloc(c->size * 2, sizeof(entry));
        if (grown == NULL) {
            pthread_rwlock_unlock(&c->lock);
            return;
        }
        for (size_t i = 0; i < c->size; ++i) {
            if (!fl_uuid_is_none(&c->entries[i].worker))
                *slot_of(grown, c->size * 2, &c->entries[i].worker) = c->entries[i];
        }
        free(c->entries);
        c->entries = grown;
        c->size *= 2;
    }
    entry *e = slot_of(c->entries, c->size, worker);
    c->used += fl_uuid_is_none(&e->worker) ? 1 : 0;
    e->worker = *worker;
    memcpy(e->digest, digest, DIGEST_LEN);
    pthread_rwlock_unlock(&c->lock);
}

static int has_nul(flamenco_str text)
{
    return text.len > 0 && memchr(text.ptr, '\0', (size_t)text.len) != NULL;
}

/* A NUL-terminated copy, since libcrypt knows no lengths. NULL: no memory. */
static char *copy_text(flamenco_str text)
{
    char *copy = malloc((size_t)text.len + 1);
    if (copy == NULL)
        return NULL;
    if (text.len > 0)
        memcpy(copy, text.ptr, (size_t)text.len);
    copy[text.len] = '\0';
    return copy;
}

static void wipe_text(char *text)
{
    if (text != NULL)
        OPENSSL_cleanse(text, strlen(text));
    free(text);
}

int32_t fl_credentials_check(fl_credentials *c, const flamenco_uuid *worker, flamenco_str secret, flamenco_str hash)
{
    unsigned char digest[DIGEST_LEN];
    int32_t rc = FLAMENCO_E_NOMEM;
    char *secret_text = NULL, *hash_text = NULL;
    struct crypt_data *data = NULL;
    if (secret.len > FL_SECRET_MAX || has_nul(secret) || has_nul(hash))
        return FLAMENCO_E_INVALID;
    secret_text = copy_text(secret);
    hash_text = copy_text(hash);
    data = calloc(1, sizeof(*data));
    if (secret_text == NULL || hash_text == NULL || data == NULL)
        goto cleanup;
    rc = FLAMENCO_E_INVALID;
    const char *made = crypt_rn(secret_text, hash_text, data, (int)sizeof(*data));
    if (made == NULL || made[0] == '*' || strlen(made) != strlen(hash_text) ||
        CRYPTO_memcmp(made, hash_text, strlen(made)) != 0)
        goto cleanup;
    rc = FLAMENCO_OK;
    if (make_digest(c, worker, secret, digest))
        remember(c, worker, digest);
cleanup:
    if (data != NULL)
        OPENSSL_cleanse(data, sizeof(*data));
    free(data);
    free(hash_text);
    wipe_text(secret_text);
    return rc;
}

int32_t fl_credentials_hash(flamenco_str secret, char out[FL_SECRET_HASH_MAX])
{
    unsigned char salt_bytes[16];
    char salt[CRYPT_GENSALT_OUTPUT_SIZE];
    int32_t rc = FLAMENCO_E_NOMEM;
    if (secret.len > FL_SECRET_MAX || has_nul(secret))
        return FLAMENCO_E_INVALID;
    char *text = copy_text(secret);
    struct crypt_data *data = calloc(1, sizeof(*data));
    if (text == NULL || data == NULL || getrandom(salt_bytes, sizeof(salt_bytes), 0) != (ssize_t)sizeof(salt_bytes))
        goto cleanup;
    if (crypt_gensalt_rn("$2b$", 4, (const char *)salt_bytes, sizeof(salt_bytes), salt, sizeof(salt)) == NULL)
        goto cleanup;
    const char *made = crypt_rn(text, salt, data, (int)sizeof(*data));
    if (made == NULL || made[0] == '*' || strlen(made) >= FL_SECRET_HASH_MAX)
        goto cleanup;
    memcpy(out, made, strlen(made) + 1);
    rc = FLAMENCO_OK;
cleanup:
    if (data != NULL)
        OPENSSL_cleanse(data, sizeof(*data));
    free(data);
    wipe_text(text);
    return rc;
}

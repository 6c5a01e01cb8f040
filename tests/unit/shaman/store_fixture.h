/* SPDX-License-Identifier: Apache-2.0
 *
 * store_fixture.h - a running plugin with an empty storage, and the example files of the contract (shaman, head).
 */
#ifndef STORE_FIXTURE_H
#define STORE_FIXTURE_H

#include "fake_host.h"
#include "flamenco/shaman.h"
#include "temp_dir.h"

#define SHA_A "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9" /* "hello world" */
#define SHA_B "6ed5c9ce8d3ab1625ffc79b16389cd89b53751ed7c70ad3aa6f75b5e71a99a58" /* "blob B" */
#define SHA_E "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" /* nothing */
#define BLOB_A "file-store/stored/b9/4d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9/11.blob"
#define BLOB_B "file-store/stored/6e/d5c9ce8d3ab1625ffc79b16389cd89b53751ed7c70ad3aa6f75b5e71a99a58/6.blob"
#define BLOB_E "file-store/stored/e3/b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855/0.blob"

typedef struct fixture {
    fake_host fake;
    fake_cx *cx;
    const flamenco_shaman *table;
    void *self;
    char dir[TEMP_DIR_MAX]; /* everything of this test */
    char root[TEMP_DIR_MAX]; /* dir/shared */
    flamenco_error err;
} fixture;

int setup(void **state);
int teardown(void **state);
/* Stops the plugin and starts it anew. */
void restart(fixture *f);

/* Paths below the storage. */
int exists(const fixture *f, const char *relative);
void write_file(const fixture *f, const char *relative, const char *text);
void make_link(const fixture *f, const char *target, const char *relative);
void read_file(const fixture *f, const char *relative, char *out, size_t cap);
void read_target(const fixture *f, const char *relative, char *out, size_t cap);
/* Sets a file's times so many hours back, not following links. */
void age(const fixture *f, const char *relative, int hours);
int hours_old(const fixture *f, const char *relative);

/* A whole upload in one piece. Gives the result of the call that failed, else of end. */
int32_t upload(fixture *f, const char *sha, int64_t size, const char *content);
uint32_t status_of(fixture *f, const char *sha, int64_t size);

flamenco_shaman_file file_of(const char *path, const char *sha, int64_t size);
/* Makes a checkout; its name goes to out. */
int32_t check_out(fixture *f, const char *wanted, const flamenco_shaman_file *files, size_t n, char *out, size_t cap);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Reading what a job renders: the blend file and all that was packed beside it. For run.c, with --read-files. */
#ifndef FARM_SIM_FILES_H
#define FARM_SIM_FILES_H

#include <stddef.h>
#include <stdint.h>

typedef struct fl_files {
    uint64_t count, bytes;
    uint64_t sum; /* of the 64-bit FNV-1a hashes of the contents, so that their order does not matter */
} fl_files;

/* Reads every file in the folder of blendfile and below, through symbolic links. Returns 0, or -1 with the reason in
 * problem when the blend file is missing or any of them cannot be read. */
int fl_files_read(const char *blendfile, fl_files *out, char *problem, size_t problem_size);

#endif

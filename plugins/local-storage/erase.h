/* SPDX-License-Identifier: Apache-2.0
 *
 * erase.h - removes a tree of files by descriptors, so that no symbolic link, also one put in its way meanwhile, leads
 * out of it. Used by local_storage.c.
 */
#ifndef FL_LOCAL_STORAGE_ERASE_H
#define FL_LOCAL_STORAGE_ERASE_H

#include "flamenco/plugin.h"

/* Removes everything in the open directory `dir_fd`, which stays open and remains itself. cx may be NULL. Errors:
 * CANCELLED, IO, NOMEM, and INVALID for a tree of more than 64 levels. */
int32_t fl_ls_erase_contents(int dir_fd, const flamenco_cx *cx, flamenco_error *err);

#endif

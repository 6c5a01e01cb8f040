/* SPDX-License-Identifier: Apache-2.0
 *
 * disk.h - a disk between SQLite and the real files (an sqlite3_vfs that becomes the default): it fails on command, and it
 * knows which of the bytes written so far would survive a power loss. Syncing costs nothing here: what was synced is only
 * remembered. Called by manager.c and history.c.
 *
 * THE MODEL OF A DISK. What was written to a file since its last successful sync may be lost at a power loss, each write on
 * its own and sector by sector; a write that was lost leaves what was there before. A sync that fails loses what it was asked
 * to save in the worst way: the system believes it clean and never writes it again. Files that were removed may come back.
 */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include <stdint.h>

/* Registers the disk as SQLite's default. Before the first database is opened. Returns 0 or -1. */
int disk_register(void);

/* Forgets all files and what they hold: a new disk. No file may be open. */
void disk_reset(void);

/* Arms a failure: the n-th write or sync (from 1) fails with an SQLITE_* code, and `times` in all. What a failing write was to
 * write is written in part. */
void disk_arm_write(uint32_t n, int code, uint32_t times);
void disk_arm_sync(uint32_t n, int code, uint32_t times);
/* Returns 1 when the armed failure has happened. */
int disk_disarm(void);
uint64_t disk_failures(void);

typedef enum disk_cut {
    DISK_KEEP_ALL, /* the process ends: the system still has every write */
    DISK_KEEP_SYNCED, /* power loss: nothing but what was synced */
    DISK_KEEP_SOME, /* power loss: of the rest, any sectors */
    DISK_KEEP_PREFIX /* power loss: the rest in the order of writing, up to some moment */
} disk_cut;

/* Keeps what a restart would find now, for every file. random: seeds what survives. [any] */
void disk_snapshot(disk_cut cut, uint64_t random);
/* Writes the kept state over the real files. No file may be open. Returns 0 or -1. */
int disk_restore(void);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * elf_file.h - looks into a shared object without loading it. Used by the checks symbols.*.
 */
#ifndef KIT_ELF_H
#define KIT_ELF_H

#include <stddef.h>
#include <stdint.h>

typedef struct kit_elf {
    char *data; /* the file, mapped for reading */
    size_t size;
} kit_elf;

/* Maps a file. Returns NULL, or what is wrong with it. */
const char *kit_elf_open(kit_elf *elf, const char *path);

/* Calls visit for each dynamic symbol that has a name. defined 1: others may use it; 0: it is looked for elsewhere. */
void kit_elf_symbols(const kit_elf *elf, void (*visit)(void *ctx, const char *name, int defined), void *ctx);

/* How many functions run when it is loaded. */
size_t kit_elf_constructors(const kit_elf *elf);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * elf_file.c - see elf_file.h. Files are not trusted: every offset is checked against the file's size.
 */
#include "elf_file.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

const char *kit_elf_open(kit_elf *elf, const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return strerror(errno);
    void *data = MAP_FAILED;
    if (fstat(fd, &st) == 0 && st.st_size >= (off_t)sizeof(Elf64_Ehdr))
        data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (data == MAP_FAILED)
        return "it is not a shared object";
    *elf = (kit_elf){ data, (size_t)st.st_size };
    const unsigned char *ident = data;
    if (memcmp(ident, ELFMAG, SELFMAG) != 0 || ident[EI_CLASS] != ELFCLASS64)
        return "it is not a shared object of 64 bits";
    return NULL;
}

/* A part of the file; NULL when it does not lie within. */
static const char *part(const kit_elf *elf, uint64_t offset, uint64_t size)
{
    return offset <= elf->size && size <= elf->size - offset ? elf->data + offset : NULL;
}

static int section(const kit_elf *elf, size_t index, Elf64_Shdr *out)
{
    Elf64_Ehdr head;
    memcpy(&head, elf->data, sizeof(head));
    const char *at = index < head.e_shnum ? part(elf, head.e_shoff + index * sizeof(*out), sizeof(*out)) : NULL;
    if (at == NULL)
        return 0;
    memcpy(out, at, sizeof(*out));
    return 1;
}

void kit_elf_symbols(const kit_elf *elf, void (*visit)(void *ctx, const char *name, int defined), void *ctx)
{
    Elf64_Shdr table, names;
    for (size_t i = 0; section(elf, i, &table); ++i) {
        if (table.sh_type != SHT_DYNSYM || !section(elf, table.sh_link, &names))
            continue;
        const char *text = part(elf, names.sh_offset, names.sh_size);
        for (uint64_t at = 0; text != NULL && at + sizeof(Elf64_Sym) <= table.sh_size; at += sizeof(Elf64_Sym)) {
            Elf64_Sym symbol;
            const char *from = part(elf, table.sh_offset + at, sizeof(symbol));
            if (from == NULL)
                return;
            memcpy(&symbol, from, sizeof(symbol));
            if (symbol.st_name >= names.sh_size || ELF64_ST_BIND(symbol.st_info) == STB_LOCAL ||
                memchr(text + symbol.st_name, '\0', (size_t)(names.sh_size - symbol.st_name)) == NULL)
                continue;
            int hidden = ELF64_ST_VISIBILITY(symbol.st_other) != STV_DEFAULT;
            if (text[symbol.st_name] != '\0' && !hidden)
                visit(ctx, text + symbol.st_name, symbol.st_shndx != SHN_UNDEF);
        }
    }
}

size_t kit_elf_constructors(const kit_elf *elf)
{
    Elf64_Shdr s;
    size_t n = 0;
    for (size_t i = 0; section(elf, i, &s); ++i) {
        if (s.sh_type == SHT_INIT_ARRAY || s.sh_type == SHT_PREINIT_ARRAY)
            n += (size_t)(s.sh_size / sizeof(Elf64_Addr));
    }
    return n;
}

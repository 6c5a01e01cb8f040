/* SPDX-License-Identifier: Apache-2.0
 *
 * replay.c - stands in for libFuzzer where it is not built in: gives a target every file of the directories and files that
 * are named on the command line, once. So the corpus, with all that was ever found, is a test of each build.
 */
#include <dirent.h>

#include "fuzz.h"

static int replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL || fseek(f, 0, SEEK_END) != 0) {
        fprintf(stderr, "%s cannot be read\n", path);
        return -1;
    }
    long size = ftell(f);
    rewind(f);
    /* As large as the input, so that a sanitizer sees what is read behind its end. */
    uint8_t *data = malloc(size > 0 ? (size_t)size : 1);
    size_t n = data != NULL && size > 0 ? fread(data, 1, (size_t)size, f) : 0;
    fclose(f);
    if (data == NULL || n != (size_t)size) {
        free(data);
        fprintf(stderr, "%s cannot be read\n", path);
        return -1;
    }
    (void)LLVMFuzzerTestOneInput(data, n);
    free(data);
    return 1;
}

static int replay(const char *path)
{
    DIR *dir = opendir(path);
    int n = 0;
    if (dir == NULL)
        return replay_file(path);
    for (struct dirent *entry; n >= 0 && (entry = readdir(dir)) != NULL;) {
        char file[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
        int one = replay_file(file);
        n = one < 0 ? one : n + one;
    }
    closedir(dir);
    return n;
}

int main(int argc, char **argv)
{
    int total = 0;
    for (int i = 1; i < argc; ++i) {
        int n = replay(argv[i]);
        if (n < 0)
            return 1;
        total += n;
    }
    printf("%d inputs\n", total);
    return total > 0 ? 0 : 1;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * config.c - see config.h. The document is kept flat: one entry per scalar, with the path of keys that leads to it.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

typedef struct entry {
    char *path, *text;
} entry;

struct kit_config {
    entry *entries;
    size_t n, room;
};

static int add(kit_config *config, const char *path, const char *text)
{
    if (config->n == config->room) {
        size_t room = config->room > 0 ? config->room * 2 : 16;
        entry *more = realloc(config->entries, room * sizeof(*more));
        if (more == NULL)
            return -1;
        config->entries = more;
        config->room = room;
    }
    entry *e = &config->entries[config->n];
    e->path = strdup(path);
    e->text = strdup(text);
    if (e->path == NULL || e->text == NULL) {
        free(e->path);
        free(e->text);
        return -1;
    }
    ++config->n;
    return 0;
}

static int walk(kit_config *config, yaml_document_t *document, yaml_node_t *node, const char *path)
{
    int rc = 0;
    if (node == NULL)
        return 0;
    if (node->type == YAML_SCALAR_NODE)
        return add(config, path, (const char *)node->data.scalar.value);
    if (node->type == YAML_SEQUENCE_NODE) {
        for (yaml_node_item_t *i = node->data.sequence.items.start; i < node->data.sequence.items.top && rc == 0; ++i)
            rc = walk(config, document, yaml_document_get_node(document, *i), path);
        return rc;
    }
    for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top && rc == 0; ++p) {
        const yaml_node_t *key = yaml_document_get_node(document, p->key);
        char *inner = NULL;
        if (key == NULL || key->type != YAML_SCALAR_NODE)
            continue;
        if (asprintf(&inner, "%s%s%s", path, path[0] != '\0' ? "\x1f" : "", (const char *)key->data.scalar.value) < 0)
            return -1;
        rc = walk(config, document, yaml_document_get_node(document, p->value), inner);
        free(inner);
    }
    return rc;
}

/* A misspelt key would silently test something else. */
static int check_keys(yaml_document_t *document, const char *file, char *problem, size_t size)
{
    static const char *const known[] = { "settings", "plugins", "setup", "teardown" };
    const yaml_node_t *root = yaml_document_get_root_node(document);
    if (root == NULL)
        return 0;
    if (root->type != YAML_MAPPING_NODE) {
        snprintf(problem, size, "%s: it is no mapping", file);
        return -1;
    }
    for (const yaml_node_pair_t *p = root->data.mapping.pairs.start; p < root->data.mapping.pairs.top; ++p) {
        const yaml_node_t *key = yaml_document_get_node(document, p->key);
        const char *text = key->type == YAML_SCALAR_NODE ? (const char *)key->data.scalar.value : "?";
        size_t k = 0;
        while (k < sizeof(known) / sizeof(known[0]) && strcmp(known[k], text) != 0)
            ++k;
        if (k == sizeof(known) / sizeof(known[0])) {
            snprintf(problem, size, "%s:%zu: unknown key \"%s\"; known are settings, plugins, setup, teardown", file,
                     key->start_mark.line + 1, text);
            return -1;
        }
    }
    return 0;
}

static int read_document(kit_config *config, FILE *in, const char *file, char *problem, size_t size)
{
    yaml_parser_t parser;
    yaml_document_t document;
    int rc = -1;
    if (!yaml_parser_initialize(&parser)) {
        snprintf(problem, size, "memory is exhausted");
        return -1;
    }
    yaml_parser_set_input_file(&parser, in);
    if (!yaml_parser_load(&parser, &document)) {
        snprintf(problem, size, "%s:%zu: %s", file, parser.problem_mark.line + 1,
                 parser.problem != NULL ? parser.problem : "not YAML");
    } else {
        rc = check_keys(&document, file, problem, size);
        if (rc == 0) {
            rc = walk(config, &document, yaml_document_get_root_node(&document), "");
            if (rc != 0)
                snprintf(problem, size, "memory is exhausted");
        }
        yaml_document_delete(&document);
    }
    yaml_parser_delete(&parser);
    return rc;
}

kit_config *kit_config_read(const char *file, char *problem, size_t size)
{
    kit_config *config = calloc(1, sizeof(*config));
    if (config == NULL) {
        snprintf(problem, size, "memory is exhausted");
        return NULL;
    }
    if (file == NULL)
        return config;
    FILE *in = fopen(file, "re");
    int rc = -1;
    if (in == NULL) {
        snprintf(problem, size, "%s: %s", file, strerror(errno));
    } else {
        rc = read_document(config, in, file, problem, size);
        fclose(in);
    }
    if (rc != 0) {
        kit_config_free(config);
        return NULL;
    }
    return config;
}

void kit_config_free(kit_config *config)
{
    if (config == NULL)
        return;
    for (size_t i = 0; i < config->n; ++i) {
        free(config->entries[i].path);
        free(config->entries[i].text);
    }
    free(config->entries);
    free(config);
}

const char *kit_config_get(const kit_config *config, const char *path, size_t index)
{
    for (size_t i = 0; i < config->n; ++i) {
        if (strcmp(config->entries[i].path, path) == 0 && index-- == 0)
            return config->entries[i].text;
    }
    return NULL;
}

const char *kit_config_key(const kit_config *config, const char *path, size_t index, char *out, size_t size)
{
    size_t len = strlen(path);
    const char *last = NULL;
    size_t last_len = 0;
    for (size_t i = 0; i < config->n; ++i) {
        const char *p = config->entries[i].path;
        if (len > 0 && (strncmp(p, path, len) != 0 || p[len] != '\x1f'))
            continue;
        p += len > 0 ? len + 1 : 0;
        size_t key_len = strcspn(p, "\x1f");
        /* What belongs to one key stands side by side. */
        if (last != NULL && key_len == last_len && memcmp(last, p, key_len) == 0)
            continue;
        last = p;
        last_len = key_len;
        if (index-- == 0) {
            snprintf(out, size, "%.*s", (int)key_len, p);
            return out;
        }
    }
    return NULL;
}

char *kit_config_expand(const char *text, const char *dir, const char *run)
{
    size_t len = 0;
    char *out = NULL;
    FILE *to = open_memstream(&out, &len);
    if (to == NULL)
        return NULL;
    while (*text != '\0') {
        if (strncmp(text, "{dir}", 5) == 0 || strncmp(text, "{run}", 5) == 0) {
            fputs(text[1] == 'd' ? dir : run, to);
            text += 5;
        } else {
            fputc(*text++, to);
        }
    }
    if (fclose(to) != 0) {
        free(out);
        return NULL;
    }
    return out;
}

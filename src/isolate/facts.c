/* The facts about an isolated module as text, to be kept beside the object: NUL-terminated strings
 * "key=value", one string per item of a list. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "isolate/isolate.h"

enum kind { TEXT, LIST, NUMBER, SIZE, FLAG };

static const struct field {
    const char *key;
    enum kind kind;
    size_t offset;
} FIELDS[] = {
#define FIELD(name, kind)                                                                          \
    {                                                                                              \
#name, kind, offsetof(struct kiln_isolated, name)                                          \
    }
    FIELD(symbol, TEXT),      FIELD(init, TEXT),          FIELD(suffix, TEXT),
    FIELD(not_pic, TEXT),     FIELD(unique_suffix, TEXT), FIELD(unique, LIST),
    FIELD(exported, LIST),    FIELD(undefined, LIST),     FIELD(size, NUMBER),
    FIELD(hidden, SIZE),      FIELD(constructors, SIZE),  FIELD(destructors, SIZE),
    FIELD(asks_dladdr, FLAG), FIELD(bound_suffix, TEXT),
#undef FIELD
};

enum { FIELD_COUNT = sizeof FIELDS / sizeof FIELDS[0] };

static void
put(struct kiln_ctx *ctx, struct kiln_strings *out, const char *key, const char *value)
{
    kiln_strings_push(&ctx->arena, out, kiln_arena_printf(&ctx->arena, "%s=%s", key, value));
}

static void
put_number(struct kiln_ctx *ctx, struct kiln_strings *out, const char *key, uint64_t value)
{
    kiln_strings_push(&ctx->arena, out,
                      kiln_arena_printf(&ctx->arena, "%s=%llu", key, (unsigned long long)value));
}

static void
put_field(struct kiln_ctx *ctx, struct kiln_strings *out, const struct field *field,
          const struct kiln_isolated *isolated)
{
    const void *at = (const char *)isolated + field->offset;
    const struct kiln_strings *list = at;
    const char *text;
    switch (field->kind) {
    case TEXT:
        memcpy(&text, at, sizeof text);
        if (text != NULL) {
            put(ctx, out, field->key, text);
        }
        break;
    case LIST:
        for (size_t i = 0; i < list->count; i++) {
            put(ctx, out, field->key, list->items[i]);
        }
        break;
    case NUMBER:
        put_number(ctx, out, field->key, *(const uint64_t *)at);
        break;
    case SIZE:
        put_number(ctx, out, field->key, *(const size_t *)at);
        break;
    case FLAG:
        put_number(ctx, out, field->key, *(const bool *)at);
        break;
    }
}

struct kiln_span
kiln_isolated_format(struct kiln_ctx *ctx, const struct kiln_isolated *isolated)
{
    struct kiln_strings strings = {0};
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        put_field(ctx, &strings, &FIELDS[i], isolated);
    }
    size_t size = 0;
    for (size_t i = 0; i < strings.count; i++) {
        size += strlen(strings.items[i]) + 1;
    }
    char *text = kiln_arena_alloc(&ctx->arena, size), *end = text;
    for (size_t i = 0; i < strings.count; i++) {
        end = stpcpy(end, strings.items[i]) + 1;
    }
    return kiln_span_of(text, size);
}

static void
take_field(struct kiln_ctx *ctx, const struct field *field, const char *value,
           struct kiln_isolated *out)
{
    void *at = (char *)out + field->offset;
    const char *text;
    switch (field->kind) {
    case TEXT:
        text = kiln_arena_strdup(&ctx->arena, value);
        memcpy(at, &text, sizeof text);
        break;
    case LIST:
        kiln_strings_push(&ctx->arena, at, kiln_arena_strdup(&ctx->arena, value));
        break;
    case NUMBER:
        *(uint64_t *)at = strtoull(value, NULL, 10);
        break;
    case SIZE:
        *(size_t *)at = (size_t)strtoull(value, NULL, 10);
        break;
    case FLAG:
        *(bool *)at = strcmp(value, "1") == 0;
        break;
    }
}

bool
kiln_isolated_parse(struct kiln_ctx *ctx, struct kiln_span facts, struct kiln_isolated *out)
{
    *out = (struct kiln_isolated){0};
    const char *text;
    for (uint64_t at = 0; (text = kiln_span_get_string(facts, at)) != NULL; at += strlen(text) + 1)
    {
        const char *equals = strchr(text, '=');
        for (size_t i = 0; equals != NULL && i < FIELD_COUNT; i++) {
            size_t len = strlen(FIELDS[i].key);
            if ((size_t)(equals - text) == len && strncmp(text, FIELDS[i].key, len) == 0) {
                take_field(ctx, &FIELDS[i], equals + 1, out);
            }
        }
    }
    return out->symbol != NULL && out->init != NULL && out->suffix != NULL;
}

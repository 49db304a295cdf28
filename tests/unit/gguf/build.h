/* build.h: GGUF files made by hand, byte by byte, independent of the writer. */
#ifndef BG_TEST_GGUF_BUILD_H
#define BG_TEST_GGUF_BUILD_H

#include "test.h"

#include "base/base.h"
#include "bitgauge/gguf.h"

static inline void put(bg_text *t, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        char c = (char)(i < 8 ? value >> (8 * i) : 0);
        bg_text_append(t, &c, 1);
    }
}

static inline void put_bytes(bg_text *t, const char *s, size_t n)
{
    put(t, n, 8);
    bg_text_append(t, s, n);
}

static inline void put_string(bg_text *t, const char *s) { put_bytes(t, s, strlen(s)); }

static inline void put_header(bg_text *t, uint32_t version, uint64_t tensors, uint64_t values)
{
    bg_text_append(t, "GGUF", 4);
    put(t, version, 4);
    put(t, tensors, 8);
    put(t, values, 8);
}

static inline void put_key(bg_text *t, const char *key, uint32_t type)
{
    put_string(t, key);
    put(t, type, 4);
}

static inline void put_u32(bg_text *t, const char *key, uint32_t value)
{
    put_key(t, key, BG_GGUF_U32);
    put(t, value, 4);
}

static inline void put_tensor(bg_text *t, const char *name, uint32_t n_dims, const uint64_t *ne,
                              uint32_t type, uint64_t offset)
{
    put_string(t, name);
    put(t, n_dims, 4);
    for (uint32_t d = 0; d < n_dims; d++) put(t, ne[d], 8);
    put(t, type, 4);
    put(t, offset, 8);
}

static inline void put_padding(bg_text *t, size_t alignment)
{
    while (t->length % alignment) put(t, 0, 1);
}

#endif

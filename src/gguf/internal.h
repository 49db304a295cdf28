/* internal.h: what the files of the gguf room share.
 *
 *   "GGUF" | u32 version | u64 tensors | u64 values
 *   values:  string key | u32 type | value            string: u64 length | bytes
 *   tensors: string name | u32 n_dims | u64 ne[n_dims] | u32 type | u64 offset
 *   padding to general.alignment, from where the offsets count; then the data
 *
 * An array value is u32 element type | u64 count | elements. All integers are little-endian. */
#ifndef BG_GGUF_INTERNAL_H
#define BG_GGUF_INTERNAL_H

#include "base/base.h"
#include "base/file.h"
#include "bitgauge/gguf.h"

enum {
    BG_GGUF_DEFAULT_ALIGNMENT = 32,
    BG_GGUF_MAX_NAME = 65535, /* of a key, as the GGUF specification has it, or a tensor */
    BG_GGUF_TYPE_COUNT = BG_GGUF_F64 + 1,
};
#define BG_GGUF_MAGIC "GGUF"
#define BG_GGUF_ALIGNMENT_KEY "general.alignment"

struct bg_gguf {
    bg_map map;              /* empty when the memory is the caller's */
    bg_text header;          /* or this, of a file that has no data */
    const uint8_t *data;
    size_t size;
    char *path;
    uint32_t version;
    size_t alignment;
    bg_gguf_value *values;
    size_t n_values, values_capacity;
    bg_tensor *tensors;
    size_t n_tensors, tensors_capacity;
    size_t n_named;          /* of these, the first, whose names are this file's own */
    bg_gguf **parts;         /* the other files of a split model, by their numbers less one */
    uint64_t split_no, split_count; /* count 1: it is whole */
    /* Sorted by name, for look-ups; made once all are read. */
    const bg_gguf_value **values_by_key;
    const bg_tensor **tensors_by_name;
};

/* A tensor type of GGUF. bytes is 0 for a type that GGUF no longer has. */
typedef struct bg_gguf_tensor_type {
    const char *name;
    bg_format format;
    uint32_t id, block_weights, block_bytes;
} bg_gguf_tensor_type;
const bg_gguf_tensor_type *bg_gguf_tensor_type_get(uint32_t id); /* NULL: unknown */

/* Bytes of one value of a fixed-size type; 0 for strings, arrays and unknown types. */
size_t bg_gguf_type_bytes(uint32_t type);

/* A file by itself, though it may be a part of a model. */
bg_status bg_gguf_open_alone(bg_gguf **g, const char *path, bg_error *err);
/* Opens the other parts of the model whose first file g is, and takes over their tensors. */
bg_status bg_gguf_join(bg_gguf *g, bg_error *err);
/* Makes tensors_by_name, anew. BG_ERR_INPUT: two of one name. */
bg_status bg_gguf_index_tensors(bg_gguf *g, bg_error *err);
/* Opens the header of a file that has no data; takes the text. */
bg_status bg_gguf_open_header(bg_gguf **g, bg_text *header, const char *name, bg_error *err);

uint32_t bg_gguf_read_u32(const uint8_t *p);
uint64_t bg_gguf_read_u64(const uint8_t *p);

/* The extent of a tensor whose type and dimensions are set. false, with the reason: a row that is
 * no whole number of blocks, or a size beyond 63 bits. */
bool bg_gguf_tensor_bytes(const bg_gguf_tensor_type *type, const bg_tensor *t, size_t *bytes,
                          const char **reason);

/* Room for one more item after the n of an array that doubles, so that memory follows what a file
 * really holds, not what its header claims. NULL: no memory, and the old array stays. */
void *bg_gguf_reserve(void *items, size_t n, size_t *capacity, size_t size);

#endif

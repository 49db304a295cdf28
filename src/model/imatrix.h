/* imatrix.h: importance in memory, as its reader and writer share it. Internal. */
#ifndef BG_IMATRIX_H
#define BG_IMATRIX_H

#include "model/model.h"

/* Keys of the GGUF files. */
#define BG_IMATRIX_DATASETS "imatrix.datasets"
#define BG_IMATRIX_CHUNKS "imatrix.chunk_count"
#define BG_IMATRIX_CHUNK_SIZE "imatrix.chunk_size"

typedef struct bg_importance_entry {
    char *name;
    float *values;           /* means of squares */
    size_t n, matrices;      /* values in all; matrices (experts) that they are of */
    float *counts;           /* tokens seen, of each matrix; 0: none, its values are 1 */
} bg_importance_entry;

struct bg_importance {
    char *path;              /* NULL: made in memory */
    char *dataset;           /* name of the text, NULL: unknown */
    uint32_t chunks, chunk_tokens;    /* 0: unknown */
    bg_importance_entry *entries;     /* sorted by name */
    size_t n, capacity;
};

bg_status bg_importance_alloc(bg_importance **i, const char *path, bg_error *err);
/* A new entry of zeros, behind the others; the name need not end in NUL. */
bg_status bg_importance_append(bg_importance *i, const char *name, size_t length, size_t n,
                               size_t matrices, bg_importance_entry **out, bg_error *err);
/* BG_ERR_INPUT when a name is there twice. */
bg_status bg_importance_sort(bg_importance *i, bg_error *err);

#endif

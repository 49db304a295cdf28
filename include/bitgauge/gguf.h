/* bitgauge/gguf.h: reading and writing GGUF files (the format of llama.cpp's models).
 *
 * Reads versions 2 and 3, little-endian; writes version 3. A file is untrusted: every length is
 * checked against the file's size before it is used, and errors name the file, the byte offset
 * and the remedy.
 */
#ifndef BITGAUGE_GGUF_H
#define BITGAUGE_GGUF_H

#include "bitgauge/format.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bg_gguf bg_gguf;

/* Metadata value types, GGUF's ids. */
typedef enum bg_gguf_type {
    BG_GGUF_U8, BG_GGUF_I8, BG_GGUF_U16, BG_GGUF_I16, BG_GGUF_U32, BG_GGUF_I32, BG_GGUF_F32,
    BG_GGUF_BOOL, BG_GGUF_STRING, BG_GGUF_ARRAY, BG_GGUF_U64, BG_GGUF_I64, BG_GGUF_F64,
} bg_gguf_type;

typedef struct bg_gguf_string { const char *data; size_t length; } bg_gguf_string; /* no NUL */

typedef struct bg_gguf_value {
    const char *key;            /* NUL-terminated copy, owned by the file */
    bg_gguf_type type;
    bg_gguf_type element_type;  /* arrays only */
    uint64_t count;             /* elements of an array, else 1 */
    const uint8_t *data;        /* the raw value(s) in the file, unaligned */
    size_t bytes;               /* raw bytes at data */
} bg_gguf_value;

typedef struct bg_tensor {
    const char *name;
    bg_format format;           /* BG_FORMAT_NONE when the type id is not one of ours */
    uint32_t type_id;           /* as in the file */
    uint32_t n_dims;            /* 1 to 4 */
    uint64_t ne[4];             /* ne[0] is the row length (k), ne[1] the rows; rest 1 */
    const void *data;           /* row-major blocks; alignment as in the file */
    size_t bytes;
} bg_tensor;

/* Maps the file. Everything returned by getters is borrowed and lives until close. BG_ERR_IO:
 * cannot be opened. BG_ERR_INPUT: not GGUF, truncated, hostile. BG_ERR_UNSUPPORTED: big-endian,
 * version 1. An unknown tensor type is not an error here (info shows it); the model room refuses
 * it. Of a model that is split into several files the first (NAME-00001-of-00003.gguf) opens all:
 * tensors are those of all, metadata the first's. */
bg_status bg_gguf_open(bg_gguf **g, const char *path, bg_error *err);
/* The same on memory that outlives it (tests, fuzzers). `name` appears in errors. */
bg_status bg_gguf_open_memory(bg_gguf **g, const void *data, size_t size, const char *name,
                              bg_error *err);
void bg_gguf_close(bg_gguf **g);

/* Drops the pages of `bytes` bytes of a tensor's data from memory, where the file is mapped: they
 * come back when they are read again. */
void bg_gguf_release(const bg_gguf *g, const void *data, size_t bytes);

const char *bg_gguf_path(const bg_gguf *g);
uint32_t bg_gguf_version(const bg_gguf *g);
size_t bg_gguf_file_bytes(const bg_gguf *g);            /* of all files together */
size_t bg_gguf_file_count(const bg_gguf *g);            /* 1, or the parts of a split model */
const char *bg_gguf_file_path(const bg_gguf *g, size_t i);
size_t bg_gguf_alignment(const bg_gguf *g);

size_t bg_gguf_value_count(const bg_gguf *g);
const bg_gguf_value *bg_gguf_value_at(const bg_gguf *g, size_t i);
const bg_gguf_value *bg_gguf_find(const bg_gguf *g, const char *key);   /* NULL if absent */

/* Typed look-ups, widening integers and floats. false: absent or of another type (output kept). */
bool bg_gguf_get_u64(const bg_gguf *g, const char *key, uint64_t *out);
bool bg_gguf_get_f64(const bg_gguf *g, const char *key, double *out);
bool bg_gguf_get_bool(const bg_gguf *g, const char *key, bool *out);
bool bg_gguf_get_string(const bg_gguf *g, const char *key, bg_gguf_string *out);

/* Walks an array of strings: start with *offset = 0. false at the end or when v is none. */
bool bg_gguf_next_string(const bg_gguf_value *v, size_t *offset, bg_gguf_string *out);
/* Element i of a numeric array or scalar as a double / signed integer. false: out of range. */
bool bg_gguf_element_f64(const bg_gguf_value *v, uint64_t i, double *out);
bool bg_gguf_element_i64(const bg_gguf_value *v, uint64_t i, int64_t *out);

size_t bg_gguf_tensor_count(const bg_gguf *g);
const bg_tensor *bg_gguf_tensor_at(const bg_gguf *g, size_t i);
const bg_tensor *bg_gguf_tensor_find(const bg_gguf *g, const char *name); /* NULL if absent */

const char *bg_gguf_type_name(bg_gguf_type t);          /* "u32" */
const char *bg_gguf_tensor_type_name(uint32_t type_id); /* "IQ2_XS", also for types not ours */

/* ---- writing ---------------------------------------------------------------------------- */

/* Collects metadata and tensor descriptions, then writes the data a piece at a time, so a file of
 * any size needs little memory. The file appears whole at finish. */
typedef struct bg_gguf_writer bg_gguf_writer;

/* Without a path nothing is written: for bg_gguf_writer_file_bytes alone. */
bg_status bg_gguf_writer_open(bg_gguf_writer **w, const char *path, bg_error *err);
/* Copies the metadata of g, in order, except the keys listed (NULL-terminated array or NULL). It
 * comes first: the functions below replace a key that is there, in its place. */
bg_status bg_gguf_writer_copy_metadata(bg_gguf_writer *w, const bg_gguf *g,
                                       const char *const *except, bg_error *err);
bg_status bg_gguf_writer_u32(bg_gguf_writer *w, const char *key, uint32_t value, bg_error *err);
bg_status bg_gguf_writer_f32(bg_gguf_writer *w, const char *key, float value, bg_error *err);
bg_status bg_gguf_writer_bool(bg_gguf_writer *w, const char *key, bool value, bg_error *err);
bg_status bg_gguf_writer_string(bg_gguf_writer *w, const char *key, const char *value,
                                bg_error *err);
/* A value in GGUF's own encoding (for arrays): `raw` as after the type id in a file. */
bg_status bg_gguf_writer_raw(bg_gguf_writer *w, const char *key, bg_gguf_type type,
                             const void *raw, size_t bytes, bg_error *err);
/* All keys that begin with `from` begin with `to` from now on. */
bg_status bg_gguf_writer_rename(bg_gguf_writer *w, const char *from, const char *to, bg_error *err);
/* Declares a tensor by name, type_id and dimensions; all are declared before the first data. */
bg_status bg_gguf_writer_tensor(bg_gguf_writer *w, const bg_tensor *t, bg_error *err);
/* What the file takes with what has been declared so far. */
size_t bg_gguf_writer_file_bytes(const bg_gguf_writer *w);
/* Ends the declarations and writes the header; the data may start it too. BG_ERR_IO: the disk has
 * no room for the whole file, as far as it can tell. */
bg_status bg_gguf_writer_start(bg_gguf_writer *w, bg_error *err);
/* Writes data of the tensor that was declared at this place, `at` bytes into it, once each. Once
 * started, from any thread. */
bg_status bg_gguf_writer_place(bg_gguf_writer *w, size_t tensor, size_t at, const void *data,
                               size_t bytes, bg_error *err);
/* Appends data of the declared tensors in their order, whole or in pieces; a piece does not reach
 * into the next tensor. BG_ERR_IO: the disk is full. */
bg_status bg_gguf_writer_data(bg_gguf_writer *w, const void *data, size_t bytes, bg_error *err);
/* Checks that every tensor got its data, then makes the file appear. Frees w either way. */
bg_status bg_gguf_writer_finish(bg_gguf_writer **w, bg_error *err);
void bg_gguf_writer_discard(bg_gguf_writer **w);
/* Instead of finish, for a writer without a path: a file `name` as it was declared, in memory and
 * without the tensors' data, which is NULL. Frees w either way. */
bg_status bg_gguf_writer_describe(bg_gguf_writer **w, const char *name, bg_gguf **g, bg_error *err);
/* The same as the whole file, its tensors' data zero: pages of memory to be unmapped. */
bg_status bg_gguf_writer_image(bg_gguf_writer **w, uint8_t **data, size_t *bytes, bg_error *err);

#ifdef __cplusplus
}
#endif
#endif

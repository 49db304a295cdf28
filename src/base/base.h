/* base.h: small things every room uses. Internal. */
#ifndef BG_BASE_INTERNAL_H
#define BG_BASE_INTERNAL_H

#include "bitgauge/base.h"

#include <stdbool.h>
#include <stdarg.h>
#include <stdio.h>

#define BG_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define BG_MIN(a, b) ((a) < (b) ? (a) : (b))
#define BG_MAX(a, b) ((a) > (b) ? (a) : (b))

static inline size_t bg_round_up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

/* Returns from the enclosing function with the status of a failed call. */
#define BG_TRY(call)                            \
    do {                                        \
        bg_status bg_try_ = (call);             \
        if (bg_try_ != BG_OK) return bg_try_;   \
    } while (0)

void bg_log(bg_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Memory. All sizes are checked for overflow; NULL when there is none. */
void *bg_alloc(size_t count, size_t size);           /* zeroed, 64-byte aligned */
void *bg_grow(void *p, size_t count, size_t size);   /* realloc of plain malloc memory, checked */
void bg_free(void *p);                               /* for bg_alloc and bg_grow; NULL is fine */
char *bg_strdup(const char *s);                      /* free with bg_free */
bg_status bg_fail_nomem(bg_error *err, const char *what, size_t bytes);
/* bg_fail at a place in a file: "model.gguf: byte 12", "recipe.csv: line 3". */
bg_status bg_fail_at(bg_error *err, bg_status status, const char *path, const char *unit, size_t n,
                     const char *format, va_list ap) __attribute__((format(printf, 6, 0)));

/* Large buffers (weights, KV caches): mmap'd, huge pages advised, freed with its size. */
void *bg_alloc_large(size_t bytes);
void bg_free_large(void *p, size_t bytes);
/* Bytes of them that there are, and the most there were since bg_large_peak_reset(). */
size_t bg_large_bytes(void);
size_t bg_large_peak(void);
void bg_large_peak_reset(void);

/* Clock: CLOCK_MONOTONIC in nanoseconds. */
uint64_t bg_clock_ns(void);

/* Random numbers: xoshiro256++ seeded by splitmix64. Same seed, same numbers, everywhere. */
typedef struct bg_rng { uint64_t s[4]; } bg_rng; /* struct tag is named in bitgauge/model.h */
void bg_rng_seed(bg_rng *rng, uint64_t seed);
uint64_t bg_rng_u64(bg_rng *rng);
uint64_t bg_rng_below(bg_rng *rng, uint64_t n);      /* uniform in [0, n), n > 0 */
double bg_rng_unit(bg_rng *rng);                     /* uniform in [0, 1) */
double bg_rng_normal(bg_rng *rng);                   /* standard normal */
void bg_rng_shuffle(bg_rng *rng, uint32_t *items, size_t n);

/* 64-bit FNV-1a, for cache keys; not for security. Start with h = BG_HASH_INIT. */
#define BG_HASH_INIT 0xcbf29ce484222325ULL
uint64_t bg_hash(uint64_t h, const void *data, size_t n);

/* "5MB", "1.5GiB", "4096" -> bytes. MB is 10^6, MiB is 2^20. false if it is none of these. */
bool bg_parse_size(const char *text, uint64_t *bytes);
/* 5169664 -> "5.17 MB". Returns buffer. */
const char *bg_format_size(char *buffer, size_t n, double bytes);
/* 83 -> "1:23". Returns buffer. */
const char *bg_format_duration(char *buffer, size_t n, double seconds);
/* Nearest of `names` by edit distance, or NULL when none is near: for "did you mean". */
const char *bg_nearest(const char *word, const char *const *names, size_t n);

/* Growing text. Zero-initialise; a failed append sets `failed` and later ones do nothing. */
typedef struct bg_text { char *data; size_t length, capacity; bool failed; } bg_text;
void bg_text_append(bg_text *t, const char *s, size_t n);
void bg_text_puts(bg_text *t, const char *s);
void bg_text_printf(bg_text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void bg_text_fini(bg_text *t);

#endif

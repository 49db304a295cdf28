/* jansson.h: stands in where jansson is missing, in builds with BG_REDUCED. Internal.
 *
 * No value can be made: everything that would return one returns NULL, reading and writing fail,
 * and NULL is taken everywhere, as jansson itself takes it when memory runs out. Programs refuse
 * --json there (BG_HAVE_JANSSON is 0). What a room uses beyond this is missed at compile time. */
#ifndef BG_ABSENT_JANSSON_H
#define BG_ABSENT_JANSSON_H

#include <stddef.h>
#include <stdio.h>

typedef struct json_t json_t;
typedef long long json_int_t;

typedef struct json_error_t { int line; char text[160]; } json_error_t;

enum { JSON_COMPACT, JSON_SORT_KEYS = 0, JSON_STRICT = 0, JSON_REJECT_DUPLICATES = 0 };
#define JSON_INDENT(n) 0
#define JSON_REAL_PRECISION(n) 0

static inline json_t *json_object(void) { return NULL; }
static inline json_t *json_array(void) { return NULL; }
static inline json_t *json_null(void) { return NULL; }
static inline json_t *json_true(void) { return NULL; }
static inline json_t *json_false(void) { return NULL; }
static inline json_t *json_boolean(int value) { return (void)value, NULL; }
static inline json_t *json_integer(json_int_t value) { return (void)value, NULL; }
static inline json_t *json_real(double value) { return (void)value, NULL; }
static inline json_t *json_string(const char *s) { return (void)s, NULL; }
static inline json_t *json_stringn(const char *s, size_t n) { return (void)s, (void)n, NULL; }
static inline json_t *json_pack(const char *format, ...) { return (void)format, NULL; }
static inline void json_decref(json_t *j) { (void)j; }

static inline json_t *json_loads(const char *s, size_t flags, void *error)
{
    return (void)s, (void)flags, (void)error, NULL;
}
#define json_array_foreach(array, i, one) \
    for ((i) = 0; (i) < json_array_size(array) && ((one) = json_array_get(array, i)); (i)++)

static inline size_t json_array_size(const json_t *j) { return (void)j, 0; }
static inline json_t *json_array_get(const json_t *j, size_t i) { return (void)j, (void)i, NULL; }
static inline int json_array_append(json_t *j, json_t *one) { return (void)j, (void)one, -1; }
static inline int json_array_append_new(json_t *j, json_t *one) { return (void)j, (void)one, -1; }
static inline json_t *json_object_get(const json_t *j, const char *k)
{
    return (void)j, (void)k, NULL;
}
static inline int json_object_set(json_t *j, const char *k, json_t *one)
{
    return (void)j, (void)k, (void)one, -1;
}
static inline int json_object_set_new(json_t *j, const char *k, json_t *one)
{
    return json_object_set(j, k, one);
}
static inline int json_equal(const json_t *a, const json_t *b) { return (void)a, (void)b, 0; }
static inline const char *json_string_value(const json_t *j) { return (void)j, NULL; }
static inline json_int_t json_integer_value(const json_t *j) { return (void)j, 0; }
static inline double json_number_value(const json_t *j) { return (void)j, 0; }
static inline int json_integer_set(json_t *j, json_int_t value) { return (void)j, (void)value, -1; }

static inline json_t *json_load_file(const char *path, size_t flags, json_error_t *e)
{
    return (void)path, (void)flags, e->line = 0, e->text[0] = 0, NULL;
}
static inline int json_unpack_ex(json_t *j, json_error_t *e, size_t flags, const char *format, ...)
{
    return (void)j, (void)e, (void)flags, (void)format, -1;
}

static inline int json_dumpf(const json_t *j, FILE *out, size_t flags)
{
    return (void)j, (void)out, (void)flags, -1;
}
static inline char *json_dumps(const json_t *j, size_t flags) { return (void)j, (void)flags, NULL; }

#endif

/* bitgauge/base.h: status and error reporting shared by the whole API.
 *
 * A function that can fail returns bg_status and takes a `bg_error *` last. The
 * pointer may be NULL. On success the error is left untouched; on failure every
 * output argument is left unset or NULL. The library never prints, exits or aborts.
 */
#ifndef BITGAUGE_BASE_H
#define BITGAUGE_BASE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum bg_status {
    BG_OK = 0,
    BG_ERR_INPUT,       /* a file, option or argument is wrong: exit 2 */
    BG_ERR_IO,          /* the operating system refused to read or write: exit 2 */
    BG_ERR_NOMEM,       /* not enough memory: exit 2 */
    BG_ERR_UNSUPPORTED, /* valid, but nothing here can handle it: exit 2 */
    BG_ERR_INFEASIBLE,  /* the question was understood and the answer is no: exit 1 */
    BG_ERR_INTERRUPTED, /* the user asked to stop: exit 2 */
} bg_status;

typedef struct bg_error {
    bg_status status;
    char where[256];    /* file, and the place in it: "model.gguf: tensor 12" */
    char message[512];  /* what was wrong and what to do about it */
} bg_error;

/* Fills *err (when not NULL) and returns `status`, so that a caller can write
 * `return bg_fail(err, BG_ERR_INPUT, path, "...", ...)`. `where` may be NULL. */
bg_status bg_fail(bg_error *err, bg_status status, const char *where, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Frees text that a function of this API made. NULL is fine. */
void bg_free_text(char *text);

/* Version of the library, "0.1.0". */
const char *bg_version(void);

typedef enum bg_log_level { BG_LOG_ERROR, BG_LOG_WARN, BG_LOG_INFO, BG_LOG_DEBUG } bg_log_level;

/* Receives the library's messages. Without a sink they are dropped. Called from any thread. */
typedef void bg_log_fn(void *user, bg_log_level level, const char *message);
void bg_log_set_sink(bg_log_fn *sink, void *user);

#ifdef __cplusplus
}
#endif
#endif

#include "base/base.h"

#include <string.h>

#ifndef BG_VERSION
#define BG_VERSION "0.1.0"
#endif

static bg_log_fn *log_sink;
static void *log_user;

const char *bg_version(void) { return BG_VERSION; }

bg_status bg_fail(bg_error *err, bg_status status, const char *where, const char *format, ...)
{
    if (err) {
        va_list ap;
        err->status = status;
        snprintf(err->where, sizeof err->where, "%s", where ? where : "");
        va_start(ap, format);
        vsnprintf(err->message, sizeof err->message, format, ap);
        va_end(ap);
    }
    return status;
}

bg_status bg_fail_at(bg_error *err, bg_status status, const char *path, const char *unit, size_t n,
                     const char *format, va_list ap)
{
    if (!err) return status;
    err->status = status;
    snprintf(err->where, sizeof err->where, "%.200s: %s %zu", path, unit, n);
    vsnprintf(err->message, sizeof err->message, format, ap);
    return status;
}

bg_status bg_fail_nomem(bg_error *err, const char *what, size_t bytes)
{
    char size[32];
    return bg_fail(err, BG_ERR_NOMEM, NULL,
                   "not enough memory for %s (%s): close other programs or take a smaller model, "
                   "context or batch", what, bg_format_size(size, sizeof size, (double)bytes));
}

void bg_log_set_sink(bg_log_fn *sink, void *user)
{
    log_sink = sink;
    log_user = user;
}

void bg_log(bg_log_level level, const char *format, ...)
{
    char message[1024];
    va_list ap;
    if (!log_sink) return;
    va_start(ap, format);
    vsnprintf(message, sizeof message, format, ap);
    va_end(ap);
    log_sink(log_user, level, message);
}

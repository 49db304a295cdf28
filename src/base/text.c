#include "base/base.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

uint64_t bg_clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

bool bg_parse_size(const char *text, uint64_t *bytes)
{
    static const struct { const char *suffix; double factor; } units[] = {
        {"", 1}, {"B", 1}, {"k", 1e3}, {"kB", 1e3}, {"KiB", 1024}, {"M", 1e6}, {"MB", 1e6},
        {"MiB", 1048576}, {"G", 1e9}, {"GB", 1e9}, {"GiB", 1073741824}, {"T", 1e12},
        {"TB", 1e12}, {"TiB", 1099511627776},
    };
    char *end;
    double value;
    if (!isdigit((unsigned char)text[0]) && text[0] != '.') return false;
    errno = 0;
    value = strtod(text, &end);
    if (end == text || errno || !isfinite(value)) return false;
    while (*end == ' ') end++;
    for (size_t i = 0; i < BG_COUNT(units); i++) {
        if (strcasecmp(end, units[i].suffix) != 0) continue;
        value *= units[i].factor;
        if (value >= 0x1p63) return false;
        *bytes = (uint64_t)value;
        return true;
    }
    return false;
}

const char *bg_format_size(char *buffer, size_t n, double bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    size_t u = 0;
    while (bytes >= 999.5 && u + 1 < BG_COUNT(units)) {
        bytes /= 1000;
        u++;
    }
    snprintf(buffer, n, u == 0 ? "%.0f %s" : bytes < 10 ? "%.2f %s" : bytes < 100 ? "%.1f %s"
             : "%.0f %s", bytes, units[u]);
    return buffer;
}

const char *bg_format_duration(char *buffer, size_t n, double seconds)
{
    long s = seconds > 0 ? lround(seconds) : 0;
    if (s >= 3600) snprintf(buffer, n, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else snprintf(buffer, n, "%ld:%02ld", s / 60, s % 60);
    return buffer;
}

/* Levenshtein distance without regard to case, of words up to 63 letters. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t row[64], la = strlen(a), lb = strlen(b);
    if (la > 63 || lb > 63) return SIZE_MAX;
    for (size_t j = 0; j <= lb; j++) row[j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            bool same = tolower((unsigned char)a[i - 1]) == tolower((unsigned char)b[j - 1]);
            size_t cost = diagonal + (same ? 0 : 1);
            diagonal = row[j];
            cost = BG_MIN(cost, row[j] + 1);
            row[j] = BG_MIN(cost, row[j - 1] + 1);
        }
    }
    return row[lb];
}

const char *bg_nearest(const char *word, const char *const *names, size_t n)
{
    const char *best = NULL;
    size_t best_distance = strlen(word) / 3 + 2;
    for (size_t i = 0; i < n; i++) {
        size_t d = edit_distance(word, names[i]);
        if (d < best_distance) {
            best = names[i];
            best_distance = d;
        }
    }
    return best;
}

void bg_text_append(bg_text *t, const char *s, size_t n)
{
    if (t->failed) return;
    if (n >= t->capacity - t->length) {
        size_t capacity = BG_MAX(t->capacity * 2, t->length + n + 64);
        char *data = bg_grow(t->data, capacity, 1);
        if (!data) {
            t->failed = true;
            return;
        }
        t->data = data;
        t->capacity = capacity;
    }
    memcpy(t->data + t->length, s, n);
    t->length += n;
    t->data[t->length] = 0;
}

void bg_text_puts(bg_text *t, const char *s) { bg_text_append(t, s, strlen(s)); }

void bg_text_printf(bg_text *t, const char *format, ...)
{
    char small[512], *big;
    va_list ap;
    int n;
    va_start(ap, format);
    n = vsnprintf(small, sizeof small, format, ap);
    va_end(ap);
    if (n < 0) {
        t->failed = true;
    } else if ((size_t)n < sizeof small) {
        bg_text_append(t, small, (size_t)n);
    } else if (!(big = bg_grow(NULL, (size_t)n + 1, 1))) {
        t->failed = true;
    } else {
        va_start(ap, format);
        vsnprintf(big, (size_t)n + 1, format, ap);
        va_end(ap);
        bg_text_append(t, big, (size_t)n);
        bg_free(big);
    }
}

void bg_text_fini(bg_text *t)
{
    bg_free(t->data);
    memset(t, 0, sizeof *t);
}

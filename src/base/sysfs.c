#include "base/sysfs.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool read_text(char *buffer, size_t n, const char *root, const char *format, va_list ap)
{
    char path[PATH_MAX];
    size_t used = 0;
    int length = snprintf(path, sizeof path, "%s/", root), fd;
    if (length < 0 || (size_t)length >= sizeof path) return false;
    vsnprintf(path + length, sizeof path - (size_t)length, format, ap);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    while (used + 1 < n) {
        ssize_t got = read(fd, buffer + used, n - 1 - used);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            int e = errno;
            close(fd);
            errno = e;
            return false;
        }
        if (got == 0) break;
        used += (size_t)got;
    }
    close(fd);
    while (used && isspace((unsigned char)buffer[used - 1])) used--;
    buffer[used] = 0;
    return true;
}

bool bg_sysfs_text(char *buffer, size_t n, const char *root, const char *format, ...)
{
    va_list ap;
    bool ok;
    va_start(ap, format);
    ok = read_text(buffer, n, root, format, ap);
    va_end(ap);
    return ok;
}

static bool parse_u64(const char *text, uint64_t *value)
{
    char *end;
    if (!isdigit((unsigned char)text[0])) return false;
    errno = 0;
    *value = strtoull(text, &end, 10);
    return errno == 0;
}

bool bg_sysfs_u64(uint64_t *value, const char *root, const char *format, ...)
{
    char text[64];
    va_list ap;
    bool ok;
    va_start(ap, format);
    ok = read_text(text, sizeof text, root, format, ap);
    va_end(ap);
    if (!ok) return false;
    errno = 0;
    return parse_u64(text, value);
}

bool bg_sysfs_field(const char *text, const char *key, uint64_t *value)
{
    size_t n = strlen(key);
    for (const char *line = text; line; line = strchr(line, '\n'), line += line != NULL) {
        const char *p = line + n;
        if (strncmp(line, key, n) != 0 || !(isspace((unsigned char)*p) || *p == ':')) continue;
        while (isspace((unsigned char)*p) || *p == ':') p++;
        return parse_u64(p, value);
    }
    return false;
}

static int by_name(const void *a, const void *b)
{
    return strverscmp(*(char *const *)a, *(char *const *)b);
}

size_t bg_sysfs_list(char ***names, const char *root, const char *path, const char *prefix)
{
    char folder[PATH_MAX];
    size_t n = 0, bytes = 0;
    struct dirent *e;
    char *text;
    DIR *d;
    *names = NULL;
    snprintf(folder, sizeof folder, "%s/%s", root, path);
    d = opendir(folder);
    if (!d) return 0;
    while ((e = readdir(d)) != NULL) {
        if (e->d_name[0] == '.' || strncmp(e->d_name, prefix, strlen(prefix)) != 0) continue;
        n++;
        bytes += strlen(e->d_name) + 1;
    }
    *names = n ? bg_alloc(1, n * sizeof **names + bytes) : NULL;
    if (*names) {
        size_t found = 0, left = bytes;
        text = (char *)(*names + n);
        rewinddir(d);
        /* The folder may have changed in between: never more than was counted. */
        while (found < n && (e = readdir(d)) != NULL) {
            size_t size = strlen(e->d_name) + 1;
            if (e->d_name[0] == '.' || strncmp(e->d_name, prefix, strlen(prefix)) != 0) continue;
            if (size > left) break;
            (*names)[found++] = memcpy(text, e->d_name, size);
            text += size;
            left -= size;
        }
        qsort(*names, found, sizeof **names, by_name);
        n = found;
    } else {
        n = 0;
    }
    closedir(d);
    return n;
}

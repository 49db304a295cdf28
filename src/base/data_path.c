#include "base/file.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Where the installed tree or the source tree keeps what `relative` names. */
static const struct { const char *prefix, *in_source; } data_roots[] = {
    {"models/", "bench/models/"},
    {"templates/", "reports/templates/"},
    {"profiles/", "profiles/"},
};

static char *found(const char *dir, const char *name)
{
    char *p = bg_path_join(dir, name);
    if (p && bg_file_exists(p)) return p;
    bg_free(p);
    return NULL;
}

/* Walks up from `start` to the source tree and looks for the file there. */
static char *find_in_source(const char *start, const char *relative)
{
    char dir[PATH_MAX], name[PATH_MAX];
    snprintf(dir, sizeof dir, "%s", start);
    snprintf(name, sizeof name, "%s", relative);
    for (size_t i = 0; i < BG_COUNT(data_roots); i++) {
        size_t n = strlen(data_roots[i].prefix);
        if (strncmp(relative, data_roots[i].prefix, n) == 0)
            snprintf(name, sizeof name, "%s%s", data_roots[i].in_source, relative + n);
    }
    for (int up = 0; up < 6; up++) {
        char *slash = strrchr(dir, '/'), *p, *marker;
        if (!slash) break;
        *slash = 0;
        marker = found(dir, "CMakePresets.json");
        p = marker ? found(dir, name) : NULL;
        bg_free(marker);
        if (p) return p;
    }
    return NULL;
}

char *bg_data_path(const char *relative)
{
    char program[PATH_MAX], dir[PATH_MAX + 64], *p;
    const char *environment = getenv("BITGAUGE_DATA");
    ssize_t n;
    if (environment && (p = found(environment, relative))) return p;
    n = readlink("/proc/self/exe", program, sizeof program - 1);
    if (n <= 0) return NULL;
    program[n] = 0;
    snprintf(dir, sizeof dir, "%s", program);
    *strrchr(dir, '/') = 0;
    strcat(dir, "/../share/bitgauge");
    if ((p = found(dir, relative))) return p;
    return find_in_source(program, relative);
}

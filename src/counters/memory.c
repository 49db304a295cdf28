#include "bitgauge/counters.h"

#include "base/sysfs.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static bool status_field(const char *key, uint64_t *bytes)
{
    char text[4096];
    if (!bg_sysfs_text(text, sizeof text, "/proc", "self/status") ||
        !bg_sysfs_field(text, key, bytes))
        return false;
    *bytes <<= 10; /* the file counts KiB */
    return true;
}

uint64_t bg_peak_rss(void)
{
    struct rusage usage;
    uint64_t bytes;
    if (status_field("VmHWM", &bytes)) return bytes;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (uint64_t)usage.ru_maxrss << 10 : 0;
}

bool bg_peak_rss_reset(void)
{
    int f = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    bool done = f >= 0 && write(f, "5", 1) == 1;
    if (f >= 0) close(f);
    return done;
}

uint64_t bg_current_rss(void)
{
    uint64_t bytes;
    return status_field("VmRSS", &bytes) ? bytes : 0;
}

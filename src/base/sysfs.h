/* sysfs.h: small files of /sys and /proc below a root that tests can move. Internal. */
#ifndef BG_SYSFS_H
#define BG_SYSFS_H

#include "base/base.h"

/* The first n - 1 bytes of root/path into buffer, trailing white space removed. false when the
 * file cannot be read; errno says why. */
bool bg_sysfs_text(char *buffer, size_t n, const char *root, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The unsigned number that root/path begins with. false when there is none, errno 0 then. */
bool bg_sysfs_u64(uint64_t *value, const char *root, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The number after `key` at the start of a line ("MemTotal:  16 kB", "nr_throttled 3"). */
bool bg_sysfs_field(const char *text, const char *key, uint64_t *value);

/* Names in the folder root/path that begin with `prefix`, sorted by name, numbers in natural
 * order. Returns how many; *names is one block to free with bg_free, NULL when there are none. */
size_t bg_sysfs_list(char ***names, const char *root, const char *path, const char *prefix);

#endif

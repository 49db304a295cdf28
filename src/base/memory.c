#include "base/base.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void *bg_alloc(size_t count, size_t size)
{
    size_t bytes, padded;
    void *p;
    if (__builtin_mul_overflow(count, size, &bytes)) return NULL;
    if (__builtin_add_overflow(bytes ? bytes : 1, (size_t)63, &padded)) return NULL;
    p = aligned_alloc(64, padded & ~(size_t)63);
    if (p) memset(p, 0, bytes);
    return p;
}

void *bg_grow(void *p, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) return NULL;
    return realloc(p, bytes ? bytes : 1);
}

void bg_free(void *p) { free(p); }

void bg_free_text(char *text) { free(text); }

char *bg_strdup(const char *s) { return strdup(s); }

static _Atomic size_t large, most_large;

void *bg_alloc_large(size_t bytes)
{
    size_t now, most;
    void *p;
    if (!bytes) bytes = 1;
    p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return NULL;
    madvise(p, bytes, MADV_HUGEPAGE);
    now = atomic_fetch_add(&large, bytes) + bytes;
    most = atomic_load(&most_large);
    while (now > most && !atomic_compare_exchange_weak(&most_large, &most, now)) {}
    return p;
}

void bg_free_large(void *p, size_t bytes)
{
    if (!p) return;
    munmap(p, bytes ? bytes : 1);
    atomic_fetch_sub(&large, bytes ? bytes : 1);
}

size_t bg_large_bytes(void) { return atomic_load(&large); }
size_t bg_large_peak(void) { return atomic_load(&most_large); }
void bg_large_peak_reset(void) { atomic_store(&most_large, atomic_load(&large)); }

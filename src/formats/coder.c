/* coder.c: which build of the heavy loops runs. */
#include "formats/coder.h"

#include <stdatomic.h>

static bool always(void) { return true; }

#ifdef __x86_64__
static bool have_avx2(void) { return __builtin_cpu_supports("avx2"); }

static bool have_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

static const bg_coder coders[] = {
    {"any", always, bg_search_tile_any, bg_decode_halves_any},
#ifdef __x86_64__
    {"avx2", have_avx2, bg_search_tile_avx2, bg_decode_halves_avx2},
    {"avx512", have_avx512, bg_search_tile_avx512, bg_decode_halves_avx512},
#endif
};

static const bg_coder *_Atomic coder = &coders[0];

const bg_coder *bg_coder_at(size_t i) { return i < BG_COUNT(coders) ? &coders[i] : NULL; }

const bg_coder *bg_coder_now(void) { return atomic_load(&coder); }

void bg_coder_use(const bg_coder *c) { atomic_store(&coder, c); }

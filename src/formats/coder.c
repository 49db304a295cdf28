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

#define CODER(name, present)                                                                      \
    {#name, present, bg_search_tile_##name, bg_decode_halves_##name, bg_encode_halves_##name,      \
     bg_encode_q8_0_##name, bg_row_moments_##name},
static const bg_coder coders[] = {
    CODER(any, always)
#ifdef __x86_64__
    CODER(avx2, have_avx2)
    CODER(avx512, have_avx512)
#endif
};
#undef CODER

static const bg_coder *_Atomic coder = &coders[0];

const bg_coder *bg_coder_at(size_t i) { return i < BG_COUNT(coders) ? &coders[i] : NULL; }

const bg_coder *bg_coder_now(void) { return atomic_load(&coder); }

void bg_coder_use(const bg_coder *c) { atomic_store(&coder, c); }

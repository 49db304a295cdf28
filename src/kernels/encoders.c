/* Which build of the loops of encoding works here: advertised by the CPU, and then tried. */
#include "formats/coder.h"
#include "kernels/kernels.h"

#include <pthread.h>

/* Blocks of both shapes of grid, and the uneven levels. */
static const bg_format tried[] = {BG_FORMAT_Q4_K, BG_FORMAT_Q6_K, BG_FORMAT_IQ4_XS, BG_FORMAT_Q5_1};

static bool gives_the_same(const void *user)
{
    enum { N = 2 * BG_FORMAT_MAX_BLOCK };
    float x[N], decoded[2][256];
    uint16_t halves[256];
    uint8_t expected[2 * BG_FORMAT_MAX_BYTES], got[2 * BG_FORMAT_MAX_BYTES];
    bg_rng rng;
    bg_rng_seed(&rng, 1);
    for (int i = 0; i < N; i++) x[i] = (float)bg_rng_normal(&rng);
    for (int i = 0; i < 256; i++) halves[i] = (uint16_t)(i * 0x7b);
    bg_coder_at(0)->decode_halves(halves, decoded[0], 256);
    ((const bg_coder *)user)->decode_halves(halves, decoded[1], 256);
    if (memcmp(decoded[0], decoded[1], sizeof decoded[0]) != 0) return false;
    for (size_t k = 0; k < BG_COUNT(tried); k++) {
        const bg_format_info *f = bg_format_get(tried[k]);
        bg_coder_use(bg_coder_at(0));
        bg_format_encode(f, x, NULL, expected, N);
        bg_coder_use(user);
        bg_format_encode(f, x, NULL, got, N);
        if (memcmp(expected, got, bg_format_row_bytes(f, N)) != 0) return false;
    }
    return true;
}

static void choose(void)
{
    const bg_coder *best = bg_coder_at(0), *s;
    const char *reason;
    for (size_t i = 1; (s = bg_coder_at(i)); i++)
        if (s->present() && bg_isa_trial(gives_the_same, s, &reason)) best = s;
    bg_coder_use(best);
}

void bg_encoders_choose(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, choose);
}

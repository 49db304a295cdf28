/* What tells one version of the encoders from another. */
#include "base/base.h"
#include "bitgauge/format.h"

enum { ROWS = 4, WEIGHTS = 2 * BG_FORMAT_MAX_BLOCK };

uint64_t bg_format_fingerprint(void)
{
    float row[WEIGHTS], importance[WEIGHTS];
    uint8_t blocks[WEIGHTS * sizeof(float) + BG_FORMAT_MAX_BYTES];
    const bg_format_info *f;
    uint64_t h = BG_HASH_INIT;
    bg_rng rng;
    bg_rng_seed(&rng, 1);
    for (int r = 0; r < ROWS; r++) {
        for (int i = 0; i < WEIGHTS; i++) {
            row[i] = (float)(bg_rng_unit(&rng) + bg_rng_unit(&rng) - 1);
            importance[i] = (float)bg_rng_unit(&rng);
        }
        for (size_t i = 0; (f = bg_format_at(i)); i++) {
            if (!f->level) continue; /* it is for activations */
            bg_format_encode(f, row, NULL, blocks, WEIGHTS);
            h = bg_hash(h, blocks, bg_format_row_bytes(f, WEIGHTS));
            bg_format_encode(f, row, importance, blocks, WEIGHTS);
            h = bg_hash(h, blocks, bg_format_row_bytes(f, WEIGHTS));
        }
    }
    return h;
}

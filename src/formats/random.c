/* Random blocks: a few thousand that the encoder made, repeated in random order. */
#include "base/team.h"
#include "formats/pack.h"

#include <string.h>

enum {
    WEIGHTS = 1 << 16,          /* encoded once */
    CHUNK = 1 << 14,            /* bytes that are repeated together */
    PIECE = 1 << 20,            /* bytes that one seed decides */
};

struct bg_random_blocks {
    size_t unit, units;         /* bytes that stay together: a block, or 16 that are packed */
    uint8_t *data;
};

bg_status bg_random_blocks_new(bg_random_blocks **out, const bg_format_info *f, bool packed,
                               bg_error *err)
{
    bg_random_blocks *r = bg_alloc(1, sizeof *r);
    float *weights = bg_alloc(WEIGHTS, sizeof *weights);
    bg_rng rng;
    *out = NULL;
    bg_status status = BG_OK;
    size_t bytes = bg_format_row_bytes(f, WEIGHTS);
    if (r) r->unit = packed ? BG_PANEL_ROWS * bg_packed_block_bytes(f) : f->block_bytes;
    if (r) r->units = bytes / r->unit;
    if (r) r->data = bg_alloc(bytes, 1);
    if (!weights || !r || !r->data) {
        status = bg_fail_nomem(err, "random weights", WEIGHTS * sizeof *weights);
        goto cleanup;
    }
    bg_rng_seed(&rng, (uint64_t)f->format);
    for (size_t i = 0; i < WEIGHTS; i++)
        weights[i] = (float)(BG_RANDOM_SIGMA * bg_rng_normal(&rng));
    bg_format_encode(f, weights, NULL, r->data, WEIGHTS);
    /* Blocks that lie side by side in a panel may do so anywhere along it. */
    if (packed)
        status = bg_pack_matrix(f, r->data, r->data, BG_PANEL_ROWS, WEIGHTS / BG_PANEL_ROWS, NULL,
                                err);
cleanup:
    bg_free(weights);
    if (status != BG_OK) bg_random_blocks_free(&r);
    *out = r;
    return status;
}

void bg_random_blocks_free(bg_random_blocks **r)
{
    if (!*r) return;
    bg_free((*r)->data);
    bg_free(*r);
    *r = NULL;
}

typedef struct job {
    const bg_random_blocks *blocks;
    uint8_t *out;
    size_t bytes;
    uint64_t seed;
} job;

static void fill_piece(const job *j, size_t at, size_t piece)
{
    const bg_random_blocks *r = j->blocks;
    size_t end = BG_MIN(at + piece, j->bytes);
    size_t most = BG_MIN(BG_MAX(CHUNK / r->unit, (size_t)1), r->units / 2);
    bg_rng rng;
    bg_rng_seed(&rng, bg_hash(j->seed ^ BG_HASH_INIT, &at, sizeof at));
    while (at < end) {
        size_t units = BG_MIN(most, (end - at) / r->unit);
        size_t from = (size_t)bg_rng_below(&rng, r->units - units + 1);
        memcpy(j->out + at, r->data + from * r->unit, units * r->unit);
        at += units * r->unit;
    }
}

static void fill_share(void *user, int member, int size)
{
    const job *j = user;
    size_t piece = PIECE / j->blocks->unit * j->blocks->unit, begin, end;
    bg_team_share((j->bytes + piece - 1) / piece, 1, member, size, &begin, &end);
    for (size_t i = begin; i < end; i++) fill_piece(j, i * piece, piece);
}

void bg_random_blocks_fill(const bg_random_blocks *r, void *out, size_t bytes, uint64_t seed,
                           struct bg_team *team)
{
    job j = {r, out, bytes, seed};
    bg_team_run(team, fill_share, &j);
}

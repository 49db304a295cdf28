/* Random blocks: valid, normal, and the same in rows as in panels. */
#include "test.h"

#include "base/base.h"
#include "base/team.h"
#include "formats/pack.h"

#include <math.h>

enum { ROWS = 32, K = 4096 };

static void check_weights(const bg_format_info *f, const uint8_t *data, bool packed)
{
    size_t row_bytes = bg_format_row_bytes(f, K);
    uint8_t *row = bg_alloc(row_bytes, 1);
    float *weights = bg_alloc(K, sizeof *weights);
    double sum = 0, squares = 0;
    for (size_t r = 0; r < ROWS; r++) {
        if (packed) bg_unpack_row(f, data, r, K, row);
        else memcpy(row, data + r * row_bytes, row_bytes);
        bg_format_decode(f, row, weights, K);
        for (size_t i = 0; i < K; i++) {
            assert_true(isfinite(weights[i]) && fabsf(weights[i]) < 0.2f);
            sum += (double)weights[i];
            squares += (double)weights[i] * (double)weights[i];
        }
    }
    sum /= ROWS * K;
    squares /= ROWS * K;
    if (fabs(sum) > 0.1 * BG_RANDOM_SIGMA) fail_msg("%s: mean %g", f->name, sum);
    /* Ternary blocks only know the sign and one size. */
    if (fabs(sqrt(squares) / BG_RANDOM_SIGMA - 1) > (f->level == 1 || f->level == 2 ? 0.35 : 0.1))
        fail_msg("%s: deviation %g", f->name, sqrt(squares));
    bg_free(row);
    bg_free(weights);
}

static void blocks_are_normal(void **state)
{
    bg_team *team;
    bg_error err;
    (void)state;
    assert_ok(bg_team_open(&team, 3, NULL, NULL, &err), &err);
    for (size_t i = 0; bg_format_at(i); i++) {
        const bg_format_info *f = bg_format_at(i);
        size_t bytes = bg_format_row_bytes(f, K) * ROWS;
        uint8_t *data, *again;
        if (!f->level) continue;
        data = bg_alloc(bytes, 1);
        again = bg_alloc(bytes, 1);
        for (int packed = 0; packed < 2; packed++) {
            bg_random_blocks *r;
            assert_ok(bg_random_blocks_new(&r, f, packed, &err), &err);
            bg_random_blocks_fill(r, data, bytes, 7, team);
            check_weights(f, data, packed);
            bg_random_blocks_fill(r, again, bytes, 7, NULL);
            assert_memory_equal(data, again, bytes);
            bg_random_blocks_fill(r, again, bytes, 8, NULL);
            assert_memory_not_equal(data, again, bytes);
            bg_random_blocks_free(&r);
        }
        bg_free(data);
        bg_free(again);
    }
    bg_team_close(&team);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(blocks_are_normal)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

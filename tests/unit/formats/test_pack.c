/* The packed layout holds the same bits as the rows, in the order that format.h draws. */
#include "test.h"

#include "base/base.h"
#include "base/team.h"
#include "bitgauge/format.h"

#include <string.h>

enum { MAX_ROWS = 37, MAX_BYTES = 3 * 256 * 4 };

static void check_round_trip(const bg_format_info *f, size_t rows, size_t k, bg_team *team)
{
    size_t row_bytes = bg_format_row_bytes(f, k), packed = bg_packed_bytes(f, rows, k);
    uint8_t *src = bg_alloc(rows, row_bytes), *apart = bg_alloc(1, packed);
    uint8_t *in_place = bg_alloc(1, BG_MAX(packed, rows * row_bytes)), row[MAX_BYTES];
    bg_rng rng;
    bg_error err = {0};
    bg_rng_seed(&rng, rows * 1000 + k);
    for (size_t i = 0; i < rows * row_bytes; i++) src[i] = (uint8_t)bg_rng_u64(&rng);
    memcpy(in_place, src, rows * row_bytes);
    assert_true(packed >= (rows + BG_PANEL_ROWS - 1) / BG_PANEL_ROWS * BG_PANEL_ROWS * row_bytes);
    assert_int_equal(bg_panel_bytes(f, k) % 32, 0);
    assert_ok(bg_pack_matrix(f, src, apart, rows, k, NULL, &err), &err);
    assert_ok(bg_pack_matrix(f, in_place, in_place, rows, k, team, &err), &err);
    assert_memory_equal(apart, in_place, packed);
    for (size_t r = 0; r < rows; r++) {
        bg_unpack_row(f, apart, r, k, row);
        assert_memory_equal(row, src + r * row_bytes, row_bytes);
    }
    bg_free(src);
    bg_free(apart);
    bg_free(in_place);
}

static void test_round_trip(void **state)
{
    static const size_t rows[] = {1, 15, 16, 17, 32, MAX_ROWS};
    bg_team *team;
    bg_error err = {0};
    (void)state;
    assert_ok(bg_team_open(&team, 3, NULL, NULL, &err), &err);
    for (size_t i = 0; bg_format_at(i); i++) {
        const bg_format_info *f = bg_format_at(i);
        if (f->level == 0) {
            assert_int_equal(bg_panel_bytes(f, 256), 0);
            continue;
        }
        for (size_t j = 0; j < BG_COUNT(rows); j++) {
            check_round_trip(f, rows[j], f->block_weights, team);
            check_round_trip(f, rows[j], 3 * (size_t)f->block_weights, team);
        }
    }
    bg_team_close(&team);
}

/* Lanes are rows: in a vector of 16 words each bit field holds four neighbouring weights. */
static void test_quads(void **state)
{
    const bg_format_info *f = bg_format_get(BG_FORMAT_Q5_0);
    uint8_t rows[16][22] = {{0}}, packed[16 * 22];
    bg_error err = {0};
    uint32_t fifth, nibbles;
    (void)state;
    rows[3][0] = 0x34;
    rows[3][1] = 0x12;        /* d */
    rows[3][2] = 0x20;        /* fifth bit of weight 5 */
    rows[3][6 + 5] = 0xa7;    /* low bits of weights 5 and 21 */
    assert_ok(bg_pack_matrix(f, rows, packed, 16, 32, NULL, &err), &err);
    assert_int_equal(packed[2 * 3] | packed[2 * 3 + 1] << 8, 0x1234);
    memcpy(&fifth, packed + 32 + 4 * 3, 4);
    memcpy(&nibbles, packed + 32 + 64 + 64 + 4 * 3, 4); /* word 1: weights 4..7 and 20..23 */
    assert_int_equal(fifth >> 1 & 0x01010101, 0x00000100);
    assert_int_equal(nibbles & 0x0f0f0f0f, 0x00000700);
    assert_int_equal(nibbles >> 4 & 0x0f0f0f0f, 0x00000a00);
}

static void test_overflow(void **state)
{
    const bg_format_info *f = bg_format_get(BG_FORMAT_Q4_K);
    (void)state;
    assert_int_equal(bg_panel_bytes(f, 255), 0);
    assert_int_equal(bg_panel_bytes(f, SIZE_MAX / 2 - SIZE_MAX / 2 % 256), 0);
    assert_int_equal(bg_packed_bytes(f, SIZE_MAX, 256), 0);
    assert_int_equal(bg_packed_bytes(f, 17, 512), 2 * 16 * 288);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_quads),
        cmocka_unit_test(test_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

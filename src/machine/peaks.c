/* Loops of independent multiply-adds that stay in registers: enough accumulators to hide the
 * latency, and an operand the compiler cannot see through, or it would lift the work out. */
#include "machine/isa.h"

#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#define OPAQUE(v) __asm__ volatile("" : "+x"(v))
#define TARGET(isa) __attribute__((target(isa)))
#define BASE "sse2"
#elif defined(__aarch64__)
#include <arm_neon.h>
#include <sys/auxv.h>
#define OPAQUE(v) __asm__ volatile("" : "+w"(v))
#define TARGET(isa) __attribute__((target(isa)))
#define BASE "+simd"
#else
#define OPAQUE(v) __asm__ volatile("" : "+m"(v))
#define TARGET(isa)
#define BASE
#endif

enum { ACCUMULATORS = 12 };
#define EACH(M, S) M(0, S) M(1, S) M(2, S) M(3, S) M(4, S) M(5, S) M(6, S) M(7, S) M(8, S) \
    M(9, S) M(10, S) M(11, S)
#define SET(i, unused) vec a##i = {0};
#define ROUND(i, STEP) OPAQUE(x); a##i = STEP(a##i, x, y);
#define STORE(i, unused) out[i] = a##i;

#define LOOP(NAME, ISA, VECTOR, LANE, X, Y, STEP)                                   \
    TARGET(ISA) static double NAME(uint64_t n)                                      \
    {                                                                               \
        typedef VECTOR vec;                                                         \
        LANE lanes[sizeof(vec) / sizeof(LANE) * ACCUMULATORS];                      \
        vec out[ACCUMULATORS]; /* the accumulators' own addresses would cost spills */ \
        __typeof__(X) x = X, y = Y;                                                 \
        double total = 0;                                                           \
        EACH(SET, )                                                                 \
        OPAQUE(y);                                                                  \
        for (uint64_t round = 0; round < n; round++) {                              \
            EACH(ROUND, STEP)                                                       \
        }                                                                           \
        EACH(STORE, )                                                               \
        memcpy(lanes, out, sizeof lanes);                                           \
        for (size_t i = 0; i < BG_COUNT(lanes); i++) total += (double)lanes[i];     \
        return total;                                                               \
    }

/* Operations of a round, and what a round adds up to: every product is 1, or 3 * -2. */
#define FLOP(loop, macs) {loop, 2.0 * ACCUMULATORS * (macs), 1.0 * ACCUMULATORS * (macs)}
#define INT8(loop, macs) {loop, 2.0 * ACCUMULATORS * (macs), -6.0 * ACCUMULATORS * (macs)}

/* What portable code may use: 16-byte vectors, a multiply and an add. */
typedef float floats __attribute__((vector_size(16)));
#define REF_FLOP(a, x, y) a + x * y
LOOP(ref_flop, BASE, floats, float, ((floats){1, 1, 1, 1}), x, REF_FLOP)

#if defined(__x86_64__)

#define REF_INT8(a, x, y) _mm_add_epi32(a, _mm_madd_epi16(x, y))
LOOP(ref_int8, BASE, __m128i, int32_t, _mm_set1_epi16(3), _mm_set1_epi16(-2), REF_INT8)

/* maddubs sums pairs in 16 bits. Kernels must widen them now and then; how seldom they get away
 * with it depends on the format, so the roof leaves it out. (A trial's sums fit in 16 bits.) */
#define AVX2_FLOP(a, x, y) _mm256_fmadd_ps(x, y, a)
#define AVX2_INT8(a, x, y) _mm256_add_epi16(a, _mm256_maddubs_epi16(x, y))
LOOP(avx2_flop, "avx2,fma", __m256, float, _mm256_set1_ps(1), x, AVX2_FLOP)
LOOP(avx2_int8, "avx2,fma", __m256i, int16_t, _mm256_set1_epi8(3), _mm256_set1_epi8(-2), AVX2_INT8)

#define AVXVNNI_INT8(a, x, y) _mm256_dpbusd_avx_epi32(a, x, y)
LOOP(avxvnni_int8, "avx2,avxvnni", __m256i, int32_t, _mm256_set1_epi8(3), _mm256_set1_epi8(-2),
     AVXVNNI_INT8)

#define AVX512_FLOP(a, x, y) _mm512_fmadd_ps(x, y, a)
#define AVX512_INT8(a, x, y) _mm512_add_epi16(a, _mm512_maddubs_epi16(x, y))
LOOP(avx512_flop, "avx512f", __m512, float, _mm512_set1_ps(1), x, AVX512_FLOP)
LOOP(avx512_int8, "avx512f,avx512bw", __m512i, int16_t, _mm512_set1_epi8(3), _mm512_set1_epi8(-2),
     AVX512_INT8)

#define VNNI_INT8(a, x, y) _mm512_dpbusd_epi32(a, x, y)
LOOP(vnni_int8, "avx512f,avx512vnni", __m512i, int32_t, _mm512_set1_epi8(3), _mm512_set1_epi8(-2),
     VNNI_INT8)

#define BF16_FLOP(a, x, y) _mm512_dpbf16_ps(a, x, y)
LOOP(bf16_flop, "avx512f,avx512bf16", __m512, float,
     _mm512_cvtne2ps_pbh(_mm512_set1_ps(1), _mm512_set1_ps(1)), x, BF16_FLOP)

/* Tiles of 16 rows of 64 bytes: 0 to 3 accumulate, 4 and 5 are A, 6 and 7 are B. The configuration
 * is static because compilers do not know that the instruction reads all 64 bytes of it. */
static const struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tiles = {1, 0, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
_Static_assert(sizeof tiles == 64, "layout of LDTILECFG");


TARGET("amx-tile") static void tiles_open(const void *a, const void *b)
{
    _tile_loadconfig(&tiles);
    _tile_loadd(4, a, 64);
    _tile_loadd(5, a, 64);
    _tile_loadd(6, b, 64);
    _tile_loadd(7, b, 64);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
}

TARGET("amx-tile") static void tiles_close(void *out)
{
    _tile_stored(0, (char *)out, 64);
    _tile_stored(1, (char *)out + 1024, 64);
    _tile_stored(2, (char *)out + 2048, 64);
    _tile_stored(3, (char *)out + 3072, 64);
    _tile_release();
}

TARGET("amx-tile,amx-int8") static double amx_int8(uint64_t n)
{
    int8_t a[1024], b[1024];
    int32_t out[1024];
    double total = 0;
    memset(a, 3, sizeof a);
    memset(b, -2, sizeof b);
    tiles_open(a, b);
    for (uint64_t i = 0; i < n; i++) {
        _tile_dpbssd(0, 4, 6);
        _tile_dpbssd(1, 4, 7);
        _tile_dpbssd(2, 5, 6);
        _tile_dpbssd(3, 5, 7);
    }
    tiles_close(out);
    for (size_t i = 0; i < BG_COUNT(out); i++) total += out[i];
    return total;
}

TARGET("amx-tile,amx-bf16") static double amx_flop(uint64_t n)
{
    uint16_t ones[512];
    float out[1024];
    double total = 0;
    for (size_t i = 0; i < BG_COUNT(ones); i++) ones[i] = 0x3f80; /* 1.0 */
    tiles_open(ones, ones);
    for (uint64_t i = 0; i < n; i++) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    tiles_close(out);
    for (size_t i = 0; i < BG_COUNT(out); i++) total += (double)out[i];
    return total;
}

enum { AMX_INT8_MACS = 4 * 16 * 16 * 64, AMX_BF16_MACS = 4 * 16 * 16 * 32 };

#define F16C {1, 0, BG_ECX, 29, "f16c"}
#define FMA {1, 0, BG_ECX, 12, "fma"}
#define AVX2 {7, 0, BG_EBX, 5, "avx2"}
#define AVX512F {7, 0, BG_EBX, 16, "avx512f"}
#define AVX512DQ {7, 0, BG_EBX, 17, "avx512dq"}
#define AVX512BW {7, 0, BG_EBX, 30, "avx512bw"}
#define AVX512VL {7, 0, BG_EBX, 31, "avx512vl"}
enum { YMM = 0x6, ZMM = 0xe6, TILES = 0x60000 };

const bg_isa_probe bg_isa_probes[] = {
    {"ref", NULL, {{0}}, 0, false, FLOP(ref_flop, 4), INT8(ref_int8, 8)},
    {"avx2", "ref", {AVX2, FMA, F16C}, YMM, false, FLOP(avx2_flop, 8), INT8(avx2_int8, 32)},
    {"avxvnni", "avx2", {AVX2, FMA, F16C, {7, 1, BG_EAX, 4, "avx_vnni"}}, YMM, false, {0},
     INT8(avxvnni_int8, 32)},
    {"avx512", "avx2", {AVX512F, AVX512BW, AVX512DQ, AVX512VL}, ZMM, false, FLOP(avx512_flop, 16),
     INT8(avx512_int8, 64)},
    {"avx512vnni", "avx512", {AVX512F, AVX512BW, AVX512VL, {7, 0, BG_ECX, 11, "avx512_vnni"}}, ZMM,
     false, {0}, INT8(vnni_int8, 64)},
    {"avx512bf16", "avx512vnni", {AVX512F, AVX512BW, AVX512VL, {7, 1, BG_EAX, 5, "avx512_bf16"}},
     ZMM, false, FLOP(bf16_flop, 32), {0}},
    {"amx", "avx512bf16", {{7, 0, BG_EDX, 24, "amx_tile"}, {7, 0, BG_EDX, 25, "amx_int8"},
             {7, 0, BG_EDX, 22, "amx_bf16"}}, ZMM | TILES, true,
     {amx_flop, 2.0 * AMX_BF16_MACS, AMX_BF16_MACS}, {amx_int8, 2.0 * AMX_INT8_MACS,
     -6.0 * AMX_INT8_MACS}},
    {0},
};

#else

typedef int16_t shorts __attribute__((vector_size(16)));
#define REF_INT8(a, x, y) a + x * y
LOOP(ref_int8, BASE, shorts, int16_t, ((shorts){3, 3, 3, 3, 3, 3, 3, 3}),
     ((shorts){-2, -2, -2, -2, -2, -2, -2, -2}), REF_INT8)

#if defined(__aarch64__)

/* smlal, like maddubs, sums in 16 bits, and its roof leaves out the widening as well. */
#define NEON_FLOP(a, x, y) vfmaq_f32(a, x, y)
#define NEON_INT8(a, x, y) vmlal_s8(a, x, y)
LOOP(neon_flop, BASE, float32x4_t, float, vdupq_n_f32(1), x, NEON_FLOP)
LOOP(neon_int8, BASE, int16x8_t, int16_t, vdup_n_s8(3), vdup_n_s8(-2), NEON_INT8)

#define DOTPROD_INT8(a, x, y) vdotq_s32(a, x, y)
LOOP(dotprod_int8, "arch=armv8.2-a+dotprod", int32x4_t, int32_t, vdupq_n_s8(3), vdupq_n_s8(-2),
     DOTPROD_INT8)

/* Products of matrices: 2 rows of 8 by 8 rows of 2. */
#define I8MM_INT8(a, x, y) vmmlaq_s32(a, x, y)
LOOP(i8mm_int8, "arch=armv8.2-a+i8mm", int32x4_t, int32_t, vdupq_n_s8(3), vdupq_n_s8(-2),
     I8MM_INT8)

#endif

const bg_isa_probe bg_isa_probes[] = {
    {"ref", NULL, {{0}}, 0, false, FLOP(ref_flop, 4), INT8(ref_int8, 8)},
#if defined(__aarch64__)
    {"neon", "ref", {{AT_HWCAP, 0, 0, 1, "asimd"}}, 0, false, FLOP(neon_flop, 4),
     INT8(neon_int8, 8)},
    {"dotprod", "neon", {{AT_HWCAP, 0, 0, 20, "asimddp"}}, 0, false, {0},
     INT8(dotprod_int8, 16)},
    {"i8mm", "dotprod", {{AT_HWCAP, 0, 0, 20, "asimddp"}, {AT_HWCAP2, 0, 0, 13, "i8mm"}}, 0, false,
     {0}, INT8(i8mm_int8, 32)},
#endif
    {0},
};

#endif

_Static_assert(BG_COUNT(bg_isa_probes) <= BG_ISA_PROBES_MAX + 1, "room for every set");

#include "kernels/kernels.h"

#include "base/base.h"
#include "isa/ahead.h"

#include <pthread.h>
#include <string.h>

#define BG_ISA(NAME, name, PARENT, title) &bg_isa_code_##name,
const bg_isa_code *const bg_isa_codes[BG_ISA_COUNT] = {
#include "bitgauge/isas.def"
};

/* One more than the largest format id. */
#define BG_FORMAT(NAME, name, id, weights, bytes, activation, level) char NAME[id + 1];
enum { FORMAT_LIMIT = sizeof(union {
#include "bitgauge/formats.def"
}) };

/* Indexed by isa: its own kernels over its parent's. A later row of a table wins over an earlier
 * one, so a table lists its best kernel of a format last. */
static const bg_kernel *best[BG_ISA_COUNT][FORMAT_LIMIT][BG_OP_COUNT];
static struct encoders { bg_encode_fn *q8_0, *q8_k, *bf16; } encoders[BG_ISA_COUNT];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void find_best(void)
{
    bg_ahead_choose();
    for (int isa = 0; isa < BG_ISA_COUNT; isa++) {
        const bg_isa_code *code = bg_isa_codes[isa];
        bg_isa parent = bg_isa_parent((bg_isa)isa);
        struct encoders *e = &encoders[isa];
        if (isa != (int)parent) { /* parents come first */
            memcpy(best[isa], best[parent], sizeof best[isa]);
            *e = encoders[parent];
        }
        for (size_t i = 0; i < code->n_kernels; i++)
            best[isa][code->kernels[i].format][code->kernels[i].op] = &code->kernels[i];
        if (code->encode_q8_0) e->q8_0 = code->encode_q8_0;
        if (code->encode_q8_k) e->q8_k = code->encode_q8_k;
        if (code->encode_bf16) e->bf16 = code->encode_bf16;
    }
}

const bg_kernel *bg_kernel_at(size_t i)
{
    for (int isa = 0; isa < BG_ISA_COUNT; isa++) {
        if (i < bg_isa_codes[isa]->n_kernels) return &bg_isa_codes[isa]->kernels[i];
        i -= bg_isa_codes[isa]->n_kernels;
    }
    return NULL;
}

const bg_kernel *bg_kernel_find(bg_format format, bg_op op, bg_isa isa)
{
    if ((size_t)format >= FORMAT_LIMIT) return NULL;
    pthread_once(&once, find_best);
    return best[isa][format][op];
}

size_t bg_activation_bytes(bg_format activation, size_t k)
{
    size_t lines = (bg_format_row_bytes(bg_format_get(activation), k) + 63) / 64;
    return 64 * (activation == BG_FORMAT_BF16 ? lines | 1 : lines);
}

void bg_activation_encode(bg_format activation, bg_isa isa, const float *in, void *out, size_t k)
{
    pthread_once(&once, find_best);
    switch ((int)activation) {
    case BG_FORMAT_Q8_0: encoders[isa].q8_0(in, out, k); break;
    case BG_FORMAT_Q8_K: encoders[isa].q8_k(in, out, k); break;
    case BG_FORMAT_BF16: encoders[isa].bf16(in, out, k); break;
    default: memcpy(out, in, k * sizeof *in);
    }
}

const bg_vecops *bg_vecops_get(bg_isa isa)
{
    while (!bg_isa_codes[isa]->vec) isa = bg_isa_parent(isa);
    return bg_isa_codes[isa]->vec;
}

bg_attend_fn *bg_attend_get(bg_isa isa)
{
    while (!bg_isa_codes[isa]->attend) isa = bg_isa_parent(isa);
    return bg_isa_codes[isa]->attend;
}

const char *bg_tier_name(bg_tier tier)
{
    static const char *const names[] = {"ref", "generic", "tmpl", "hand"};
    return names[tier];
}

const char *bg_op_name(bg_op op)
{
    static const char *const names[] = {"gemv", "gemm"};
    return names[op];
}

/* avx512.h: shared inside this folder. Internal. */
#ifndef BG_AVX512_H
#define BG_AVX512_H

#include "isa/isa.h"

bg_attend_fn bg_avx512_attend;
bg_encode_fn bg_avx512_encode_q8_0, bg_avx512_encode_q8_k, bg_avx512_encode_bf16;

#define BG_SMALL(NAME, name) bg_matmul_fn bg_avx512_gemv_##name, bg_avx512_gemm_##name;
#define BG_FLOAT(NAME, name) bg_matmul_fn bg_avx512_gemv_##name, bg_avx512_gemm_##name;
#define BG_SUPER(NAME, name) bg_matmul_fn bg_avx512_gemv_##name, bg_avx512_gemm_##name;
#include "isa/template/kernels.def"

#endif

/* avx2.h: shared inside this folder. Internal. */
#ifndef BG_AVX2_H
#define BG_AVX2_H

#include "isa/isa.h"

bg_encode_fn bg_avx2_encode_q8_0, bg_avx2_encode_q8_k;
bg_attend_fn bg_avx2_attend;

/* bg_avx2_gemv_<format>, bg_avx2_gemm_<format> */
#define BG_AVX2_KERNELS(NAME, name) bg_matmul_fn bg_avx2_gemv_##name, bg_avx2_gemm_##name;
#include "isa/avx2/kernels.def"
#undef BG_AVX2_KERNELS

#endif

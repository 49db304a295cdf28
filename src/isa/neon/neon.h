/* neon.h: shared inside this folder. Internal. */
#ifndef BG_NEON_H
#define BG_NEON_H

#include "isa/isa.h"

bg_encode_fn bg_neon_encode_q8_0, bg_neon_encode_q8_k;
bg_attend_fn bg_neon_attend;

#define BG_FLOAT(NAME, name) bg_matmul_fn bg_neon_gemv_##name, bg_neon_gemm_##name;
#define BG_SMALL(NAME, name) bg_matmul_fn bg_neon_gemv_##name, bg_neon_gemm_##name;
#define BG_SUPER(NAME, name) bg_matmul_fn bg_neon_gemv_##name, bg_neon_gemm_##name;
#include "isa/template/kernels.def"

#endif

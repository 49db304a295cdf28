/* avx512vnni.h: shared inside this folder. Internal. */
#ifndef BG_AVX512VNNI_H
#define BG_AVX512VNNI_H

#include "isa/isa.h"

#define BG_SMALL(NAME, name) bg_matmul_fn bg_avx512vnni_gemv_##name, bg_avx512vnni_gemm_##name;
#define BG_SUPER(NAME, name) bg_matmul_fn bg_avx512vnni_gemv_##name, bg_avx512vnni_gemm_##name;
#include "isa/template/kernels.def"

#endif

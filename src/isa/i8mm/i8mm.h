/* i8mm.h: shared inside this folder. Internal. */
#ifndef BG_I8MM_H
#define BG_I8MM_H

#include "isa/isa.h"

#define BG_SMALL(NAME, name) bg_matmul_fn bg_i8mm_gemm_##name;
#define BG_SUPER(NAME, name) bg_matmul_fn bg_i8mm_gemm_##name;
#include "isa/template/kernels.def"

#endif

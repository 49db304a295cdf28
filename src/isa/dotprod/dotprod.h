/* dotprod.h: shared inside this folder. Internal. */
#ifndef BG_DOTPROD_H
#define BG_DOTPROD_H

#include "isa/isa.h"

#define BG_SMALL(NAME, name) bg_matmul_fn bg_dotprod_gemv_##name, bg_dotprod_gemm_##name;
#define BG_SUPER(NAME, name) bg_matmul_fn bg_dotprod_gemv_##name, bg_dotprod_gemm_##name;
#include "isa/template/kernels.def"

#endif

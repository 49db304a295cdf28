/* avxvnni.h: shared inside this folder. Internal. */
#ifndef BG_AVXVNNI_H
#define BG_AVXVNNI_H

#include "isa/isa.h"

#define BG_SMALL(NAME, name) bg_matmul_fn bg_avxvnni_gemv_##name, bg_avxvnni_gemm_##name;
#define BG_SUPER(NAME, name) bg_matmul_fn bg_avxvnni_gemv_##name, bg_avxvnni_gemm_##name;
#include "isa/template/kernels.def"

#endif

/* amx.h: shared inside this folder, and with the test of the emulation. Internal. */
#ifndef BG_AMX_H
#define BG_AMX_H

#include "isa/isa.h"

/* bg_amx_gemm_<format>; and the same code on tiles emulated in C, which needs AVX-512 with VBMI and
 * BF16 only, so that it can be tested where there is no AMX. */
bg_attend_fn bg_amx_attend, bg_amx_emulated_attend;
#define DECLARE(NAME, name) bg_matmul_fn bg_amx_gemm_##name, bg_amx_emulated_gemm_##name;
#define BG_FLOAT DECLARE
#define BG_SMALL DECLARE
#define BG_SUPER DECLARE
#include "isa/template/kernels.def"
#undef DECLARE

#endif

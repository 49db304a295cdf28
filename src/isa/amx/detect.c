#include "isa/amx/amx.h"

#include "base/base.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
enum { EDX_AMX_BF16 = 1 << 22, EDX_AMX_TILE = 1 << 24 };

/* Linux gives the tile registers to a process that asks for them: once, for all its threads and
 * children. */
static bool present(void)
{
    unsigned a, b, c, d;
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512bf16") &&
           __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & EDX_AMX_TILE) && (d & EDX_AMX_BF16) &&
           syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

#define ROW(NAME, name) \
    {BG_FORMAT_##NAME, BG_OP_GEMM, BG_ISA_AMX, BG_TIER_TMPL, BG_FORMAT_BF16, bg_amx_gemm_##name},
#define BG_FLOAT ROW
#define BG_SMALL ROW
#define BG_SUPER ROW
static const bg_kernel kernels[] = {
#include "isa/template/kernels.def"
};

const bg_isa_code bg_isa_code_amx = {
    .present = present,
    .kernels = kernels,
    .n_kernels = BG_COUNT(kernels),
    .attend = bg_amx_attend,
};

#else

static bool absent(void) { return false; }

const bg_isa_code bg_isa_code_amx = {.present = absent};

#endif

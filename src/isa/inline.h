/* inline.h: how the loops of templates are inlined and unrolled. Internal. */
#ifndef BG_ISA_INLINE_H
#define BG_ISA_INLINE_H

#define BG_INLINE static inline __attribute__((always_inline))
#if defined(BG_UNROLL) /* from outside */
#elif defined(__clang__)
#define BG_UNROLL _Pragma("clang loop unroll(full)")
#else
#define BG_UNROLL _Pragma("GCC unroll 64")
#endif

#endif

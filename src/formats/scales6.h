/* scales6.h: the twelve bytes in which Q4_K and Q5_K keep eight pairs of 6-bit scale and min.
 *
 *   byte s      (s < 4): sc[s],                      and above it the two high bits of sc[s + 4]
 *   byte s + 4  (s < 4): m[s],                       and above it the two high bits of m[s + 4]
 *   byte s + 8  (s < 4): low four bits of sc[s + 4], and above them the low four of m[s + 4]
 */
#ifndef BG_FORMATS_SCALES6_H
#define BG_FORMATS_SCALES6_H

#include "formats/search.h"

static inline void bg_scales6_unpack(const uint8_t *p, uint8_t sc[8], uint8_t m[8])
{
    for (int s = 0; s < 4; s++) {
        sc[s] = p[s] & 63;
        m[s] = p[s + 4] & 63;
        sc[s + 4] = (uint8_t)((p[s + 8] & 15) | p[s] >> 6 << 4);
        m[s + 4] = (uint8_t)(p[s + 8] >> 4 | p[s + 4] >> 6 << 4);
    }
}

static inline void bg_scales6_pack(uint8_t *p, const uint8_t sc[8], const uint8_t m[8])
{
    for (int s = 0; s < 4; s++) {
        p[s] = (uint8_t)(sc[s] | sc[s + 4] >> 4 << 6);
        p[s + 4] = (uint8_t)(m[s] | m[s + 4] >> 4 << 6);
        p[s + 8] = (uint8_t)((sc[s + 4] & 15) | (m[s + 4] & 15) << 4);
    }
}

/* The 16 bytes that both blocks begin with: d, dmin and the packed pairs of a fit. */
static inline void bg_scales6_store(uint8_t *b, const bg_fit *fit)
{
    uint8_t sc[8], m[8];
    for (int s = 0; s < 8; s++) {
        sc[s] = (uint8_t)fit->sc[s];
        m[s] = (uint8_t)fit->m[s];
    }
    bg_store_f16(b, fit->d);
    bg_store_f16(b + 2, fit->dmin);
    bg_scales6_pack(b + 4, sc, m);
}

static inline void bg_scales6_load(const uint8_t *b, bg_scales *s)
{
    s->d = bg_load_f16(b);
    s->dmin = bg_load_f16(b + 2);
    bg_scales6_unpack(b + 4, (uint8_t *)s->sc, (uint8_t *)s->m);
}

#endif

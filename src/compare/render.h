/* render.h: a comparison as text. Internal. */
#ifndef BG_COMPARE_RENDER_H
#define BG_COMPARE_RENDER_H

#include "compare/compare.h"

void bg_compare_markdown(const bg_comparison *c, bg_text *out);
void bg_compare_json(const bg_comparison *c, bg_text *out);
void bg_compare_junit(const bg_comparison *c, bg_text *out);
void bg_compare_annotations(const bg_comparison *c, bg_text *out);

/* "Q4_K_M tg64, avx2, 2 threads" */
void bg_compare_name(const bg_row *row, char *out, size_t size);
/* "all 8 cells of pp together, 2 threads" */
void bg_compare_together_name(const bg_together *t, char *out, size_t size);
/* As it was judged: "tps -7.9 % (interval -9.1 % to -6.2 %, q 0.0004, noise floor 2.1 %)" */
void bg_compare_finding(const bg_compared *c, char *out, size_t size);
/* The last line, without its end. */
void bg_compare_conclusion(const bg_comparison *c, char *out, size_t size);

#endif

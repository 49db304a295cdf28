/* bitgauge/simulated.h: counts that are the same in every run, from valgrind's callgrind.
 *
 * A test runs in a child process under callgrind, which executes it on a simulated processor of
 * fixed caches: single-threaded, with an instruction set that valgrind knows, on fixed tokens, with
 * an environment, folder and arguments that do not depend on the caller. So the counts depend on
 * the program, the model and the version of valgrind, and on nothing of the machine but what
 * libraries it has. Counted is what bench and sweep time, once all of it ran before.
 */
#ifndef BITGAUGE_SIMULATED_H
#define BITGAUGE_SIMULATED_H

#include "bitgauge/kernel.h"
#include "bitgauge/scheme.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum bg_sim {
#define BG_SIM(NAME, name, events, unit, width, title) BG_##NAME,
#include "bitgauge/simulated.def"
    BG_SIM_COUNT
} bg_sim;

const char *bg_sim_name(bg_sim s);                    /* "sim_instructions" */

typedef struct bg_sim_test {
    bg_isa isa;
    uint32_t n_prompt, n_gen;  /* tokens of a prompt, then tokens one by one; one may be 0 */
    uint32_t depth;            /* tokens in the context before, not counted */
} bg_sim_test;

/* The set itself where valgrind runs it, else its nearest ancestor that it does: avx2 for those of
 * AVX-512. */
bg_isa bg_sim_isa(bg_isa isa);

/* Called several times a second; returns false to stop (BG_ERR_INTERRUPTED). May be NULL. */
typedef bool bg_sim_alive(void *user);

typedef struct bg_callgrind bg_callgrind;
struct bg_importance;
struct bg_team;

/* Finds valgrind and makes a temporary folder, under $TMPDIR or /tmp. The running program is
 * started again as `PROGRAM count ...`, which is to call bg_sim_run. BG_ERR_UNSUPPORTED with the
 * remedy: there is no valgrind, or the build has no use for it. */
bg_status bg_callgrind_open(bg_callgrind **c, bg_error *err);
void bg_callgrind_close(bg_callgrind **c);            /* removes the folder */
/* A JSON object: version of valgrind, geometry of the caches. Free with bg_free_text. */
char *bg_callgrind_settings(const bg_callgrind *c);
/* The model of what is counted next: the file as it is (scheme NULL), or quantized into the folder.
 * importance and team may be NULL. */
bg_status bg_callgrind_model(bg_callgrind *c, const char *path, const bg_scheme *scheme,
                             const struct bg_importance *importance, struct bg_team *team,
                             bg_sim_alive *alive, void *user, bg_error *err);
bg_status bg_callgrind_count(bg_callgrind *c, const bg_sim_test *test, bg_sim_alive *alive,
                             void *user, double per_token[BG_SIM_COUNT], bg_error *err);

/* Totals of a callgrind.out file (NUL-terminated). Untrusted: BG_ERR_INPUT unless it is whole and
 * has the events. name is for messages. */
bg_status bg_callgrind_parse(const char *text, const char *name, double counts[BG_SIM_COUNT],
                             bg_error *err);

/* What the child does. BG_ERR_INPUT when it is not under callgrind. */
bg_status bg_sim_run(const char *model, const bg_sim_test *test, bg_error *err);

#ifdef __cplusplus
}
#endif
#endif

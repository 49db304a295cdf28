/* llama.h: programs of llama.cpp, run on files written for them. Internal. */
#ifndef BG_HARNESS_LLAMA_H
#define BG_HARNESS_LLAMA_H

#include "harness/rig.h"
#include "harness/workdir.h"

#include "base/process.h"

/* A program, or why it is not to be had. */
typedef struct bg_llama_program {
    const char *name;
    char path[PATH_MAX];
    bg_error problem;              /* status BG_OK: none */
} bg_llama_program;

/* Who waits for them. */
typedef struct bg_llama_host {
    double patience;               /* seconds that one may be silent; 0: 600 */
    bool (*alive)(void *user);     /* false: stop */
    void *user;
} bg_llama_host;

/* One test of llama-bench. */
typedef struct bg_llama_ask {
    const char *model;             /* path */
    uint32_t n_prompt, n_gen, depth, reps;
    uint32_t n_batch, n_ubatch;    /* 0: its own */
    int threads;
    bool no_warm_up;
} bg_llama_ask;
typedef struct bg_llama_told {
    double *seconds;               /* room for ask->reps */
    char version[64];              /* "abcdef (4567)"; "": it does not tell */
    double peak_rss;               /* bytes; NaN unknown */
    bg_text *output;               /* what it printed, to be freed with bg_text_fini; NULL:
                                    * unwanted */
} bg_llama_told;

typedef struct bg_llama {
    bg_rig *rig;
    bg_llama_host host;
    bg_workdir work;
    bg_llama_program bench, perplexity;
    char version[64];              /* as it says itself; "" until it did */
    bg_model *models[BG_PLAN_MAX_SCHEMES];   /* the files, as they were written */
    double quantize_seconds[BG_PLAN_MAX_SCHEMES];
    double *peak_rss;              /* of each cell's last repetition, bytes */
    uint64_t windows;              /* of quality that the base holds; 0: there is no base yet */
} bg_llama;

/* The file of a scheme. */
const char *bg_llama_model_path(const bg_llama *l, size_t scheme, char out[PATH_MAX]);
/* path NULL: looks for its name along $PATH. */
void bg_llama_find(bg_llama_program *program, const char *name, const char *path);
/* Runs a program to its end. argv[0] is its path. BG_ERR_UNSUPPORTED: it failed, and how. One that
 * was silent for too long is not run again. p->output is freed with bg_text_fini whatever
 * happens. */
bg_status bg_llama_run(const bg_llama_host *host, bg_llama_program *program, bg_process *p,
                       bg_error *err);
/* Runs a test. BG_ERR_UNSUPPORTED: what it printed is not the times of that test. */
bg_status bg_llama_time(const bg_llama_host *host, bg_llama_program *bench, const bg_llama_ask *ask,
                        bg_llama_told *told, bg_error *err);
/* BG_ERR_IO: the disk has no room for a file of so many bytes. */
bg_status bg_llama_check_room(const bg_workdir *work, uint64_t bytes, bg_error *err);
/* Writes the file of a scheme, where there is room for it. */
bg_status bg_llama_write(const bg_llama_host *host, const bg_workdir *work, const bg_model *source,
                         const bg_scheme *scheme, const bg_importance *importance, bg_team *team,
                         const char *path, bg_error *err);
/* Remembers the version, and refuses another than before. */
bg_status bg_llama_check_version(bg_llama *l, const bg_llama_program *program, const char *version,
                                 bg_error *err);
bg_status bg_llama_quality(void *llama, const bg_cell *c, bg_quality *q, bg_error *err);
/* What llama-perplexity prints for --kl-divergence. BG_ERR_UNSUPPORTED names what is not there. */
bg_status bg_llama_parse_quality(const char *text, bg_quality *q, bg_error *err);

#endif

/* llama.h: cells that programs of llama.cpp run on files written for them. Internal. */
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

typedef struct bg_llama {
    bg_rig *rig;
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
/* Runs a program to its end. argv[0] is its path. BG_ERR_UNSUPPORTED: it failed, and how. One that
 * was silent for too long is not run again. p->output is freed with bg_text_fini whatever happens. */
bg_status bg_llama_run(bg_llama *l, bg_llama_program *program, bg_process *p, bg_error *err);
/* Remembers the version, and refuses another than before. */
bg_status bg_llama_check_version(bg_llama *l, const bg_llama_program *program, const char *version,
                                 bg_error *err);
bg_status bg_llama_quality(void *llama, const bg_cell *c, bg_quality *q, bg_error *err);
/* What llama-perplexity prints for --kl-divergence. BG_ERR_UNSUPPORTED names what is not there. */
bg_status bg_llama_parse_quality(const char *text, bg_quality *q, bg_error *err);

#endif

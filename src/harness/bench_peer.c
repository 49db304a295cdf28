#include "harness/bench_peer.h"
#include "harness/llama.h"

#include <unistd.h>

struct bg_bench_peer {
    bg_llama_host host;
    bg_llama_program bench;
    bg_workdir work;
    char file[PATH_MAX], version[64];
    bg_text output;
};

bg_status bg_bench_peer_open(bg_bench_peer **out, const bg_bench_peer_options *o, bg_error *err)
{
    bg_bench_peer *p = bg_alloc(1, sizeof *p);
    bg_status status;
    *out = NULL;
    if (!p) return bg_fail_nomem(err, "llama-bench", sizeof *p);
    p->host = (bg_llama_host){o->patience, o->alive, o->user};
    p->work.lock = -1;
    bg_llama_find(&p->bench, "llama-bench", o->llama_bench);
    status = p->bench.problem.status;
    if (status != BG_OK) *err = p->bench.problem;
    else status = bg_workdir_open(&p->work, err);
    if (status == BG_OK) *out = p;
    else bg_bench_peer_close(&p);
    return status;
}

void bg_bench_peer_close(bg_bench_peer **peer)
{
    bg_bench_peer *p = *peer;
    if (!p) return;
    bg_workdir_close(&p->work);
    bg_text_fini(&p->output);
    bg_free(p);
    *peer = NULL;
}

bg_status bg_bench_peer_load(bg_bench_peer *p, bg_model **m, const bg_model *source,
                             const bg_scheme *scheme, bg_team *team, bg_error *err)
{
    bg_workdir_path(&p->work, "model.gguf", p->file);
    unlink(p->file); /* the disk may have room for one only */
    BG_TRY(bg_llama_write(&p->host, &p->work, source, scheme, NULL, team, p->file, err));
    return bg_model_open(m, p->file, err);
}

bg_status bg_bench_peer_time(bg_bench_peer *p, const bg_model *m, const bg_bench_test *test,
                             double *samples_ns, double *peak_rss, bg_error *err)
{
    bg_llama_ask ask = {
        .model = bg_gguf_path(bg_model_gguf(m)), .n_prompt = test->n_prompt, .n_gen = test->n_gen,
        .depth = test->depth, .reps = test->reps, .n_batch = test->handed,
        .n_ubatch = test->batch, .threads = bg_team_size(test->team),
        .no_warm_up = test->no_warm_up,
    };
    bg_llama_told told = {.seconds = samples_ns, .output = &p->output};
    bg_text_fini(&p->output);
    BG_TRY(bg_llama_time(&p->host, &p->bench, &ask, &told, err));
    for (uint32_t i = 0; i < test->reps; i++) samples_ns[i] *= 1e9;
    snprintf(p->version, sizeof p->version, "%s", told.version);
    *peak_rss = told.peak_rss;
    return BG_OK;
}

const char *bg_bench_peer_record(const bg_bench_peer *p) { return p->output.data; }
const char *bg_bench_peer_version(const bg_bench_peer *p) { return p->version; }

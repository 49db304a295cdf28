#include "cli/tune.h"

#define USUAL_OWN 0.9

typedef struct shown { bg_cli_progress line; uint64_t said_ns; } shown;

static bool show_step(void *user, const bg_tune_progress *p)
{
    shown *s = user;
    uint64_t now = bg_clock_ns();
    char what[120];
    if (now - s->said_ns > 200000000u || p->step == p->steps) {
        s->said_ns = now;
        snprintf(what, sizeof what, "tuning, KL divergence %.4f from %.4f, %.0f tokens/s", p->best,
                 p->start, (double)p->tokens / p->seconds);
        s->line.what = what;
        bg_cli_progress_show(&s->line, (double)p->step / (double)p->steps);
    }
    return !bg_cli_interrupted();
}

bg_status bg_cli_tune_check(const bg_cli_tune_request *r, bg_error *err)
{
    bool how = r->windows || r->ctx || r->own >= 0 || r->rate > 0 || r->scale_rate > 0;
    if (!how || bg_cli_tune_wanted(r)) return BG_OK;
    return bg_fail(err, BG_ERR_INPUT, NULL, "options of tuning, but for how long? Give --tune "
                   "MINUTES or --tune-steps N, too");
}

bg_status bg_cli_tune(const bg_cli_tune_request *r, const bg_model *m, const int32_t *tokens,
                      size_t n_tokens, bg_image *image, bg_team *team, bg_error *err)
{
    bg_tuner_options to = {.n_ctx = (uint32_t)r->ctx, .windows = (uint32_t)r->windows,
                           .own = r->own < 0 ? USUAL_OWN : r->own, .team = team};
    shown line = {.said_ns = 0};
    bg_tune_options o = {.steps = (uint64_t)r->steps, .seconds = 60 * r->minutes, .rate = r->rate,
                         .scale_rate = r->scale_rate, .seed = (uint64_t)r->seed,
                         .progress = show_step, .user = &line};
    bg_tune_progress p;
    bg_tuner *t = NULL;
    bg_status s = bg_isa_parse("native", &to.isa, err);
    if (s == BG_OK) s = bg_tuner_open(&t, m, tokens, n_tokens, &to, err);
    if (s == BG_OK) s = bg_tuner_run(t, image, &o, &p, err);
    bg_cli_progress_end(&line.line);
    if (s == BG_OK)
        fprintf(stderr, "tuned by %llu steps of %llu tokens: KL divergence on held-out calibration "
                "text %.5f, before %.5f\n", (unsigned long long)p.step,
                (unsigned long long)(p.tokens / BG_MAX(p.step, (uint64_t)1)), p.best, p.start);
    bg_tuner_close(&t);
    return s;
}

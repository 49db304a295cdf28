#include "search/hunt.h"

#include "base/team.h"

#include <math.h>
#include <string.h>

enum { CTX = 256, FIRST_SCORED = 64, WINDOWS = 64, KEPT = 24, CYCLES = 4,
       PATIENCE = 5 };

/* What the results of evaluations depend on; not the size that is asked for. */
static uint64_t request_of(const bg_model *m, const int32_t *tokens, size_t n_tokens,
                           const bg_search_options *o)
{
    const uint64_t numbers[] = {o->seed, o->memory, o->isa, n_tokens,
                                bg_gguf_file_bytes(bg_model_gguf(m))};
    uint64_t h = bg_hash(BG_HASH_INIT, numbers, sizeof numbers);
    h = bg_hash(h, tokens, n_tokens * sizeof *tokens);
    for (size_t i = 0; i < bg_gguf_tensor_count(bg_model_gguf(m)); i++) {
        const bg_tensor *t = bg_gguf_tensor_at(bg_model_gguf(m), i);
        const float *weights = NULL;
        h = bg_hash(h, t->data, BG_MIN(t->bytes, (size_t)4096));
        if (o->importance) weights = bg_importance_find(o->importance, t->name, t->ne[0]);
        if (weights) h = bg_hash(h, weights, t->ne[0] * sizeof *weights);
    }
    return h;
}

/* Matrices that lie in one of the file are several in the model: their formats are not free. */
static bg_status check_tensors(const bg_model *m, bg_error *err)
{
    const bg_gguf *g = bg_model_gguf(m);
    bool same = bg_model_tensor_count(m) == bg_gguf_tensor_count(g);
    for (size_t i = 0; same && i < bg_gguf_tensor_count(g); i++)
        same = strcmp(bg_model_tensor_at(m, i)->name, bg_gguf_tensor_at(g, i)->name) == 0;
    if (same) return BG_OK;
    return bg_fail(err, BG_ERR_UNSUPPORTED, bg_gguf_path(g), "holds matrices of several parts "
                   "(attn_qkv), which the search cannot tell apart: choose a scheme, or convert "
                   "the model with separate ones");
}

static bool show(bg_hunt *h, const char *stage, double fraction)
{
    bg_hunt_stage(h, stage, fraction);
    h->state.best_kld = h->best.measured;
    h->state.seconds = (double)(bg_clock_ns() - h->start_ns) * 1e-9;
    return !h->o->progress || h->o->progress(h->o->user, &h->state);
}

static bool show_speeds(void *user, double fraction)
{
    return show(user, "speeds of formats", fraction);
}

/* A stop waits for its end: without it there may be nothing that is small enough. */
static bool show_pruner(void *user, double fraction)
{
    (void)show(user, "what layers read", fraction);
    return true;
}

static bool show_feedback(void *user, double fraction)
{
    return show(user, "error feedback", fraction);
}

/* One step less of the layer that has most, the last of those; when nothing is left to take of any,
 * it goes. false: no more may. */
static bool shrink(bg_hunt *h)
{
    bg_space *s = &h->space;
    uint32_t at = s->n_layer, left = 0;
    uint8_t steps[BG_PRUNER_STEPS];
    for (uint32_t l = 0; l < s->n_layer; l++) {
        if (s->levels[l] == BG_LAYER_DROPPED) continue;
        left++;
        if (at == s->n_layer || s->levels[l] <= s->levels[at]) at = l;
    }
    if (bg_pruner_steps(h->pruner, s->levels[at], steps)) s->levels[at] = steps[0];
    else if (left > 1) s->levels[at] = BG_LAYER_DROPPED;
    else return false;
    return bg_space_shape(s, s->levels, NULL) == BG_OK && bg_space_share_left(s) >= 1 - h->o->prune;
}

/* Before anything is measured: formats by their distortion, and of layers what fits. */
static bg_status guess(bg_hunt *h, uint64_t file_bytes, bg_error *err)
{
    bg_space *s = &h->space;
    bg_status status;
    memset(s->levels, 0, s->n_layer);
    BG_TRY(bg_space_shape(s, s->levels, err));
    do status = bg_space_solve(s, file_bytes, h->best.picks, err);
    while (status == BG_ERR_INFEASIBLE && h->pruner && shrink(h));
    if (status != BG_OK) return status;
    memcpy(h->best.levels, s->levels, s->n_layer);
    h->best.bytes = bg_space_bytes(s, h->best.picks);
    h->best.kld = h->best.most = h->best.measured = NAN;
    return BG_OK;
}

static bg_status open_hunt(bg_hunt *h, const bg_model *m, const int32_t *tokens, size_t n_tokens,
                           const bg_search_options *o, bg_error *err)
{
    bg_evaluator_options eo = {.n_ctx = CTX, .first_scored = FIRST_SCORED, .max_windows = WINDOWS,
                               .kept_windows = KEPT, .seed = o->seed + 1, .memory = o->memory,
                               .isa = o->isa, .team = o->team, .importance = o->importance};
    bg_feedback_options hearing = {.isa = o->isa, .team = o->team, .progress = show_pruner, .user = h};
    bg_speeds speeds;
    size_t n;
    *h = (bg_hunt){.o = o, .budget = o->file_bytes, .best = {.kld = NAN, .measured = NAN},
                   .effort = 1, .least = NAN,
                   .start_ns = bg_clock_ns()};
    bg_rng_seed(&h->rng, o->seed);
    BG_TRY(check_tensors(m, err));
    bg_model_unpack(m); /* what comes packs what it needs */
    if (o->prune > 0)
        BG_TRY(bg_pruner_open(&h->pruner, m, tokens, n_tokens, &hearing, err));
    if (o->prune > 0 && !h->pruner)
        return bg_fail(err, BG_ERR_UNSUPPORTED, bg_gguf_path(bg_model_gguf(m)),
                       "cannot be pruned: its layers are not those of a plain llama model");
    eo.pruner = h->pruner;
    if (o->min_tps > 0)
        BG_TRY(bg_speeds_measure(&speeds, m, o->formats, o->n_formats, o->isa, o->team, show_speeds,
                                 h, err));
    bg_hunt_stage(h, "errors of formats", 0);
    BG_TRY(bg_space_open(&h->space, m, h->pruner, o, o->min_tps > 0 ? &speeds : NULL, err));
    h->anchor_levels = bg_alloc(h->space.n_layer, 1);
    h->formats = bg_alloc(h->space.n_tensors, sizeof *h->formats);
    h->anchor = bg_alloc(h->space.n_tensors, sizeof *h->anchor);
    h->mended = bg_alloc(h->space.n, 1);
    h->finest = bg_alloc(h->space.n, 1);
    if (!h->formats || !h->anchor || !h->mended || !h->finest || !h->anchor_levels)
        return bg_fail_nomem(err, "a search", h->space.n_tensors * 9);
    h->reshapes = bg_alloc(BG_HUNT_RESHAPES * (size_t)h->space.n_layer, sizeof *h->reshapes);
    if (!h->reshapes) return bg_fail_nomem(err, "a search", h->space.n_layer);
    BG_TRY(bg_place_open(&h->at, &h->space, err));
    BG_TRY(bg_place_open(&h->best, &h->space, err));
    if (o->order == BG_PRUNE_LAST && o->prune > 0 && o->prune < 1)
        h->budget = (uint64_t)((double)o->file_bytes / (1 - o->prune));
    if (o->order == BG_PRUNE_LAST) h->effort = 0.8;
    BG_TRY(guess(h, h->budget, err));
    BG_TRY(bg_memo_open(&h->memo, o->checkpoint, o->checkpoint_option,
                        request_of(m, tokens, n_tokens, o), err));
    BG_TRY(bg_evaluator_open(&h->evaluator, m, tokens, n_tokens, &eo, err));
    n = bg_evaluator_kept(h->evaluator);
    h->windows[BG_LEVEL_FEW] = BG_MIN(n, bg_round_up(n / 6 + 1, 2));
    h->windows[BG_LEVEL_SOME] = BG_MIN(n, bg_round_up(n / 3 + 1, 2));
    h->windows[BG_LEVEL_MOST] = n;
    h->windows[BG_LEVEL_ALL] = bg_evaluator_windows(h->evaluator);
    memset(h->space.levels, 0, h->space.n_layer);
    return bg_space_shape(&h->space, h->space.levels, err);
}

static void close_hunt(bg_hunt *h, bool finished)
{
    bg_evaluator_close(&h->evaluator);
    bg_memo_close(&h->memo, finished);
    bg_space_close(&h->space);
    bg_free(h->formats);
    bg_pruner_close(&h->pruner);
    bg_free(h->anchor);
    bg_free(h->anchor_levels);
    bg_place_close(&h->at);
    bg_place_close(&h->best);
    bg_free(h->mended);
    bg_free(h->finest);
    bg_free(h->reshapes);
}

/* The first guess, so that there is something to show, and a stop leaves something measured, before
 * sensitivities are known. Where pruning comes first or last it is no result. */
static bg_status offer_guess(bg_hunt *h, bg_error *err)
{
    bg_space *s = &h->space;
    bool better;
    if (h->pruner && h->o->order != BG_PRUNE_JOINT) return BG_OK;
    bg_hunt_stage(h, "first guess", 0);
    memcpy(h->mended, h->best.picks, s->n);
    BG_TRY(bg_space_shape(s, h->best.levels, err));
    bg_hunt_settle(h, h->mended);
    BG_TRY(bg_hunt_offer(h, h->mended, &better, err));
    h->at.most = h->at.kld = NAN; /* the search does not begin there */
    memset(s->levels, 0, s->n_layer);
    return bg_space_shape(s, s->levels, err);
}

/* The fixed schemes that are small enough, as far as they are made of the listed formats: the
 * search is never worse than they are. */
static bg_status offer_schemes(bg_hunt *h, bg_error *err)
{
    bg_space *s = &h->space;
    bg_scheme_model facts = bg_model_scheme_facts(s->model);
    uint8_t *picks = bg_alloc(s->n, 1);
    bg_status status = picks ? BG_OK : bg_fail_nomem(err, "a search", s->n);
    for (size_t k = 0; status == BG_OK && k < bg_scheme_count(); k++) {
        bool whole = true, better;
        bg_hunt_stage(h, "schemes", (double)k / (double)bg_scheme_count());
        for (size_t i = 0; i < s->n; i++) {
            const bg_item *it = &s->items[i];
            const bg_tensor *t = bg_model_tensor_at(s->model, it->tensor);
            bg_format f = bg_scheme_tensor_format(bg_scheme_at(k), &facts, t->name, t->n_dims,
                                                  t->ne, NULL);
            size_t c = 0;
            while (c < it->n && it->format[c] != f) c++;
            whole &= c < it->n;
            picks[i] = (uint8_t)BG_MIN(c, it->n - 1);
        }
        if (whole) status = bg_hunt_offer(h, picks, &better, err);
    }
    bg_free(picks);
    return status;
}

/* The whole model, or what pruning first left of it, and schemes. */
static bg_status offer_whole(bg_hunt *h, bg_error *err)
{
    uint8_t *picks = bg_alloc(h->space.n, 1);
    bool better;
    bg_status s = picks ? BG_OK : bg_fail_nomem(err, "a search", h->space.n);
    if (s == BG_OK) s = bg_space_solve(&h->space, h->budget, picks, err);
    if (s == BG_OK) bg_hunt_settle(h, picks);
    if (s == BG_OK) s = bg_hunt_offer(h, picks, &better, err);
    if (s == BG_OK) s = offer_schemes(h, err);
    bg_free(picks);
    return s;
}

/* That there is enough time for all sensitivities, and as much again to use them. */
static bool has_time(const bg_hunt *h)
{
    double seconds = (double)(bg_clock_ns() - h->start_ns) * 1e-9, known = (double)h->asked;
    double needed = 2 * (known + (double)bg_space_choices(&h->space));
    if (h->o->most_asked && needed > (double)h->o->most_asked) return false;
    return h->o->seconds <= 0 || seconds * needed / known <= h->o->seconds;
}

/* By what three formats of each tensor cost; and then, where what feedback leaves can be foreseen,
 * by what all of them do. */
static bg_status begin_whole(bg_hunt *h, bg_error *err)
{
    bg_status s;
    BG_TRY(bg_hunt_sensitivity(h, err));
    s = offer_whole(h, err);
    if (s != BG_OK && s != BG_ERR_INFEASIBLE) return s;
    if (!bg_hunt_can_foresee(h) || !has_time(h)) return s;
    h->foresees = true;
    BG_TRY(bg_hunt_sensitivity(h, err));
    return offer_whole(h, err);
}

static bg_status search(bg_hunt *h, bg_error *err)
{
    bool joint = h->pruner && h->o->order == BG_PRUNE_JOINT;
    bg_status s = offer_guess(h, err);
    if (s == BG_OK && h->pruner && h->o->order == BG_PRUNE_FIRST) s = bg_hunt_prune_first(h, err);
    if (s == BG_OK) s = begin_whole(h, err);
    if (s == BG_ERR_INFEASIBLE && joint) s = BG_OK;
    if (s == BG_OK && joint) s = bg_hunt_prune_begin(h, err);
    for (int cycle = 0; s == BG_OK && cycle < CYCLES; cycle++) {
        double before = h->best.kld;
        s = bg_hunt_refine(h, err);
        if (s == BG_OK) s = bg_hunt_evolve(h, PATIENCE, err);
        if (h->best.kld > 0.995 * before) break;
    }
    if (s == BG_ERR_INTERRUPTED && !h->told && h->o->order == BG_PRUNE_LAST) s = BG_OK;
    h->effort = 1;
    if (s == BG_OK && h->pruner && h->o->order == BG_PRUNE_LAST)
        s = bg_hunt_prune_last(h, h->o->file_bytes, err);
    return s;
}

/* A stop before what is too large was pruned leaves the first guess. */
static bg_status stop(bg_hunt *h, bg_error *err)
{
    return h->best.bytes <= h->o->file_bytes ? BG_OK : guess(h, h->o->file_bytes, err);
}

static bg_status make_recipe(bg_recipe **out, const bg_hunt *h, bg_error *err)
{
    BG_TRY(bg_recipe_new(out, bg_model_gguf(h->space.model), err));
    bg_space_formats(&h->space, h->best.picks, (*out)->formats);
    return h->pruner ? bg_pruner_shape(h->pruner, h->best.levels, *out, err) : BG_OK;
}

static bg_status make_image(bg_image **image, const bg_hunt *h, const bg_recipe *r, bg_error *err)
{
    const bg_search_options *o = h->o;
    BG_TRY(bg_recipe_apply(image, r, bg_model_gguf(h->space.model), o->importance, o->team, NULL,
                           NULL, err));
    return h->pruner ? bg_pruner_finish(h->pruner, r, o->importance, *image, err)
                     : BG_OK;
}

/* Stopped, it leaves what it has done. */
static bg_status feed_back(bg_image *image, bg_hunt *h, const bg_recipe *r, const int32_t *tokens,
                           size_t n_tokens, bg_error *err)
{
    bg_feedback_options o = {.isa = h->o->isa, .team = h->o->team, .progress = show_feedback,
                             .user = h};
    bg_status s = bg_pruner_feedback(h->pruner, r, image, h->space.model, tokens, n_tokens, &o,
                                     err);
    return s == BG_ERR_INTERRUPTED ? BG_OK : s;
}

bg_status bg_search_run(bg_recipe **best, bg_image **image, const bg_model *m,
                        const int32_t *tokens, size_t n_tokens, const bg_search_options *o,
                        bg_search_result *result, bg_error *err)
{
    uint64_t layers = 0, reused = 0;
    bg_hunt h;
    bg_status s = open_hunt(&h, m, tokens, n_tokens, o, err);
    bool stopped = false;
    *best = NULL;
    if (image) *image = NULL;
    if (s == BG_OK) s = search(&h, err);
    if (s == BG_ERR_INTERRUPTED && h.evaluator) {
        stopped = true;
        s = stop(&h, err);
    }
    if (h.evaluator) bg_evaluator_work(h.evaluator, &layers, &reused);
    bg_evaluator_close(&h.evaluator); /* its memory is needed now */
    if (s == BG_OK) s = make_recipe(best, &h, err);
    if (s == BG_OK && image) s = make_image(image, &h, *best, err);
    if (s == BG_OK && image && o->feedback)
        s = feed_back(*image, &h, *best, tokens, n_tokens, err);
    if (s != BG_OK) {
        bg_recipe_free(best);
        if (image) bg_image_free(image);
    }
    if (s == BG_OK) {
        *result = (bg_search_result){
            .stopped = stopped, .kld = h.best.measured, .evaluations = h.evaluations,
            .asked = h.asked,
            .predicted_tps =
                o->min_tps > 0 ? 1 / bg_space_seconds(&h.space, h.best.picks) : (double)NAN,
            .file_bytes = h.best.bytes,
            .seconds = (double)(bg_clock_ns() - h.start_ns) * 1e-9,
            .reused = (double)reused / (double)BG_MAX(layers + reused, (uint64_t)1),
        };
    }
    close_hunt(&h, s == BG_OK && !stopped && !o->keep_checkpoint);
    return s;
}

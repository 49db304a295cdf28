#include "harness/rig.h"

#include <math.h>
#include <string.h>

bool bg_rig_progress(void *user, const bg_sweep_progress *p)
{
    bg_rig *rig = user;
    snprintf(rig->what, sizeof rig->what, "%s", p->what);
    rig->last = *p;
    rig->last.what = rig->what;
    return !rig->options->progress || rig->options->progress(rig->options->user, &rig->last);
}

bool bg_rig_alive(void *user, uint64_t done, uint64_t total)
{
    bg_rig *rig = user;
    (void)done;
    (void)total;
    return !rig->options->progress || rig->options->progress(rig->options->user, &rig->last);
}

bg_status bg_rig_open(bg_rig *rig, bg_error *err)
{
    const bg_plan *p = rig->plan;
    for (size_t i = 0; i < p->n_threads; i++) {
        bg_counters_options counting;
        BG_TRY(bg_team_open(&rig->teams[i], p->threads[i], bg_machine_bind, rig->machine, err));
        counting = (bg_counters_options){.team = rig->teams[i]};
        BG_TRY(bg_counters_open(&rig->counters[i], &counting, err));
        BG_TRY(bg_taints_open(&rig->taints[i], rig->machine, rig->teams[i], rig->counters[i], err));
    }
    for (size_t i = 0; i < p->n_engines; i++)
        BG_TRY(p->engines[i]->open(rig, &rig->runners[i], err));
    rig->logits = bg_alloc(bg_model_hparams(rig->source)->n_vocab, sizeof *rig->logits);
    rig->latencies = bg_alloc(p->n_gen, sizeof *rig->latencies);
    rig->lengths = bg_alloc(p->n_cells, sizeof *rig->lengths);
    if (!rig->logits || !rig->latencies || !rig->lengths) return bg_fail_nomem(err, "logits", 0);
    return BG_OK;
}

static void unload(void *user, size_t scheme)
{
    bg_rig *rig = user;
    for (size_t v = 0; v < BG_RIG_VARIANTS; v++) bg_session_close(&rig->sessions[scheme][v]);
    bg_model_close(&rig->models[scheme]);
    bg_image_free(&rig->images[scheme]);
}

void bg_rig_close(bg_rig *rig)
{
    for (size_t s = 0; s < BG_PLAN_MAX_SCHEMES; s++) unload(rig, s);
    for (size_t i = 0; i < BG_ENGINES; i++)
        if (rig->runners[i].user) rig->plan->engines[i]->close(&rig->runners[i]);
    bg_callgrind_close(&rig->callgrind);
    bg_reference_close(&rig->reference);
    bg_rig_search_close(rig);
    bg_importance_close(&rig->importance);
    bg_tokens_fini(&rig->tokens);
    bg_model_close(&rig->source);
    bg_shape_close(&rig->shape);
    bg_free(rig->logits);
    bg_free(rig->latencies);
    bg_free(rig->lengths);
    for (size_t i = 0; i < BG_PLAN_MAX_THREADS; i++) {
        for (size_t k = 0; k < BG_RIG_WATCHES; k++) bg_watch_close(&rig->watches[i][k].watch);
        bg_taints_close(&rig->taints[i]);
        bg_counters_close(&rig->counters[i]);
        bg_team_close(&rig->teams[i]);
    }
    bg_machine_close(&rig->machine);
}

size_t bg_rig_threads(const bg_plan *p, int threads)
{
    size_t i = 0;
    while (p->threads[i] != threads) i++;
    return i;
}

static size_t variant(const bg_plan *p, const bg_cell *c)
{
    return (size_t)c->isa * BG_PLAN_MAX_THREADS + bg_rig_threads(p, c->threads);
}

bg_status bg_rig_session(bg_rig *rig, const bg_model *m, bg_isa isa, size_t index,
                         bg_session **out, bg_error *err)
{
    const bg_plan *p = rig->plan;
    bg_session_options o = {.n_ctx = p->depth + BG_MAX(p->n_prompt, p->n_gen + 1),
                            .n_batch = BG_BATCH, .isa = isa, .team = rig->teams[index]};
    bg_status status;
    BG_TRY(bg_session_open(out, m, &o, err));
    status = bg_session_fits(*out, rig->machine, err);
    if (status != BG_OK) bg_session_close(out);
    return status;
}

const bg_importance *bg_rig_importance(const bg_rig *rig, size_t scheme)
{
    const bg_scheme *s = rig->plan->schemes[scheme];
    return s && bg_scheme_wants_importance(s) ? rig->importance : NULL;
}

bg_status bg_rig_plan_bytes(const bg_rig *rig, size_t scheme, uint64_t *bytes, bg_error *err)
{
    const bg_scheme *s = rig->plan->schemes[scheme];
    return s ? bg_model_plan_bytes(rig->source, s, bytes, err)
             : bg_rig_searched_bytes(rig, scheme, bytes, err);
}

static bg_status make_model(bg_rig *rig, size_t scheme, bg_model **m, bg_error *err)
{
    const bg_scheme *s = rig->plan->schemes[scheme];
    const bg_image *image;
    if (s)
        return bg_model_quantize(m, rig->source, s, bg_rig_importance(rig, scheme),
                                 rig->teams[rig->plan->n_threads - 1], NULL, NULL, err);
    BG_TRY(bg_rig_image(rig, scheme, &image, err));
    return bg_model_open_memory(m, image->data, image->bytes, bg_plan_name(rig->plan, scheme), err);
}

static bg_status load(void *user, size_t scheme, bg_error *err)
{
    bg_rig *rig = user;
    bg_team *team = rig->teams[rig->plan->n_threads - 1];
    uint64_t start = bg_clock_ns(), bytes;
    uint64_t available = bg_machine_memory_available(rig->machine);
    char needs[32], has[32];
    BG_TRY(bg_rig_plan_bytes(rig, scheme, &bytes, err));
    /* Linux promises memory that it does not have, and then kills. */
    if (bytes > available)
        return bg_fail(err, BG_ERR_NOMEM, NULL, "its weights take %s and %s are free: close other "
                       "programs or leave the scheme out",
                       bg_format_size(needs, sizeof needs, (double)bytes),
                       bg_format_size(has, sizeof has, (double)available));
    BG_TRY(make_model(rig, scheme, &rig->models[scheme], err));
    rig->quantize_seconds[scheme] = (double)(bg_clock_ns() - start) * 1e-9;
    BG_TRY(bg_model_pack(rig->models[scheme], team, err));
    rig->load_seconds[scheme] = (double)(bg_clock_ns() - start) * 1e-9;
    return BG_OK;
}

static void start_counting(void *user)
{
    bg_rig *rig = user;
    bg_counters_start(rig->counting);
}

static void stop_counting(void *user)
{
    bg_rig *rig = user;
    bg_counters_stop(rig->counting, rig->counts);
}

/* The watch of what bounds a cell; NULL when there is none. */
static bg_watch *find_watch(bg_rig *rig, const bg_cell *c, const bg_bound *b)
{
    size_t index = bg_rig_threads(rig->plan, c->threads), i = 0;
    bg_rig_watch *w = rig->watches[index];
    bg_error why;
    if (isnan(b->tps) || !rig->plan->watch_roofs) return NULL;
    while (w[i].name[0] && strcmp(w[i].name, b->name) != 0) i++;
    if (!w[i].name[0]) {
        memcpy(w[i].name, b->name, sizeof w[i].name);
        w[i].failed = bg_watch_open(&w[i].watch, b, rig->machine, rig->teams[index], &why) != BG_OK;
        if (w[i].failed)
            bg_log(BG_LOG_WARN, "the roof '%s' is that of the start: %s", b->name, why.message);
    }
    return w[i].failed ? NULL : &w[i].watch;
}

static uint32_t prompt_of(const bg_cell *c) { return c->kind == BG_TEST_PP ? c->n : 0; }

bg_bound bg_rig_bound(const bg_rig *rig, const bg_model *m, const bg_cell *c)
{
    bg_bound b;
    bg_load load = {.n_prompt = prompt_of(c), .n_gen = c->n - prompt_of(c), .depth = c->depth,
                    .batch = BG_BATCH, .isa = c->isa, .threads = c->threads};
    bg_bound_find(&b, m, rig->machine, &load);
    return b;
}

static bg_status repeat(void *user, const bg_cell *c, bool timed, bg_sample *sample, bg_error *err)
{
    bg_rig *rig = user;
    size_t index = bg_rig_threads(rig->plan, c->threads);
    bg_session **session = &rig->sessions[c->scheme][variant(rig->plan, c)];
    bg_timed t = {.n_prompt = prompt_of(c), .n_gen = c->n - prompt_of(c), .depth = c->depth,
                  .batch = BG_BATCH, .tokens = &rig->tokens, .logits = rig->logits};
    bg_bound bound;
    double *length = &rig->lengths[c - rig->plan->cells];
    if (!*session)
        BG_TRY(bg_rig_session(rig, rig->models[c->scheme], c->isa, index, session, err));
    t.session = *session;
    if (!timed) {
        BG_TRY(bg_time_test(&t, length, err));
        sample->seconds = *length;
        return BG_OK;
    }
    bound = bg_rig_bound(rig, rig->models[c->scheme], c);
    t.watch = find_watch(rig, c, &bound);
    if (t.watch) t.watch->length = *length;
    rig->counting = rig->counters[index];
    t.latencies = c->kind == BG_TEST_TG ? rig->latencies : NULL;
    t.on_start = start_counting;
    t.on_stop = stop_counting;
    t.user = rig;
    bg_taints_begin(rig->taints[index]);
    BG_TRY(bg_time_test(&t, &sample->seconds, err));
    memcpy(sample->counters, rig->counts, sizeof rig->counts);
    bg_taints_end(rig->taints[index], sample);
    *length = sample->seconds;
    sample->tokens = c->n;
    sample->roof_tps = t.watch ? bound.tps * t.watch->condition : (double)NAN;
    sample->ttft_ms = c->kind == BG_TEST_PP ? sample->seconds * 1e3 : (double)NAN;
    sample->itl_ms = t.latencies;
    sample->itl_count = t.latencies ? c->n : 0;
    return BG_OK;
}

static bool is_predicted(const bg_rig *rig, const bg_cell *c)
{
    const bg_model *m = rig->models[c->scheme];
    return m && bg_model_layers_held(m) < bg_model_hparams(m)->n_layer;
}

static bg_status energy(void *user, const bg_cell *c, bg_energy *out, bg_error *err)
{
    bg_rig *rig = user;
    bg_timed t = {.n_prompt = prompt_of(c), .n_gen = c->n - prompt_of(c), .depth = c->depth,
                  .batch = BG_BATCH, .tokens = &rig->tokens, .logits = rig->logits,
                  .session = rig->sessions[c->scheme][variant(rig->plan, c)]};
    *out = (bg_energy){.joules = NAN};
    if (is_predicted(rig, c)) return BG_OK; /* not all layers run */
    return bg_energy_test(rig->counters[bg_rig_threads(rig->plan, c->threads)], &t, bg_time_test,
                          out, err);
}

static bg_status quality(void *user, const bg_cell *c, bg_quality *q, bg_error *err)
{
    bg_rig *rig = user;
    bg_quality_options o = {.n_ctx = BG_WINDOW, .max_windows = rig->windows, .spread = true,
                            .isa = c->isa, .activations = c->activations,
                            .team = rig->teams[bg_rig_threads(rig->plan, c->threads)],
                            .cache_bytes = rig->cache_bytes, .progress = bg_rig_alive,
                            .user = rig};
    bg_model *fresh = NULL;
    bg_status status;
    if (!rig->reference)
        BG_TRY(bg_reference_open(&rig->reference, rig->source, rig->tokens.data,
                                 rig->tokens.count, &o, err));
    if (!c->activations)
        return bg_quality_measure(rig->reference, rig->models[c->scheme], &o, q, err);
    /* The one that is timed was packed, which leaves nothing to decode. */
    BG_TRY(make_model(rig, c->scheme, &fresh, err));
    status = bg_quality_measure(rig->reference, fresh, &o, q, err);
    bg_model_close(&fresh);
    return status;
}

static bool still_alive(void *user) { return bg_rig_alive(user, 0, 0); }

static bg_status count(void *user, const bg_cell *c, double per_token[BG_SIM_COUNT], bg_error *err)
{
    bg_rig *rig = user;
    bg_sim_test t = {.isa = c->isa, .depth = c->depth};
    *(c->kind == BG_TEST_PP ? &t.n_prompt : &t.n_gen) = c->n;
    if (rig->simulated != c->scheme + 1) {
        rig->simulated = 0;
        BG_TRY(bg_callgrind_model(rig->callgrind, bg_gguf_path(bg_model_gguf(rig->source)),
                                  rig->plan->schemes[c->scheme], bg_rig_importance(rig, c->scheme),
                                  rig->teams[rig->plan->n_threads - 1], still_alive, rig, err));
        rig->simulated = c->scheme + 1;
    }
    return bg_callgrind_count(rig->callgrind, &t, still_alive, rig, per_token, err);
}

/* What decoding alone needs: the session of the sweep also has room for a prompt's batch. */
static double decode_scratch(const bg_rig *rig, const bg_model *m, const bg_cell *c)
{
    bg_session_options o = {.n_ctx = 1, .n_batch = 1, .isa = c->isa,
                            .team = rig->teams[bg_rig_threads(rig->plan, c->threads)]};
    bg_session *s;
    double bytes;
    if (bg_session_open(&s, m, &o, NULL) != BG_OK) return NAN;
    bytes = (double)bg_session_scratch_bytes(s);
    bg_session_close(&s);
    return bytes;
}

/* Nothing that was timed is in the row of a simulated cell. */
static void describe_loading(const bg_rig *rig, const bg_cell *c, bg_row *row)
{
    if (c->simulated) {
        bg_row_set_absent(row, BG_COL_LOAD_S, "not a timed test");
        bg_row_set_absent(row, BG_COL_QUANTIZE_S, "not a timed test");
        return;
    }
    bg_row_set_number(row, BG_COL_LOAD_S, rig->load_seconds[c->scheme]);
    if (!rig->shape)
        bg_row_set_number(row, BG_COL_QUANTIZE_S, rig->quantize_seconds[c->scheme]);
    else
        bg_row_set_absent(row, BG_COL_QUANTIZE_S, "random weights are made in the format");
}

static void describe_growth(const bg_model *m, bg_row *row)
{
    double token, window, positions;
    bg_model_kv_growth(m, BG_BATCH, &token, &window, &positions);
    bg_row_set_number(row, BG_COL_KV_TOKEN, token);
    bg_row_set_number(row, BG_COL_KV_WINDOW_B, window);
    bg_row_set_number(row, BG_COL_KV_WINDOW_N, positions);
}

void bg_rig_describe_model(const bg_rig *rig, const bg_model *m, bg_row *row)
{
    const bg_model *own = m ? m : rig->source; /* pruned, it has fewer weights, a smaller cache */
    char formats[128];
    bg_row_set_text(row, BG_COL_MODEL, bg_model_hparams(rig->source)->name);
    bg_row_set_number(row, BG_COL_MODEL_PARAMS, (double)bg_model_hparams(own)->n_params);
    describe_growth(own, row);
    if (bg_format_get((int)bg_main_format(rig->source))->block_weights > 1) {
        bg_formats_used(rig->source, formats, sizeof formats);
        bg_row_set_text(row, BG_COL_SOURCE_FORMATS, formats);
    }
    if (!m) return;
    bg_formats_used(m, formats, sizeof formats);
    bg_row_set_text(row, BG_COL_FORMATS, formats);
    bg_row_set_number(row, BG_COL_BPW, bg_model_bpw(m));
    bg_row_set_number(row, BG_COL_WEIGHT_BYTES, (double)bg_model_weight_bytes(m));
    bg_row_set_number(row, BG_COL_LAYERS, bg_model_layers_held(m));
}

static void describe(void *user, const bg_cell *c, bg_row *row)
{
    const bg_rig *rig = user;
    const bg_model *m = rig->models[c->scheme];
    const bg_session *s;
    double scratch, kv;
    bg_rig_describe_model(rig, m, row);
    bg_row_set_text(row, BG_COL_ENGINE_VER, bg_version());
    bg_rig_describe_making(rig, c->scheme, row);
    if (!m) return;
    describe_loading(rig, c, row);
    if (is_predicted(rig, c)) bg_row_set_text(row, BG_COL_SOURCE, "predicted");
    if (c->kind == BG_TEST_QUALITY) return;
    bg_row_set_text(row, BG_COL_TIER,
                    bg_tier_name(bg_kernel_find(bg_main_format(m),
                                                c->kind == BG_TEST_PP ? BG_OP_GEMM : BG_OP_GEMV,
                                                c->isa)->tier));
    /* The session of the child is no more. */
    s = c->simulated ? NULL : rig->sessions[c->scheme][variant(rig->plan, c)];
    if (!s) return;
    /* That of the whole model, whatever part of it is here. */
    kv = (double)bg_session_kv_bytes(s) * bg_model_hparams(m)->n_layer / bg_model_layers_held(m);
    bg_row_set_number(row, BG_COL_KV_BYTES, kv);
    scratch = c->kind == BG_TEST_TG ? decode_scratch(rig, m, c)
                                    : (double)bg_session_scratch_bytes(s);
    bg_row_set_number(row, BG_COL_SCRATCH, scratch);
    bg_row_set_number(row, BG_COL_RSS_BYTES,
                      (double)bg_model_weight_bytes(m) + kv + scratch);
}

static const bg_column energy_columns[] = {BG_COL_J_TOKEN, BG_COL_J_TOKEN_NET, BG_COL_WATTS,
                                           BG_COL_IDLE_WATTS, BG_COL_ENERGY_S, BG_COL_ENERGY_SRC};

void bg_rig_set_energy_absent(bg_row *row, const char *reason)
{
    for (size_t i = 0; i < BG_COUNT(energy_columns); i++) {
        if (bg_row_has(row, energy_columns[i])) continue;
        bg_row_set_absent(row, energy_columns[i], reason);
    }
}

/* From a window, else from all repetitions together where these are long enough for the meter. */
static void derive_energy(const bg_rig *rig, const bg_cell *c, bg_row *row)
{
    const bg_counters *counters = rig->counters[bg_rig_threads(rig->plan, c->threads)];
    double seconds = bg_row_number(row, BG_COL_REPS) *
                     (bg_row_number(row, BG_COL_N_PROMPT) + bg_row_number(row, BG_COL_N_GEN)) /
                     bg_row_number(row, BG_COL_TPS);
    double period = bg_counters_energy_period(counters);
    const char *reason = bg_counters_reason(counters, BG_COUNTER_ENERGY_PACKAGE);
    char text[128];
    if (c->energy.joules > 0) {
        bg_energy_fill(row, &c->energy, &rig->idle);
        bg_rig_set_energy_absent(row, "idle power could not be metered");
        return;
    }
    if (bg_row_has(row, BG_COL_J_TOKEN) && !(seconds < 10 * period)) {
        bg_rig_set_energy_absent(row, "there was no window: the time was over, or the meter is too "
                                 "slow");
        return;
    }
    if (bg_row_has(row, BG_COL_J_TOKEN) || !reason) {
        snprintf(text, sizeof text, "the meter moves every %.3g s and the test ran for %.3g s",
                 period, seconds);
        reason = text;
    }
    for (size_t i = 0; i < BG_COUNT(energy_columns); i++) bg_row_clear(row, energy_columns[i]);
    bg_rig_set_energy_absent(row, reason);
}

void bg_rig_drop_counters(bg_row *row, const char *reason)
{
    for (size_t i = 0; i < BG_COUNT(energy_columns); i++) bg_row_clear(row, energy_columns[i]);
    bg_rig_set_energy_absent(row, reason);
#define BG_COUNTER(NAME, name, unit, per, better, width, title) \
    bg_row_clear(row, BG_COL_COUNTER_##NAME);                   \
    bg_row_set_absent(row, BG_COL_COUNTER_##NAME, reason);
#include "bitgauge/counters.def"
}

static void derive(void *user, const bg_cell *c, bg_row *row)
{
    bg_rig *rig = user;
    const bg_model *m = rig->models[c->scheme];
    const bg_counters *counters;
    double tps = bg_row_number(row, BG_COL_TPS);
    bg_bound b;
    if (!m || !bg_cell_timed(c) || isnan(tps)) return;
    counters = rig->counters[bg_rig_threads(rig->plan, c->threads)];
    b = bg_rig_bound(rig, rig->models[c->scheme], c);
    bg_row_set_number(row, BG_COL_GBPS, b.bytes * tps * 1e-9);
    bg_row_set_number(row, BG_COL_GFLOPS, b.flops * tps * 1e-9);
    bg_fill_roof(row, &b);
    if (is_predicted(rig, c)) {
        /* What was counted while some layers ran is not the whole model's. */
        bg_rig_drop_counters(row, "speed is predicted: not all layers ran");
        return;
    }
    derive_energy(rig, c, row);
#define BG_COUNTER(NAME, name, unit, per, better, width, title)                            \
    if (!bg_row_has(row, BG_COL_COUNTER_##NAME) &&                                         \
        bg_counters_reason(counters, BG_COUNTER_##NAME))                                   \
        bg_row_set_absent(row, BG_COL_COUNTER_##NAME,                                      \
                          bg_counters_reason(counters, BG_COUNTER_##NAME));
#include "bitgauge/counters.def"
}

static double now(void *user)
{
    (void)user;
    return (double)bg_clock_ns() * 1e-9;
}

static bg_status open_builtin(bg_rig *rig, bg_runner *out, bg_error *err)
{
    (void)err;
    *out = (bg_runner){.load = load, .unload = unload, .repeat = repeat, .energy = energy,
                       .quality = quality, .count = count, .describe = describe,
                       .derive = derive, .now = now, .user = rig};
    return BG_OK;
}

/* The rig goes with the sweep. */
static void close_builtin(bg_runner *runner) { (void)runner; }

static bool always(const bg_sweep_options *o)
{
    (void)o;
    return true;
}

const bg_engine bg_engine_builtin = {"bitgauge", "builtin", false, always, open_builtin,
                                     close_builtin};

/* How the numbers came about. */
#include "report/report.h"

#include <math.h>
#include <string.h>

static double setting(const report *r, const char *key)
{
    const json_t *v = json_object_get(json_object_get(r->plan, "settings"), key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static void put_model(const report *r, doc *d)
{
    const json_t *settings = json_object_get(r->plan, "settings");
    const json_t *model = json_object_get(settings, "model"),
                 *text = json_object_get(settings, "text");
    const char *file = json_string_value(json_object_get(model, "file"));
    const char *text_file = json_string_value(json_is_object(text) ? json_object_get(text, "file")
                                                                   : NULL);
    const char *created = json_string_value(json_object_get(r->plan, "created"));
    const char *profile = json_string_value(json_object_get(r->plan, "profile"));
    const char *version = json_string_value(json_object_get(r->plan, "bitgauge"));
    double params = json_number_value(json_object_get(model, "params"));
    const char *shape = json_string_value(json_object_get(model, "shape"));
    if (shape)
        bg_doc_item(d, "Model: the shape `%s`, %.0f weights that are random, made in each scheme's "
                       "formats: speed and memory are the model's, quality is not", shape, params);
    if (file)
        bg_doc_item(d, params > 0 ? "Model: `%s`, %.0f weights; quantized in memory from the file"
                                  : "Model: `%s`; quantized in memory from the file", file, params);
    if (text_file) bg_doc_item(d, "Text for quality: `%s`", text_file);
    else if (json_is_string(text) && !shape)
        bg_doc_item(d,
                    "Text for quality: written by the model itself (temperature 1, no filters), "
                    "so KL divergence samples what quantization changes in its own distribution");
    if (created)
        bg_doc_item(d, "Measured %s by bitgauge %s, profile %s", created, version ? version : "?",
                    profile ? profile : "?");
    if (!isnan(setting(r, "seed"))) bg_doc_item(d, "Seed: %.0f", setting(r, "seed"));
}

static void put_tests(const report *r, doc *d)
{
    double least = INFINITY, most = 0, capped = 0, tainted = 0, windows = 0;
    double worst = INFINITY, best = 0;
    size_t timed = 0;
    for (size_t i = 0; i < bg_results_row_count(r->results); i++) {
        const bg_row *row = bg_results_row(r->results, i);
        double reps = bg_row_number(row, BG_COL_REPS), w = bg_row_number(row, BG_COL_WINDOWS);
        double condition = bg_row_number(row, BG_COL_ROOF_COND);
        if (w > windows) windows = w;
        if (condition > 0) {
            worst = BG_MIN(worst, condition);
            best = BG_MAX(best, condition);
        }
        if (!(reps > 0)) continue;
        timed++;
        least = BG_MIN(least, reps);
        most = BG_MAX(most, reps);
        capped += bg_row_number(row, BG_COL_CAPPED) > 0;
        tainted += bg_row_number(row, BG_COL_TAINTED) > 0;
    }
    if (!isnan(setting(r, "n_prompt")))
        bg_doc_item(d, "Tests: a prompt of %.0f tokens (prefill), then %.0f tokens one after the "
                       "other (decode), behind %.0f tokens of context", setting(r, "n_prompt"),
                    setting(r, "n_gen"), isnan(setting(r, "depth")) ? 0 : setting(r, "depth"));
    if (timed) {
        char reps[64];
        snprintf(reps, sizeof reps, least < most ? "%.0f to %.0f" : "%.0f", least, most);
        bg_doc_item(d, "%zu cells were timed, %s repetition%s each, all interleaved in random "
                       "order so that drift hits them alike; %.0f stopped at the cap of "
                       "repetitions before the interval was narrow, %.0f hold repetitions with a "
                       "known disturbance", timed, reps, most > 1 ? "s" : "", capped, tainted);
        bg_doc_item(d, "Speeds are medians; intervals are 95 %% bootstrap intervals of the median. "
                       "Two speeds count as equal when each median lies in the other's interval. "
                       "Outliers are kept");
    }
    if (best > 0)
        bg_doc_item(d, "What bounds a test was read again just before and after each repetition: "
                       "shares are of the roof as it was then, %.2f to %.2f times that of the "
                       "start", worst, best);
    if (windows > 0)
        bg_doc_item(d,
                    "Quality: perplexity and KL divergence over %.0f windows, the second half of "
                    "each scored, as llama.cpp's perplexity tool does it",
                    windows);
}

static bool some_rule_watches(const json_t *list, const char *cause)
{
    const json_t *one;
    size_t i;
    json_array_foreach(list, i, one) {
        const char *name = bg_report_json_text(one, "cause");
        if (name && strcmp(name, cause) == 0 && json_is_true(json_object_get(one, "watched")))
            return true;
    }
    return false;
}

/* "preemption (12)", "steal (3)", ... of the repetitions; what cannot be seen is said, too. */
static void put_disturbances(const report *r, doc *d)
{
    const json_t *list = json_object_get(r->machine, "disturbances"), *one;
    size_t n = bg_results_sample_count(r->results), outliers = 0, i;
    bg_text seen = {0}, unseen = {0};
    const char *last = "";
    for (size_t k = 0; k < n; k++) outliers += bg_results_sample(r->results, k)->outlier[0] != 0;
    json_array_foreach(list, i, one) {
        const char *cause = bg_report_json_text(one, "cause");
        const char *reason = bg_report_json_text(one, "reason");
        size_t tainted = 0;
        if (!cause) continue;
        if (!json_is_true(json_object_get(one, "watched")))
            bg_text_printf(&unseen, "%s%s%s (%s)", unseen.length ? ", " : "", cause,
                           some_rule_watches(list, cause) ? " in part" : "",
                           reason ? reason : "no reason is given");
        if (strcmp(cause, last) == 0) continue; /* by another rule */
        last = cause;
        for (size_t k = 0; k < n; k++)
            tainted += strstr(bg_results_sample(r->results, k)->tainted, cause) != NULL;
        if (tainted) bg_text_printf(&seen, "%s%s (%zu)", seen.length ? ", " : "", cause, tainted);
    }
    if (n && i)
        bg_doc_item(d, "Of %zu repetitions %zu lie outside Tukey's fences; disturbances were seen "
                       "in some: %s. All of them count", n, outliers,
                       seen.data ? seen.data : "none");
    if (unseen.data) bg_doc_item(d, "What could not be watched here: %s", unseen.data);
    d->failed |= seen.failed || unseen.failed;
    bg_text_fini(&seen);
    bg_text_fini(&unseen);
}

void bg_section_methods(const report *r, doc *d)
{
    bg_doc_heading(d, 2, "How it was measured");
    put_model(r, d);
    put_tests(r, d);
    put_disturbances(r, d);
    bg_doc_item(d,
                "The balanced pick is the knee of the front of quality against speed: the scheme "
                "farthest above the chord from a lossless model to one %.0f times as fast that is "
                "useless, with speed v and KL divergence k scored as ln(v) / ln(%.0f) - "
                "ln(1 + k / %.2f) / ln(1 + %.0f / %.2f)",
                BG_ADVISE_SPEED_SPAN, BG_ADVISE_SPEED_SPAN, BG_ADVISE_FELT_KLD,
                BG_ADVISE_USELESS_KLD, BG_ADVISE_FELT_KLD);
    bg_doc_item(d,
                "Raw repetitions are in `samples.csv`, all columns in `results.csv`, the plan in "
                "`plan.json`, the machine in `machine.json`");
}

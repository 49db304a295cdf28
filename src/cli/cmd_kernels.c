#include "bitgauge/kernel.h"
#include "bitgauge/machine.h"
#include "bitgauge/shape.h"
#include "cli/json.h"

#include <math.h>
#include <string.h>

/* Matrices of one size, and the tensors of a shape that are such: "attn_q, attn_output". */
typedef struct matrix { char names[96]; int rows, k; } matrix;

enum { MAX_MATRICES = 16 };

typedef struct request {
    bool check, bench, json;
    const char *format_name, *isa_name, *shape_name;
    matrix matrices[MAX_MATRICES];
    size_t n_matrices;
    int rows, k, cols;
    double seconds;
    bg_format format;  /* BG_FORMAT_NONE: all */
    int isa;           /* -1: all that work */
} request;

static bool wanted(const request *q, const bg_kernel *kernel)
{
    if (q->format != BG_FORMAT_NONE && q->format != kernel->format) return false;
    return q->isa < 0 || q->isa == (int)kernel->isa;
}

static int list(const request *q)
{
    json_t *kernels = json_array(), *isas = json_array();
    if (!q->json)
        printf("%-8s%-6s%-12s%-9s%s\n", "format", "op", "isa", "tier", "activation");
    for (size_t i = 0; bg_kernel_at(i); i++) {
        const bg_kernel *k = bg_kernel_at(i);
        const char *format = bg_format_get(k->format)->name,
                   *activation = bg_format_get(k->activation)->name;
        if (!wanted(q, k)) continue;
        if (!q->json)
            printf("%-8s%-6s%-12s%-9s%s\n", format, bg_op_name(k->op), bg_isa_name(k->isa),
                   bg_tier_name(k->tier), activation);
        json_array_append_new(kernels, json_pack("{s:s, s:s, s:s, s:s, s:s}", "format", format,
                              "op", bg_op_name(k->op), "isa", bg_isa_name(k->isa), "tier",
                              bg_tier_name(k->tier), "activation", activation));
    }
    if (!q->json) printf("\n");
    for (int i = 0; i < BG_ISA_COUNT; i++) {
        const char *reason;
        bool usable = bg_isa_usable((bg_isa)i, &reason);
        if (!q->json)
            printf("%s: %s\n", bg_isa_name((bg_isa)i), usable ? "works here" : reason);
        json_array_append_new(isas, json_pack("{s:s, s:b, s:s?}", "name", bg_isa_name((bg_isa)i),
                              "usable", usable, "reason", reason));
    }
    if (q->json)
        return bg_cli_print_json(json_pack("{s:o, s:o}", "kernels", kernels, "isas", isas));
    json_decref(kernels);
    json_decref(isas);
    return BG_EXIT_OK;
}

/* One line a format and instruction set, then the sum. */
static int check(const request *q)
{
    bg_kernel_check sum = {0, 0};
    json_t *lines = json_array();
    bg_error err;
    for (int isa = 0; isa < BG_ISA_COUNT; isa++) {
        const char *reason;
        if (q->isa >= 0 && q->isa != isa) continue;
        if (!bg_isa_usable((bg_isa)isa, &reason)) {
            fprintf(stderr, "%s: not checked, %s\n", bg_isa_name((bg_isa)isa), reason);
            continue;
        }
        for (size_t i = 0; bg_format_at(i); i++) {
            const bg_format_info *f = bg_format_at(i);
            bg_kernel_check one = {0, 0};
            if (f->level == 0 || (q->format != BG_FORMAT_NONE && q->format != f->format)) continue;
            if (bg_kernel_check_all(f->format, isa, (size_t)q->cols, stderr, &one, &err) != BG_OK) {
                json_decref(lines);
                return bg_cli_fail(&err);
            }
            sum.passed += one.passed;
            sum.failed += one.failed;
            if (!q->json)
                printf("%-8s%-8s%8zu passed%s\n", f->name, bg_isa_name((bg_isa)isa), one.passed,
                       one.failed ? "  FAILED" : "");
            json_array_append_new(lines, json_pack("{s:s, s:s, s:I, s:I}", "format", f->name, "isa",
                                  bg_isa_name((bg_isa)isa), "passed", (json_int_t)one.passed,
                                  "failed", (json_int_t)one.failed));
        }
    }
    if (q->json) {
        bg_cli_print_json(json_pack("{s:o, s:I, s:I}", "kernels", lines, "passed",
                          (json_int_t)sum.passed, "failed", (json_int_t)sum.failed));
    } else {
        json_decref(lines);
        printf("%zu passed, %zu failed\n", sum.passed, sum.failed);
    }
    return sum.failed ? BG_EXIT_NO : BG_EXIT_OK;
}

/* What bounds a kernel: GEMV reads each weight once, so memory does; GEMM uses it for every column,
 * so arithmetic does. Returns the share reached, NaN if the roof is not known. */
static double roof_share(const bg_machine *m, const bg_kernel *k, const bg_kernel_timing *t,
                         const char **roof)
{
    bool floats = k->activation == BG_FORMAT_F32 || k->activation == BG_FORMAT_BF16;
    if (k->op == BG_OP_GEMV) {
        *roof = "memory";
        return t->weight_gbs / bg_machine_roof(m, BG_ROOF_READ, "memory", NULL, 1);
    }
    *roof = floats ? "flop" : "int8op";
    return t->gflops / bg_machine_roof(m, floats ? BG_ROOF_FLOP : BG_ROOF_INT8, NULL,
                                       bg_isa_name(k->isa), 1);
}

static bool bench_progress(void *user, uint64_t done, uint64_t total)
{
    bg_cli_progress_show(user, (double)done / (double)total);
    return !bg_cli_interrupted();
}

static bg_status bench_kernel(const request *q, const bg_machine *m, const matrix *a,
                              const bg_kernel *k, json_t *out, bg_error *err)
{
    size_t cache = bg_machine_cache_bytes(m, 3), footprint = 4 * BG_MAX(cache, (size_t)16 << 20);
    const char *format = bg_format_get(k->format)->name, *roof;
    bg_kernel_timing t;
    double share;
    size_t cols = k->op == BG_OP_GEMV ? 1 : (size_t)q->cols;
    BG_TRY(bg_kernel_time(k, (size_t)a->rows, (size_t)a->k, cols,
                          k->op == BG_OP_GEMV ? footprint : 0, q->seconds, &t, err));
    share = roof_share(m, k, &t, &roof);
    if (!q->json) {
        printf("%-8s%-6s%-12s%-9s%6zu%12.1f%10.2f%11.1f", format, bg_op_name(k->op),
               bg_isa_name(k->isa), bg_tier_name(k->tier), cols, t.seconds * 1e6, t.weight_gbs,
               t.gflops);
        if (isfinite(share)) printf("%7.0f %% of %s\n", 100 * share, roof);
        else printf("%9s of %s\n", "?", roof);
        fflush(stdout);
    }
    json_array_append_new(out, json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:I, s:f, s:I, s:f, s:f, s:s, s:o}", "format", format,
        "op", bg_op_name(k->op), "isa", bg_isa_name(k->isa), "tier", bg_tier_name(k->tier),
        "matrix", a->names, "rows", a->rows, "k", a->k, "cols", (json_int_t)cols, "seconds",
        t.seconds, "runs", (json_int_t)t.runs, "weight_gb_per_s", t.weight_gbs, "gflop_per_s",
        t.gflops, "roof", roof, "roof_share", isfinite(share) ? json_real(share) : json_null()));
    return BG_OK;
}

/* Every kernel that is wanted on one size of matrix. Formats whose blocks do not fit its rows are
 * not used for it. */
static bg_status bench_matrix(const request *q, const bg_machine *m, const matrix *a, json_t *out,
                              bg_error *err)
{
    if (!q->json)
        printf("%s%s%d rows of %d weights\n\n%-8s%-6s%-12s%-9s%6s%12s%10s%11s  %s\n", a->names,
               *a->names ? ": " : "", a->rows, a->k, "format", "op", "isa", "tier", "cols", "us",
               "GB/s", "GFLOP/s", "share of roof");
    for (size_t i = 0; bg_kernel_at(i); i++) {
        const bg_kernel *k = bg_kernel_at(i);
        if (!wanted(q, k) || !bg_isa_usable(k->isa, NULL)) continue;
        if (a->k % (int)bg_format_get(k->format)->block_weights) continue;
        if (bg_cli_interrupted()) return bg_fail(err, BG_ERR_INTERRUPTED, NULL, "interrupted");
        BG_TRY(bench_kernel(q, m, a, k, out, err));
    }
    if (!q->json) printf("\n");
    return BG_OK;
}

static int bench(const request *q)
{
    bg_cli_progress progress = {.what = "measuring the roofs"};
    json_t *lines = json_array();
    bg_machine *m = NULL;
    bg_error err;
    bg_cli_catch_interrupt();
    bg_status s = bg_machine_open(
        &m, &(bg_machine_options){.progress = bench_progress, .user = &progress}, &err);
    if (s == BG_OK) bg_machine_bind(m, 0);
    if (s == BG_OK) s = bg_machine_measure(m, 1, &err);
    bg_cli_progress_end(&progress);
    if (s == BG_OK && !q->json) printf("One thread.\n\n");
    for (size_t i = 0; s == BG_OK && i < q->n_matrices; i++)
        s = bench_matrix(q, m, &q->matrices[i], lines, &err);
    bg_machine_close(&m);
    if (s == BG_OK && q->json) return bg_cli_print_json(json_pack("{s:o}", "kernels", lines));
    json_decref(lines);
    return s == BG_OK ? BG_EXIT_OK : bg_cli_fail(&err);
}

/* "blk.0.attn_q.weight" -> "attn_q" */
static void add_matrix(request *q, const bg_tensor *t)
{
    const char *name = strncmp(t->name, "blk.0.", 6) == 0 ? t->name + 6 : t->name;
    int n = (int)strcspn(name, ".");
    for (size_t i = 0; i < q->n_matrices; i++) {
        matrix *a = &q->matrices[i];
        size_t used = strlen(a->names);
        if (a->k != (int)t->ne[0] || a->rows != (int)t->ne[1]) continue;
        snprintf(a->names + used, sizeof a->names - used, ", %.*s", n, name);
        return;
    }
    if (q->n_matrices == MAX_MATRICES) return;
    q->matrices[q->n_matrices] = (matrix){.rows = (int)t->ne[1], .k = (int)t->ne[0]};
    snprintf(q->matrices[q->n_matrices++].names, sizeof q->matrices->names, "%.*s", n, name);
}

/* The sizes to time: those asked for, or those of a shape's first layer and output. */
static bg_status find_matrices(request *q, bg_error *err)
{
    const bg_gguf *g;
    bg_shape *shape;
    if (!q->shape_name) {
        q->matrices[q->n_matrices++] = (matrix){"", q->rows, q->k};
        return BG_OK;
    }
    BG_TRY(bg_shape_open(&shape, q->shape_name, err));
    g = bg_shape_gguf(shape);
    for (size_t i = 0; i < bg_gguf_tensor_count(g); i++) {
        const bg_tensor *t = bg_gguf_tensor_at(g, i);
        bool layer = strncmp(t->name, "blk.", 4) == 0;
        bool table = strstr(t->name, "token_embd") != NULL;
        if (t->n_dims < 2 || (layer && strncmp(t->name, "blk.0.", 6) != 0)) continue;
        if (table && bg_gguf_tensor_find(g, "output.weight")) continue; /* looked up only */
        add_matrix(q, t);
    }
    bg_shape_close(&shape);
    return BG_OK;
}

/* Names into numbers. The set's own kernels are meant, not those that it implies. */
static bg_status resolve(request *q, bg_error *err)
{
    bg_isa isa;
    if (q->isa_name) {
        BG_TRY(bg_isa_parse(q->isa_name, &isa, err));
        q->isa = (int)isa;
    }
    if (q->format_name) {
        const bg_format_info *f = bg_format_find(q->format_name);
        if (!f || f->level == 0)
            return bg_fail(err, BG_ERR_INPUT, NULL,
                           "'%s' is no weight format: see `bitgauge kernels` for those there are",
                           q->format_name);
        q->format = f->format;
    }
    if (q->bench && q->isa < 0) {
        BG_TRY(bg_isa_parse("native", &isa, err));
        q->isa = (int)isa;
    }
    if (q->bench && q->cols == 0) q->cols = 64;
    for (size_t i = 0; q->bench && !q->shape_name && bg_kernel_at(i); i++) {
        const bg_format_info *f = bg_format_get(bg_kernel_at(i)->format);
        if (wanted(q, bg_kernel_at(i)) && q->k % (int)f->block_weights != 0)
            return bg_fail(err, BG_ERR_INPUT, NULL, "-k %d: rows of %s need a multiple of %u", q->k,
                           f->name, f->block_weights);
    }
    return q->bench ? find_matrices(q, err) : BG_OK;
}

int bg_cmd_kernels(int argc, char **argv)
{
    request q = {.rows = 4096, .k = 4096, .seconds = 0.2, .format = BG_FORMAT_NONE, .isa = -1};
    const bg_opt options[] = {
        {.type = BG_OPT_FLAG, .names = "--check", .target = &q.check,
         .help = "verify each against the reference"},
        {.type = BG_OPT_FLAG, .names = "--bench", .target = &q.bench,
         .help = "time each, with its share of the roof that bounds it"},
        {.type = BG_OPT_TEXT, .names = "--format", .metavar = "NAME", .target = &q.format_name,
         .help = "only this format, e.g. Q4_K"},
        {.type = BG_OPT_TEXT, .names = "--isa", .metavar = "SET", .target = &q.isa_name,
         .help = "only this instruction set: ref, avx2, native (the best here)"},
        {.type = BG_OPT_INT, .names = "--cols", .metavar = "N", .target = &q.cols, .min = 1,
         .max = 1024, .help = "columns of activations (check: 1 to 512; bench: 64)"},
        {.type = BG_OPT_INT, .names = "--rows", .metavar = "N", .target = &q.rows, .min = 1,
         .max = 1e6, .help = "rows to time (4096)"},
        {.type = BG_OPT_INT, .names = "-k --length", .metavar = "N", .target = &q.k, .min = 1,
         .max = 1e6, .help = "weights a row to time, a multiple of 256 suits all (4096)"},
        {.type = BG_OPT_TEXT, .names = "--shape", .metavar = "NAME", .target = &q.shape_name,
         .help = "time them on the matrices of a known model (`info --list-shapes`)"},
        {.type = BG_OPT_REAL, .names = "--seconds", .metavar = "S", .target = &q.seconds,
         .min = 0.001, .max = 60, .help = "time for each (0.2)"},
        {.type = BG_OPT_FLAG, .names = "--json", .help = "print JSON", .target = &q.json},
    };
    const bg_opt_spec spec = {
        .command = "kernels", .usage = "[--check | --bench] [options]",
        .summary = "Lists the compute kernels: format, operation (gemv: one column of activations,\n"
                   "decode; gemm: several, prefill), instruction set and tier. --check verifies them\n"
                   "against the portable reference, exit 1 when one is wrong.",
        .examples = "  bitgauge kernels --check\n  bitgauge kernels --bench --format Q4_K\n"
                    "  bitgauge kernels --shape codellama-34b --format Q4_K\n",
        .options = options, .n_options = BG_COUNT(options),
    };
    bg_error err;
    int status = bg_opt_parse(&spec, argc, argv, NULL, NULL);
    if (status >= 0) return status;
    q.bench |= q.shape_name != NULL; /* nothing else to do with one */
    if (q.check && q.bench) {
        bg_fail(&err, BG_ERR_INPUT, NULL, "--check and --bench (or --shape): give one of them");
        return bg_cli_fail(&err);
    }
    if (resolve(&q, &err) != BG_OK) return bg_cli_fail(&err);
    return q.check ? check(&q) : q.bench ? bench(&q) : list(&q);
}

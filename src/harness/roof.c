#include "harness/harness.h"

#include <math.h>
#include <string.h>

/* The level that holds what every token reads again: private caches hold a thread's share. */
static const char *level_of(const bg_machine *machine, double bytes, int threads)
{
    if (bytes / threads <= (double)bg_machine_cache_bytes(machine, 1)) return "L1";
    if (bytes / threads <= (double)bg_machine_cache_bytes(machine, 2)) return "L2";
    if (bytes <= (double)bg_machine_cache_bytes(machine, 3)) return "L3";
    return "memory";
}

/* Operations by what bounds them: the arithmetic of a kind in an instruction set. */
typedef struct work { double ops[BG_ROOF_KINDS][BG_ISA_COUNT]; double total; } work;

/* Operations per token of prefill or decode. Kernels are bound by what their activations make them
 * compute in; the rest (attention) counts as floats of the set. */
static work count_ops(const bg_model *m, const bg_load *load, double depth)
{
    bool prompt = load->n_prompt != 0;
    bg_isa isa = load->isa;
    bg_op op = prompt ? BG_OP_GEMM : BG_OP_GEMV;
    const bg_tensor *output = bg_model_tensor_find(m, "output.weight");
    const bg_tensor *embd = bg_model_tensor_find(m, "token_embd.weight");
    const bg_tensor *last = output ? output : embd;
    work w = {.total = bg_model_flops_per_token(m, (uint32_t)depth)};
    double rest = w.total;
    for (size_t i = 0; i < bg_model_tensor_count(m); i++) {
        const bg_tensor *t = bg_model_tensor_at(m, i);
        const bg_format_info *f = bg_format_get((int)t->format);
        double ops = 2.0 * (double)t->ne[0] * (double)t->ne[1];
        const bg_kernel *k;
        bool floats;
        if (t->n_dims != 2 || (t == embd && output) || !f || !f->level) continue;
        rest -= ops;
        /* A prompt wants the logits of its last token only. */
        if (t == last && prompt) {
            w.total -= ops * (1.0 - 1.0 / load->n_prompt);
            ops /= load->n_prompt;
        }
        k = bg_kernel_find(t->format, op, isa);
        floats = k->activation == BG_FORMAT_F32 || k->activation == BG_FORMAT_BF16;
        w.ops[floats ? BG_ROOF_FLOP : BG_ROOF_INT8][k->isa] += ops;
    }
    w.ops[BG_ROOF_FLOP][isa] += BG_MAX(rest, 0);
    return w;
}

static double arithmetic_seconds(bg_bound *b, const bg_machine *machine, const work *w,
                                 int threads)
{
    static const char *const names[BG_ROOF_KINDS] = {
        [BG_ROOF_FLOP] = "flop", [BG_ROOF_INT8] = "int8op",
    };
    double sum = 0, most = 0;
    for (int kind = 0; kind < BG_ROOF_KINDS; kind++)
        for (int isa = 0; isa < BG_ISA_COUNT; isa++) {
            const char *name = bg_isa_name((bg_isa)isa);
            double seconds;
            if (!(w->ops[kind][isa] > 0)) continue;
            seconds = w->ops[kind][isa] / 1e9 /
                      bg_machine_roof(machine, (bg_roof_kind)kind, NULL, name, threads);
            sum += seconds;
            if (!(seconds > most)) continue;
            snprintf(b->name, sizeof b->name, "%s %s", names[kind], name);
            b->kind = (bg_roof_kind)kind;
            b->isa = name;
            most = seconds;
        }
    return sum;
}

/* A load that is a prompt alone or generation alone. */
static void find_one(bg_bound *b, const bg_model *m, const bg_machine *machine,
                     const bg_load *load)
{
    double context = load->depth + (load->n_prompt + load->n_gen) / 2.0;
    double batch = load->n_prompt ? BG_MIN(load->n_prompt, load->batch) : 1;
    work w = count_ops(m, load, context);
    double read, compute, bandwidth;
    const char *level;
    memset(b, 0, sizeof *b);
    b->flops = w.total;
    /* A batch reads the weights once, and each of its tokens what came before it. */
    b->bytes = ((double)bg_model_bytes_per_token(m) + bg_model_kv_read_bytes(m, context)) / batch;
    level = level_of(machine, b->bytes * batch, load->threads);
    bandwidth = 1e9 * bg_machine_roof(machine, BG_ROOF_READ, level, NULL, load->threads);
    compute = arithmetic_seconds(b, machine, &w, load->threads);
    read = b->bytes / bandwidth;
    b->tps = NAN;
    if (isnan(read) || isnan(compute)) {
        snprintf(b->reason, sizeof b->reason, "the %s roof of %d threads was not measured",
                 isnan(read) ? level : bg_isa_name(load->isa), load->threads);
        b->name[0] = 0;
        return;
    }
    if (read >= compute) {
        snprintf(b->name, sizeof b->name, "read %s", level);
        b->kind = BG_ROOF_READ;
        b->level = level;
        b->isa = NULL;
    }
    b->tps = 1 / BG_MAX(read, compute);
}

void bg_bound_find(bg_bound *b, const bg_model *m, const bg_machine *machine, const bg_load *load)
{
    bg_load prompt = *load, gen = *load;
    double n = load->n_prompt + load->n_gen, prompt_s, gen_s;
    bg_bound p, g;
    prompt.n_gen = gen.n_prompt = 0;
    gen.depth += load->n_prompt;
    find_one(&p, m, machine, load->n_prompt ? &prompt : &gen);
    find_one(&g, m, machine, load->n_gen ? &gen : &prompt);
    prompt_s = load->n_prompt / p.tps;
    gen_s = load->n_gen / g.tps;
    *b = isnan(p.tps) || (prompt_s >= gen_s) ? p : g;
    if (isnan(b->tps)) return;
    b->tps = n / (prompt_s + gen_s);
    b->bytes = (p.bytes * load->n_prompt + g.bytes * load->n_gen) / n;
    b->flops = (p.flops * load->n_prompt + g.flops * load->n_gen) / n;
}

/* Bytes of weights in each format, by id. */
static void weigh_formats(const bg_model *m, double bytes[BG_FORMAT_IDS])
{
    memset(bytes, 0, BG_FORMAT_IDS * sizeof *bytes);
    for (size_t i = 0; i < bg_model_tensor_count(m); i++) {
        const bg_tensor *t = bg_model_tensor_at(m, i);
        if (t->format != BG_FORMAT_NONE) bytes[t->format] += (double)t->bytes;
    }
}

static bg_format heaviest(const double bytes[BG_FORMAT_IDS])
{
    size_t best = 0;
    for (size_t k = 1; k < BG_FORMAT_IDS; k++)
        if (bytes[k] > bytes[best]) best = k;
    return bytes[best] > 0 ? (bg_format)best : BG_FORMAT_NONE;
}

bg_format bg_main_format(const bg_model *m)
{
    double bytes[BG_FORMAT_IDS];
    weigh_formats(m, bytes);
    return heaviest(bytes);
}

void bg_formats_used(const bg_model *m, char *buffer, size_t size)
{
    double bytes[BG_FORMAT_IDS];
    size_t used = 0;
    bg_format f;
    buffer[0] = 0;
    weigh_formats(m, bytes);
    while ((f = heaviest(bytes)) != BG_FORMAT_NONE && used < size) {
        used += (size_t)snprintf(buffer + used, size - used, "%s%s", used ? "," : "",
                                 bg_format_get((int)f)->name);
        bytes[f] = 0;
    }
}

/* The machine, its roofs, and every cell under them. */
#include "report/report.h"

#include <math.h>
#include <string.h>

static void put_facts(const report *r, doc *d)
{
    const json_t *cpu = json_object_get(r->machine, "cpu"), *os = json_object_get(r->machine, "os");
    const json_t *memory = json_object_get(r->machine, "memory");
    const json_t *limits = json_object_get(r->machine, "limits"), *one;
    double threads = bg_report_json_number(limits, "default_threads");
    char total[32], available[32];
    bg_text isas = {0};
    size_t i;
    if (bg_report_json_text(cpu, "model"))
        bg_doc_item(d, "Processor: %s, %.0f cores, %.0f hardware threads%s",
                    bg_report_json_text(cpu, "model"), bg_report_json_number(cpu, "cores"),
                    bg_report_json_number(cpu, "threads"),
                    json_is_true(json_object_get(r->machine, "virtual")) ? ", virtual machine"
                                                                         : "");
    json_array_foreach(json_object_get(r->machine, "isas"), i, one)
        if (json_is_true(json_object_get(one, "usable")) && bg_report_json_text(one, "name"))
            bg_text_printf(&isas, "%s%s", isas.length ? ", " : "",
                           bg_report_json_text(one, "name"));
    if (isas.data) bg_doc_item(d, "Instruction sets that work here: %s", isas.data);
    bg_text_fini(&isas);
    if (!isnan(bg_report_json_number(memory, "total")))
        bg_doc_item(d, "Memory: %s, of which %s were free",
                    bg_format_size(total, sizeof total, bg_report_json_number(memory, "total")),
                    bg_format_size(available, sizeof available,
                                   bg_report_json_number(memory, "available")));
    if (!isnan(bg_report_json_number(limits, "cpu_quota")))
        bg_doc_item(d, "CPU quota of the control group: %.2f cores, so that tests ran on %.0f "
                       "thread%s where no other number was asked for",
                    bg_report_json_number(limits, "cpu_quota"), threads, threads == 1 ? "" : "s");
    if (bg_report_json_text(os, "name"))
        bg_doc_item(d, "Operating system: %s %s", bg_report_json_text(os, "name"),
                    bg_report_json_text(os, "release") ? bg_report_json_text(os, "release") : "");
}

static const json_t *find_roof(const json_t *roofs, const json_t *like, json_int_t threads)
{
    static const char *const keys[] = {"kind", "level", "isa"};
    const json_t *one;
    size_t i;
    json_array_foreach(roofs, i, one) {
        bool same = json_integer_value(json_object_get(one, "threads")) == threads;
        for (size_t k = 0; k < BG_COUNT(keys); k++)
            same =
                same && json_equal(json_object_get(one, keys[k]), json_object_get(like, keys[k]));
        if (same) return one;
    }
    return NULL;
}

static void put_value(doc *d, const json_t *roof)
{
    char number[32];
    double value = roof ? bg_report_json_number(roof, "value") : NAN;
    const char *reason = roof ? bg_report_json_text(roof, "reason") : NULL;
    bg_report_number(number, sizeof number, value);
    bg_doc_cell(d, "%s", isnan(value) && reason ? reason : number);
}

/* A line a roof, at one thread and at all. */
static void put_roofs(const report *r, doc *d)
{
    const json_t *roofs = json_object_get(r->machine, "roofs"), *one;
    json_int_t most = 0, least = 0;
    size_t i;
    json_array_foreach(roofs, i, one) {
        json_int_t t = json_integer_value(json_object_get(one, "threads"));
        most = BG_MAX(most, t);
        least = !least || t < least ? t : least;
    }
    if (!most) {
        bg_doc_text(d, "No roofs were measured.");
        return;
    }
    bg_doc_table(d, "The roofs: the most that this machine was seen to read and to compute.");
    bg_doc_column(d, "Roof", "", true);
    bg_doc_column(d, least == 1 ? "1 thread" : "fewest threads", "", false);
    if (most > least) bg_doc_column(d, "All threads", "", false);
    bg_doc_column(d, "Unit", "", true);
    json_array_foreach(roofs, i, one) {
        const char *kind = bg_report_json_text(one, "kind"), *isa = bg_report_json_text(one, "isa");
        const char *level = bg_report_json_text(one, "level");
        const char *unit = bg_report_json_text(one, "unit");
        if (!kind || json_integer_value(json_object_get(one, "threads")) != least) continue;
        bg_doc_row(d, false);
        bg_doc_cell(d, "%s %s", !strcmp(kind, "read") ? "read" : !strcmp(kind, "flop") ? "float"
                    : "int8", level ? level : isa ? isa : "");
        put_value(d, one);
        if (most > least) put_value(d, find_roof(roofs, one, most));
        bg_doc_cell(d, "%s", unit ? unit : "");
    }
}

void bg_section_machine(const report *r, doc *d)
{
    bg_doc_heading(d, 2, "The machine and its roofs");
    if (!r->machine) {
        bg_doc_text(d, "The results hold no `machine.json`: nothing is known of the machine.");
        return;
    }
    put_facts(r, d);
    put_roofs(r, d);
    bg_report_figure(
        r, d, BG_PLOT_ROOFLINE,
        "Roofline: speed of every cell against its arithmetic "
        "intensity, below the measured roofs",
        "Every cell of the sweep. Decoding reads each weight once a token and hangs "
        "under the slopes of memory and caches; prefill shares each read among a batch "
        "and hangs under the ceilings of arithmetic. How far below a cell hangs is what "
        "better kernels could gain.");
}

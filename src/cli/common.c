#include "cli/cli.h"

#include "bitgauge/counters.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int bg_cli_fail(const bg_error *err)
{
    fprintf(stderr, "bitgauge: %s%s%s\n", err->where, err->where[0] ? ": " : "", err->message);
    return err->status == BG_ERR_INFEASIBLE ? BG_EXIT_NO : BG_EXIT_MISUSE;
}

bg_status bg_cli_model_path(const char *path, char **out, bg_error *err)
{
    static const char embedded[] = "models/codelet/" BG_EMBEDDED_FILE;
    bool own = !path || strcmp(path, BG_EMBEDDED_WORD) == 0;
    *out = own ? bg_data_path(embedded) : bg_strdup(path);
    if (*out) return BG_OK;
    return bg_fail(err, BG_ERR_IO, embedded,
                   "the embedded model is not installed: give a model, or set BITGAUGE_DATA to the "
                   "folder that holds models/");
}

void bg_cli_progress_show(bg_cli_progress *p, double fraction)
{
    bool terminal = isatty(STDERR_FILENO);
    uint64_t now = bg_clock_ns(), period = terminal ? 100000000u : 10000000000u;
    double elapsed;
    char left[32] = "";
    if (!p->start_ns) p->start_ns = p->shown_ns = now;
    if (now - p->shown_ns < period) return;
    p->shown_ns = now;
    elapsed = (double)(now - p->start_ns) * 1e-9;
    if (fraction > 0.02) bg_format_duration(left, sizeof left, elapsed / fraction - elapsed);
    fprintf(stderr, "%s%s %3.0f %%%s%s%s", terminal ? "\r\033[K" : "", p->what, 100 * fraction,
            left[0] ? ", " : "", left, left[0] ? " left" : "");
    if (!terminal) fputc('\n', stderr);
    fflush(stderr);
    p->drawn = terminal;
}

void bg_cli_progress_end(bg_cli_progress *p)
{
    if (p->drawn) fprintf(stderr, "\r\033[K");
    p->drawn = false;
}

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = 1;
    signal(number, SIG_DFL);
}

void bg_cli_catch_interrupt(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool bg_cli_interrupted(void) { return interrupted != 0; }

bool bg_cli_parse_share(const char *text, double *share)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text) return false;
    if (strcmp(end, "%") == 0) value /= 100;
    else if (*end) return false;
    *share = value;
    return value > 0 && value < 1;
}

bg_status bg_cli_parse_prune(const char *text, double *share, bg_error *err)
{
    *share = strcmp(text, "on") == 0;
    if (*share > 0 || strcmp(text, "off") == 0 || bg_cli_parse_share(text, share)) return BG_OK;
    return bg_fail(err, BG_ERR_INPUT, "--prune",
                   "is on, off or the share that may go, such as 20%%, not '%.40s'", text);
}

const char *bg_cli_peak(char *buffer, size_t n)
{
    uint64_t peak = bg_peak_rss();
    return peak ? bg_format_size(buffer, n, (double)peak) : "unknown";
}

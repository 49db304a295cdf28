/* bench_peer.h: what bench times a file with in place of the builtin engine. Internal. */
#ifndef BG_HARNESS_BENCH_PEER_H
#define BG_HARNESS_BENCH_PEER_H

#include "bitgauge/bench.h"

/* Times the model's file; samples_ns gets test->reps times. */
bg_status bg_bench_peer_time(bg_bench_peer *p, const bg_model *m, const bg_bench_test *test,
                             double *samples_ns, double *peak_rss, bg_error *err);

#endif

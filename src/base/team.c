#include "base/team.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Longer than members wait for each other in a step, and than the gap between two tokens. A turn of
 * the loop takes 10 to 50 ns, as the processor likes, so the clock ends it. */
enum { SPIN_NS = 100000, SPIN_TURNS = 64 };

struct bg_team {
    int size;
    bg_team_bind_fn *bind;
    void *bind_user;
    pthread_t *threads;
    bg_team_fn *fn;
    void *user;
    bool stop;
    bool spin;                             /* a processor for each member */
    _Alignas(64) _Atomic uint32_t sleepers; /* members in a futex: else no need to wake */
    _Alignas(64) _Atomic uint32_t epoch;   /* counts runs: members wait for it to change */
    _Alignas(64) _Atomic uint32_t busy;    /* members still inside the run */
    _Alignas(64) _Atomic uint32_t arrived; /* barrier: members that got there */
    _Alignas(64) _Atomic uint32_t phase;   /* barrier: changes when the last one arrives */
};

struct start { bg_team *team; int member; };

/* The sleeper announces itself before it looks at the word, the waker changes the word before it
 * looks for sleepers; both in sequentially consistent order, so one of them sees the other. */
static void wake(bg_team *t, _Atomic uint32_t *word)
{
    if (atomic_load(&t->sleepers) != 0)
        syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

static void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static bool spin_change(_Atomic uint32_t *word, uint32_t old)
{
    uint64_t start = 0;
    do {
        for (int i = 0; i < SPIN_TURNS; i++) {
            if (atomic_load_explicit(word, memory_order_acquire) != old) return true;
            pause_cpu();
        }
        if (!start) start = bg_clock_ns();
    } while (bg_clock_ns() - start < SPIN_NS);
    return false;
}

static void wait_change(bg_team *t, _Atomic uint32_t *word, uint32_t old)
{
    if (t->spin && spin_change(word, old)) return;
    atomic_fetch_add(&t->sleepers, 1);
    while (atomic_load(word) == old)
        syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, old, NULL, NULL, 0);
    atomic_fetch_sub(&t->sleepers, 1);
}

static void *member_main(void *argument)
{
    struct start start = *(struct start *)argument;
    bg_team *t = start.team;
    uint32_t epoch = 0;
    bg_free(argument);
    if (t->bind) t->bind(t->bind_user, start.member);
    for (;;) {
        wait_change(t, &t->epoch, epoch);
        epoch++;
        if (t->stop) return NULL;
        t->fn(t->user, start.member, t->size);
        if (atomic_fetch_sub(&t->busy, 1) == 1) wake(t, &t->busy);
    }
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int processors;          /* that this process may run on */
static cpu_set_t allowed;       /* the same; empty: unknown */

/* Before any team binds the calling thread. */
static void count_processors(void)
{
    bool known = sched_getaffinity(0, sizeof allowed, &allowed) == 0;
    processors = known ? CPU_COUNT(&allowed) : (int)sysconf(_SC_NPROCESSORS_ONLN);
    if (!known) CPU_ZERO(&allowed);
}

void bg_team_unbind(void)
{
    if (CPU_COUNT(&allowed)) sched_setaffinity(0, sizeof allowed, &allowed);
}

bg_status bg_team_open(bg_team **out, int size, bg_team_bind_fn *bind, void *user, bg_error *err)
{
    bg_team *t;
    *out = NULL;
    if (size < 1 || size > 4096)
        return bg_fail(err, BG_ERR_INPUT, NULL, "%d threads: give a number from 1 to 4096", size);
    t = bg_alloc(1, sizeof *t);
    if (!t) return bg_fail_nomem(err, "threads", sizeof *t);
    t->bind = bind;
    t->bind_user = user;
    t->threads = bg_alloc((size_t)size, sizeof *t->threads);
    if (!t->threads) {
        bg_free(t);
        return bg_fail_nomem(err, "threads", (size_t)size * sizeof *t->threads);
    }
    pthread_once(&once, count_processors);
    t->spin = size <= processors;
    t->size = size; /* before the first start: members read it */
    for (int i = 1; i < size; i++) {
        struct start *start = bg_alloc(1, sizeof *start);
        int e = ENOMEM;
        if (start) {
            *start = (struct start){t, i};
            e = pthread_create(&t->threads[i], NULL, member_main, start);
        }
        if (e) {
            bg_free(start);
            t->size = i;
            bg_team_close(&t);
            return bg_fail(err, BG_ERR_IO, NULL,
                           "cannot start thread %d of %d (%s): use fewer threads", i + 1, size,
                           strerror(e));
        }
    }
    if (bind) bind(user, 0);
    *out = t;
    return BG_OK;
}

void bg_team_close(bg_team **team)
{
    bg_team *t = *team;
    if (!t) return;
    t->stop = true;
    atomic_fetch_add(&t->epoch, 1);
    wake(t, &t->epoch);
    for (int i = 1; i < t->size; i++) pthread_join(t->threads[i], NULL);
    bg_free(t->threads);
    bg_free(t);
    *team = NULL;
}

int bg_team_size(const bg_team *team) { return team ? team->size : 1; }

void bg_team_run(bg_team *t, bg_team_fn *fn, void *user)
{
    uint32_t left;
    if (!t || t->size == 1) {
        fn(user, 0, 1);
        return;
    }
    t->fn = fn;
    t->user = user;
    atomic_store_explicit(&t->busy, (uint32_t)t->size - 1, memory_order_relaxed);
    atomic_fetch_add(&t->epoch, 1);
    wake(t, &t->epoch);
    fn(user, 0, t->size);
    while ((left = atomic_load_explicit(&t->busy, memory_order_acquire)) != 0)
        wait_change(t, &t->busy, left);
}

void bg_team_barrier(bg_team *t)
{
    uint32_t phase;
    if (!t || t->size == 1) return;
    phase = atomic_load_explicit(&t->phase, memory_order_acquire);
    if (atomic_fetch_add(&t->arrived, 1) + 1 == (uint32_t)t->size) {
        atomic_store_explicit(&t->arrived, 0, memory_order_relaxed);
        atomic_fetch_add(&t->phase, 1);
        wake(t, &t->phase);
    } else {
        wait_change(t, &t->phase, phase);
    }
}

/* test.h: cmocka with what it wants included before it. */
#ifndef BG_TEST_H
#define BG_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bitgauge/base.h"

/* A call that must succeed; shows the error when it does not. */
#define assert_ok(call, err)                                                            \
    do {                                                                                \
        bg_status s_ = (call);                                                          \
        if (s_ != BG_OK) fail_msg("%s: %s: %s", #call, (err)->where, (err)->message);   \
    } while (0)

/* A call that must fail with this status and mention `word` in its message or place. */
#define assert_fails(call, expected, word, err)                                         \
    do {                                                                                \
        bg_status s_ = (call);                                                          \
        assert_int_equal(s_, expected);                                                 \
        if (!strstr((err)->message, word) && !strstr((err)->where, word))               \
            fail_msg("'%s' is not in: %s: %s", word, (err)->where, (err)->message);     \
    } while (0)

#endif

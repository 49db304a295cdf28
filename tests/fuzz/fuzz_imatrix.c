/* Any bytes as an importance matrix, of either form; what is accepted has values that can be used,
 * whatever model it is for. */
#include "base/base.h"
#include "bitgauge/model.h"

#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_at(const bg_importance *m, const char *tensor)
{
    for (size_t n = 1; n <= 64; n++) {
        const float *values = bg_importance_find(m, tensor, n);
        for (size_t i = 0; values && i < n; i++)
            if (!(isfinite(values[i]) && values[i] >= 0)) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bg_gguf *model;
    bg_importance *m;
    bg_error err = {0};
    if (!model && bg_gguf_open(&model, BG_SOURCE "/bench/models/codelet/codelet-8m-f16.gguf",
                               &err) != BG_OK)
        abort();
    if (bg_importance_open_memory(&m, data, size, "input", &err) == BG_OK) {
        look_at(m, "a");
        look_at(m, "a.weight");
        if (!bg_importance_path(m) || bg_importance_count(m) > size) abort();
        (void)bg_importance_check(m, model, &err);
        bg_importance_close(&m);
    } else if (m || !err.message[0]) {
        abort();
    }
    return 0;
}

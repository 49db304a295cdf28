/* A callgrind.out file: any bytes; what is accepted has counts that are numbers. */
#include "base/base.h"
#include "bitgauge/simulated.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    double counts[BG_SIM_COUNT];
    bg_error err;
    if (!text) abort();
    memcpy(text, data, size);
    text[size] = 0;
    if (bg_callgrind_parse(text, "fuzz", counts, &err) == BG_OK)
        for (int i = 0; i < BG_SIM_COUNT; i++)
            if (!(counts[i] >= 0 && counts[i] <= 0x1p56)) abort();
    free(text);
    return 0;
}

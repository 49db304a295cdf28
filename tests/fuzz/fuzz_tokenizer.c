/* Any bytes as text for the embedded vocabulary, of scored pieces, must come back from their
 * tokens; a GGUF file as input is a vocabulary. */
#include "fuzz_tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = BG_SOURCE "/bench/models/codelet/codelet-8m-f16.gguf";
    if (size >= 4 && memcmp(data, "GGUF", 4) == 0) try_vocabulary(data, size);
    else check_round_trip(known_vocabulary(path), (const char *)data, size, true);
    return 0;
}

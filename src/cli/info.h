/* info.h: what `bitgauge info` found out about a file. Internal. */
#ifndef BG_CLI_INFO_H
#define BG_CLI_INFO_H

#include "bitgauge/model.h"
#include "bitgauge/shape.h"
#include "cli/json.h"

enum { BG_INFO_TYPES = 64 }; /* more than GGUF has */

/* Tensors of one type. */
typedef struct bg_info_type { uint32_t type_id; uint64_t tensors, bytes; } bg_info_type;

/* Numbers of the architecture; 0: the file does not say. */
typedef struct bg_info {
    const bg_gguf *g;
    bg_gguf_string architecture, name, tokenizer;
    uint64_t n_layer, n_embd, n_ff, n_head, n_head_kv, n_ctx_train, n_vocab;
    uint64_t n_params, weight_bytes;
    bg_info_type types[BG_INFO_TYPES]; /* most bytes first */
    size_t n_types;
    uint32_t window;         /* of layers that see only so many tokens; 0: none, or unknown */
    bool runs;
    bg_error why_not;        /* when it does not run */
    bool shape;              /* no file: what one of a known model would hold */
} bg_info;

int bg_info_print_json(const bg_info *info, bool tensors);
int bg_cli_list_shapes(bool json);

#endif

/* layers.h: a model that is run a layer at a time over windows of a text. Of one layer matrices are
 * packed; between layers the residual streams of all windows are kept, as half rows (model.h).
 * Internal to the search room. */
#ifndef BG_SEARCH_LAYERS_H
#define BG_SEARCH_LAYERS_H

#include "base/base.h"
#include "base/team.h"
#include "model/model.h"

/* Windows of a text, spread over it; each begins with the token that the model's text begins with. */
typedef struct bg_passages {
    uint64_t n;
    uint32_t n_ctx;
    int32_t *tokens;         /* [n][n_ctx] */
} bg_passages;

/* At most so many. BG_ERR_INPUT: the text has not one. Free tokens with bg_free. */
bg_status bg_passages_take(bg_passages *w, const bg_model *m, const int32_t *tokens, size_t n,
                          uint64_t most, uint32_t n_ctx, bg_error *err);

typedef struct bg_layers {
    const bg_model *model;
    const bg_passages *windows;
    bg_team *team;
    bg_session *session;
    uint32_t taken;          /* layers up to the one whose matrices these are: */
    void *packed[BG_W_COUNT]; /* as the session has them */
    size_t packed_bytes[BG_W_COUNT];
    uint16_t *streams;       /* [windows][n_ctx] half rows of n_embd */
    size_t streams_bytes;
    uint8_t *want;
    void **keep;             /* [n_layer + 1] for bg_resume, NULL but for one, */
    float **middles;         /* and so are these */
} bg_layers;

/* The windows outlive it. */
bg_status bg_layers_open(bg_layers *l, const bg_model *m, const bg_passages *w, bg_isa isa,
                         bg_team *team, bg_error *err);
void bg_layers_close(bg_layers *l);
/* Packs all matrices of a layer, in the place of those of another one; or one of the layer that is
 * taken, as it is now. */
bg_status bg_layers_take(bg_layers *l, uint32_t layer, bg_error *err);
bg_status bg_layers_pack(bg_layers *l, uint32_t layer, bg_matrix_id w, bg_error *err);
/* Token `row` of a window's stream. */
uint16_t *bg_layers_stream(const bg_layers *l, uint64_t window, size_t row);

/* From what the streams hold before layer `first` (0: from the embedding) up to layer `end`. */
typedef struct bg_layers_pass {
    uint32_t first, end;
    const bg_observer *observer;  /* NULL: nobody */
    const bg_tensor *until;       /* the pass ends when this matrix of layer `first` has read; NULL: not */
    float *middle;                /* [n_ctx][n_embd] gets the stream within layer `first`; NULL: nothing */
    bool keeps;                   /* the stream becomes that before layer `place` */
    uint32_t place;
} bg_layers_pass;
bg_status bg_layers_run(bg_layers *l, uint64_t window, const bg_layers_pass *p, bg_error *err);

#endif

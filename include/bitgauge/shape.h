/* bitgauge/shape.h: models without weights.
 *
 * A shape is the tensor list of a known model: a file of profiles/models, described in
 * profiles/models-schema.md. What runs or is written in a shape has random weights, so its speed
 * and its memory are those of the model, and its quality is nobody's.
 */
#ifndef BITGAUGE_SHAPE_H
#define BITGAUGE_SHAPE_H

#include "bitgauge/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bg_shape bg_shape;
struct bg_team;

/* By its name ("codellama-34b"), or from a JSON file of the same form: then `name` ends in .json.
 * BG_ERR_INPUT: no such shape (names the nearest), or one that does not add up. */
bg_status bg_shape_open(bg_shape **s, const char *name, bg_error *err);
void bg_shape_close(bg_shape **s);
/* Keeps the first n_layer layers: a smaller model with the same matrices. BG_ERR_INPUT when it has
 * not so many. */
bg_status bg_shape_cut(bg_shape *s, uint32_t n_layer, bg_error *err);

const char *bg_shape_name(const bg_shape *s);     /* "codellama-34b" */
const char *bg_shape_title(const bg_shape *s);    /* "CodeLlama 34B" */
const char *bg_shape_family(const bg_shape *s);   /* "llama-2": those whose quality is alike */
const char *bg_shape_source(const bg_shape *s);   /* where the sizes are from */
uint64_t bg_shape_params(const bg_shape *s);
/* The model's file as it would be in F16, but its tensors have no data. */
const bg_gguf *bg_shape_gguf(const bg_shape *s);

/* The names of all shapes, sorted; free with bg_shape_names_free. */
bg_status bg_shape_names(char ***names, size_t *n, bg_error *err);
void bg_shape_names_free(char **names, size_t n);

/* Writes a GGUF file of the shape in a scheme, with random weights and no vocabulary, which
 * llama.cpp loads and times. `progress` as in bg_quantize_file. */
bg_status bg_shape_write(const bg_shape *s, const char *out, const bg_scheme *scheme,
                         struct bg_team *team, bool (*progress)(void *user, double fraction),
                         void *user, bg_error *err);

/* How much of it is held in memory. */
typedef struct bg_shape_sample {
    uint32_t layers;      /* so many; 0: all where they fit, else BG_SHAPE_LAYERS */
    uint64_t min_bytes;   /* more layers, until their matrices take this: what no cache holds */
    uint64_t max_bytes;   /* most of all weights; 0: no limit */
} bg_shape_sample;
enum { BG_SHAPE_LAYERS = 6 };

/* A model without weights, which s must outlive; bg_model_quantize gives it random ones in the
 * formats of a scheme. That model describes the whole (formats, bytes, operations), but when it
 * holds fewer layers than it has, passes run through those alone, and their sessions predict what
 * the others would take (bg_session_skipped_seconds). The last layer is among those held, and
 * every kind of layer (by the formats of its matrices) is, as far as they suffice. Making it fails
 * with BG_ERR_NOMEM when not even two layers fit max_bytes. */
bg_status bg_model_open_shape(bg_model **m, const bg_shape *s, const bg_shape_sample *sample,
                              bg_error *err);

#ifdef __cplusplus
}
#endif
#endif

#!/usr/bin/env bash
# cmake --install into an empty prefix: the program finds its data there, and a C program builds
# against the headers, the archive and the pkg-config file.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
build=$(dirname "$(dirname "$BITGAUGE")")

cmake --install "$build" --prefix "$tmp/usr" >/dev/null
cd "$tmp"
"$tmp/usr/bin/bitgauge" version | grep -q '^bitgauge [0-9]'
# A copy of the tree must not be needed: the embedded model is found beside the program.
"$tmp/usr/bin/bitgauge" info | grep -qi codelet

[ -z "$SANITIZE" ] || exit 0 # the archive would want the sanitizer's runtime
cat >user.c <<'C'
#include <bitgauge/model.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    bg_model *m = NULL;
    bg_error err;
    if (argc < 2 || bg_model_open(&m, argv[1], &err) != BG_OK) return 1;
    printf("%s: %u layers\n", bg_version(), bg_model_hparams(m)->n_layer);
    bg_model_close(&m);
    return 0;
}
C
pc=$(dirname "$(find "$tmp/usr" -name bitgauge.pc)")
export PKG_CONFIG_PATH=$pc
# shellcheck disable=SC2046
gcc -std=c11 user.c $(pkg-config --define-variable=prefix="$tmp/usr" --cflags --libs bitgauge) -o user
./user "$tmp/usr/share/bitgauge/models/codelet/codelet-8m-f16.gguf" | grep -q '8 layers'

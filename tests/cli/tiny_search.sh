# What the tests of searches share: a folder to work in, a random model of a few thousand weights with a
# vocabulary of four, and calib.txt and eval.txt. $tiny is one of the fuzzers' models.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
fail() { echo "$*" >&2; exit 1; }

cp "$SOURCE/tests/fuzz/corpus/gguf/$tiny" Q4_0.gguf
for step in 'Q4_0 IQ4_NL' 'IQ4_NL Q4_1' 'Q4_1 F16'; do # so that Q4_0 loses something
    "$BITGAUGE" quantize "${step% *}.gguf" "${step#* }.gguf" "${step#* }" > out 2> err
done
letters() { awk "BEGIN { srand($1); for (i = 0; i < $2; i++) printf \"%s\", rand() < 0.6 ? \"a\" : \"b\" }"; }
letters 1 12000 > calib.txt
letters 2 2000 > eval.txt

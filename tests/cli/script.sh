# What tests of the Python scripts share: $script is the one under test.
set -eu
command -v python3 >/dev/null || { echo "no python3: not tested"; exit 0; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

fail() { echo "FAILED: $*" >&2; exit 1; }
refused() { # exit 2, no output and one message that says...
    local says=$1 status=0
    shift
    "$script" "$@" >out 2>err || status=$?
    [ $status = 2 ] || fail "exit $status, not 2: $*"
    [ ! -s out ] || fail "output beside the error"
    grep -qF -- "$says" err || fail "no '$says' in: $(cat err)"
}

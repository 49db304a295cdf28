# shellcheck shell=bash disable=SC2154
# setup.sh: sourced by quickstart and check. Reads their options and installs what is missing.
# Expects `usage` (the text of --help) and `extra` (packages beyond those of the build).

packages=(gcc libc6-dev cmake ninja-build pkg-config libhwloc-dev libjansson-dev libcsv-dev
    libpapi-dev libpcre2-dev gnuplot-nox fonts-dejavu-core valgrind "${extra[@]}")

# Installs the packages that are missing, with sudo when not root.
install_packages() {
    local missing=() package sudo=() log
    for package in "$@"; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
            missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        sudo=(sudo)
        if ! command -v sudo >/dev/null; then
            echo "Not root and no sudo: run as root: apt-get install ${missing[*]}" >&2
            return 2
        fi
    fi
    echo "Installing: ${missing[*]}"
    log=$(mktemp)
    if ! { "${sudo[@]}" apt-get update &&
           "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
               apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        rm -f "$log"
        echo "Packages could not be installed: mend the above, or install them and use --no-install." >&2
        return 2
    fi
    rm -f "$log"
}

install=yes
for argument in "$@"; do
    case $argument in
    --no-install) install=no ;;
    -h | --help)
        printf '%s\n' "$usage" "  --no-install   do not install missing packages"
        exit 0 ;;
    *)
        echo "${0##*/}: unknown option $argument; see $0 --help" >&2
        exit 2 ;;
    esac
done
if [ $install = yes ]; then
    if command -v dpkg-query >/dev/null; then
        install_packages "${packages[@]}" || exit 2
    else
        echo "This is not Debian or Ubuntu: the build needs the equivalents of: ${packages[*]}" >&2
    fi
fi
for tool in gcc cmake ninja pkg-config; do
    if ! command -v $tool >/dev/null; then
        echo "${0##*/}: $tool is missing: run $0 without --no-install, or install it" >&2
        exit 2
    fi
done

# Builds one preset; the second time there is nothing to do. Configuring anew costs a second and
# finds libraries that came since.
build() {
    cmake --preset "$1" >/dev/null
    cmake --build --preset "$1"
}

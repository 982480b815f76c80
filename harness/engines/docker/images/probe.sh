# Finds out what an image can do: prints key=value lines. Runs as root in a container of the image,
# which has two empty tmpfs.
#
#   sh -c PROBE probe HERE THERE PACK UNPACK PLAYER_PATH
#
# HERE and THERE are the tmpfs, PACK and UNPACK the commands of the tar-pipe, and PLAYER_PATH the
# player's PATH; this script has the variables of a guest. It uses only builtins and what it tries,
# so that a missing program affects only its own answer. It tries each tool with the options that a
# run uses: busybox has a setpriv without --reuid.

set -f # below, versions are split into words, which must not match file names
here=$1 there=$2 pack=$3 unpack=$4 player_path=$5
cd "$here" || exit 1
: >file # first, so that its stamp differs from the clock's when tar comes last

try() {
    name=$1
    shift
    if "$@" </dev/null >/dev/null 2>&1; then echo "$name=1"; else echo "$name=0"; fi
}
has() { command -v "$1"; }

# head must cut to the byte, and leave the rest on stdin, where one request follows another.
cuts() {
    long=0123456789
    # 80 KiB: more than any buffer
    for doubling in 1 2 3 4 5 6 7 8 9 10 11 12 13; do long=$long$long; done
    [ "$(printf abcd | { head -c 2 && printf / && cat; })" = ab/cd ] &&
        left=$(printf %s "$long" | { head -c 70000 >/dev/null && cat; }) && [ ${#left} = 11920 ]
}
copies() { [ "$(printf abc | cat)" = abc ]; }

try setpriv setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all \
    --no-new-privs -- sh -c :
try find find . -maxdepth 0 -printf '%y %m %s %T@ %P\0'
try head cuts
# If the image has stdbuf, a run puts it before head.
unbuffered() { ! has stdbuf || [ "$(printf abc | stdbuf -o0 head -c 2)" = ab ]; }
try stdbuf unbuffered
try mkfifo mkfifo -m 622 pipe
try timeout timeout -s KILL 5 sh -c :
try env env -i -- NAME=value /bin/sh -c '[ $NAME = value ]'
try cat copies
: >unwanted
try rm rm unwanted
try tar has tar

# Unquoted below, so that the output becomes one line.
first() { "$@" </dev/null 2>&1; }
echo "tar version=" $(first tar --version)

# Prints the stamp in an archive. Its extended header is text: "LENGTH mtime=SECONDS.FRACTION"; a
# whole second has none. The stamps before and after a round trip must agree to the last digit.
stamp() {
    while IFS= read -r line; do
        case $line in *" mtime="*.*) echo "${line##* mtime=}" ;; esac
    done
}
echo "packed=$($pack --directory="$here" file 2>/dev/null | stamp)"
$pack --directory="$here" file 2>/dev/null | $unpack --directory="$there" >/dev/null 2>&1
echo "unpacked=$($pack --directory="$there" file 2>/dev/null | stamp)"

# Last, because the player's programs may be anywhere.
PATH=$player_path
try make make --version
try gcc gcc -dumpversion
echo "gcc version=" $(gcc -dumpfullversion -dumpversion 2>/dev/null)
version=$(first make --version)
case $version in "GNU Make "*)
    version=${version#GNU Make } && set -- $version && echo "make version=$1"
    ;;
esac
echo end=1

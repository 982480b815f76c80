# What can this image do? Run as root in a container of it, next to two empty tmpfs; prints one key=value a line.
#
#   sh -c PROBE probe HERE THERE PACK UNPACK PLAYER_PATH
#
# PACK and UNPACK are the tar-pipe's own commands, PLAYER_PATH is where the player's programs are looked for; this script has
# the variables of a guest. Only builtins and what is being tried are used, so that a missing program shows as itself. Each tool
# is tried with the options that a run uses: busybox has a setpriv without --reuid.

set -f # the versions are split into words below, never into file names
here=$1 there=$2 pack=$3 unpack=$4 player_path=$5
cd "$here" || exit 1
: >file # first, so that its stamp differs from the clock's when tar comes last

try() {
    name=$1
    shift
    if "$@" </dev/null >/dev/null 2>&1; then echo "$name=1"; else echo "$name=0"; fi
}
has() { command -v "$1"; }

# It must cut to the byte, and leave the rest to whoever reads next: what arrives is a request after another.
cuts() {
    long=0123456789
    for each in 1 2 3 4 5 6 7 8 9 10 11 12 13; do long=$long$long; done # 80 KiB: more than any buffer
    [ "$(printf abcd | { head -c 2 && printf / && cat; })" = ab/cd ] &&
        left=$(printf %s "$long" | { head -c 70000 >/dev/null && cat; }) && [ ${#left} = 11920 ]
}
copies() { [ "$(printf abc | cat)" = abc ]; }

try setpriv setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all \
    --no-new-privs -- sh -c :
try find find . -maxdepth 0 -printf '%y %m %s %T@ %P\0'
try head cuts
# Where it is there, a run puts it before head.
unbuffered() { ! has stdbuf || [ "$(printf abc | stdbuf -o0 head -c 2)" = ab ]; }
try stdbuf unbuffered
try mkfifo mkfifo -m 622 pipe
try timeout timeout -s KILL 5 sh -c :
try env env -i -- NAME=value /bin/sh -c '[ $NAME = value ]'
try cat copies
: >unwanted
try rm rm unwanted
try tar has tar

# On one line, whatever they print.
first() { "$@" </dev/null 2>&1; }
echo "tar version=" $(first tar --version)

# The stamp as the archive itself tells it. The extended header is text: "LENGTH mtime=SECONDS.FRACTION"; a whole second
# has none. What went in and what comes out again after unpacking must be the same to the last digit.
stamp() {
    while IFS= read -r line; do
        case $line in *" mtime="*.*) echo "${line##* mtime=}" ;; esac
    done
}
echo "packed=$($pack --directory="$here" file 2>/dev/null | stamp)"
$pack --directory="$here" file 2>/dev/null | $unpack --directory="$there" >/dev/null 2>&1
echo "unpacked=$($pack --directory="$there" file 2>/dev/null | stamp)"

# Last, since they may be anywhere.
PATH=$player_path
try make make --version
try gcc gcc -dumpversion
echo "gcc version=" $(gcc -dumpfullversion -dumpversion 2>/dev/null)
version=$(first make --version)
case $version in "GNU Make "*) version=${version#GNU Make } && set -- $version && echo "make version=$1" ;; esac
echo end=1

# The trusted end of the stream: serves requests, one a line on stdin, next to the sandbox that the player's code sees.
#
#   sh guest.sh SANDBOX PRIVATE SHOWN OUTPUT_BYTES SWEEP SWEPT USAGE LOOK TOLD UNPACK PACK ENVIRONMENT PLAYER_PATH PREFIX...
#
# SANDBOX is the player's folder, PRIVATE a folder that the player cannot enter, SHOWN the sandbox by the name that it has for
# the player, OUTPUT_BYTES how much of each of the player's streams is passed on (the rest is read and dropped, so that a chatty
# program is not killed by a full pipe), SWEEP a command that returns when every process of the player has ended, unless one of
# them keeps it from that, SWEPT one by which this very shell finds out whether they have, USAGE one that prints what processes
# have used, LOOK one that sets $caches to what a run left in its HOME, and $reason if none was started at all, TOLD a file that
# PREFIX may have that told to by descriptor 4, UNPACK the tar command that unpacks stdin so that the player owns it, PACK the one
# that packs to stdout, ENVIRONMENT the player's variables as shell words, PLAYER_PATH the PATH among them, PREFIX what a command
# is put behind to become the player's.
#
# Whatever runs here as somebody else than the player, and be it for the instant before it becomes the player, has this
# script's own environment, of system folders alone, and PRIVATE for its working folder: the image's variables and the
# player's files are for the player's process.
#
# Each answer ends in a line `NONCE WORD ...`, and so does everything sent before it. The nonce comes on the first line of
# stdin, the player never sees it, and the player's processes hold pipes of their own, never this script's streams: nothing
# that they write can pass for an answer. A stream without its end line was cut, wherever the cut fell.

set -u
sandbox=$1 private=$2 shown=$3 output_bytes=$4 sweep=$5 swept=$6 usage=$7 look=$8
shift 8
told=$1 unpack=$2 pack=$3 environment=$4 player_path=$5
shift 5
umask 022
IFS= read -r nonce || exit 0
cd "$private" || exit 1
# Writable by the player, so that a script may open /dev/stdout and /dev/stderr, but in a folder that it cannot enter.
mkfifo -m 622 stdout stderr || exit 1
mkfifo -m 600 go ended || exit 1

say() { printf '\n%s %s\n' "$nonce" "$*"; }

# A chunk is its size in decimal on a line, then that many bytes; a size of 0 ends the stream.
chunks() {
    while IFS= read -r size && [ "$size" != 0 ]; do
        head -c "$size" || return 1
    done
}

# Unbuffered where the image can: what head has read but not yet written would be lost with a run that is killed.
if command -v stdbuf >/dev/null; then head="stdbuf -o0 head"; else head=head; fi

pass_on() {
    $head -c "$output_bytes"
    cat >/dev/null
}

# Run as the player, by the tools of the system: says why a command line cannot be started, or nothing.
why='
cd "$2" || { echo "the folder of the sandbox lets nobody in; chmod 755 it"; exit; }
word=${1%% *}
case $word in
*/*)
    [ -e "$word" ] || { echo "there is no $word in the sandbox"; exit; }
    [ -x "$word" ] || { echo "$word is not executable; chmod +x it"; exit; }
    [ -f "$word" ] || { [ "$4" = 127 ] || echo "$word is not a file that can be run"; exit; }
    first=$(head -c 4096 "$word")
    first=${first%%"
"*}
    case $first in "#!"*) ;; *) exit ;; esac
    PATH=$3
    set -f
    set -- ${first#??}
    case ${1-} in */env) while case ${2-} in -* | *=*) true ;; *) false ;; esac; do shift; done && shift ;; esac
    [ $# = 0 ] || command -v "$1" >/dev/null && exit
    case $1 in
    *"$(printf "\r")") echo "the lines of $word end in CR LF, and no interpreter is named so; save it with LF" ;;
    *) echo "the interpreter of $word, $1, is not in the image" ;;
    esac
    ;;
*)
    PATH=$3
    command -v "$word" >/dev/null || echo "the image has no $word"
    ;;
esac'

# The player's process, which waits for its command line. Of all in the container it is the first to go when memory runs out.
player='cd "$1" || exit 126
unset OLDPWD
IFS= read -r command || exit
exec </dev/null
echo 1000 2>/dev/null >/proc/self/oom_score_adj
eval "$command"'

# All of a run that can be done before its command is known, so that a run-container that stands by has it behind it.
ready=
get_ready() {
    [ -z "$ready" ] || return 0
    pass_on <stdout &
    out=$!
    pass_on <stderr >&2 &
    err=$!
    # In a process that waits from the start: after a fork bomb there is none to be had. It becomes the player's, and what is left
    # of the player may open what it has open: none of this script's streams.
    eval "$sweep" <ended >/dev/null 2>&1 &
    sweeper=$!
    exec 3<>go # held open at both ends, so that neither has to wait for the other
    eval '"$@" env -i -- '"$environment"' /bin/sh -c "$player" player "$shown" <go >stdout 2>stderr 3>&- 4>"$told" &'
    child=$!
    ready=yes
}

# Ends the player after so many seconds even if nobody is left at the other end.
watch() {
    sleep=
    trap '[ -z "$sleep" ] || kill "$sleep"; exit 0' TERM
    sleep "$1" &
    sleep=$!
    wait "$sleep" && kill -KILL "$child"
}

while read -r request argument; do
    case $request in
    unpack)
        chunks | {
            $unpack --directory="$sandbox" >tar.log 2>&1
            status=$?
            cat >/dev/null # after a failure the rest of the stream must not be read as requests
            exit $status
        }
        status=$?
        [ $status = 0 ] && say unpacked 0 || say unpacked $status "$(head -c 300 tar.log | tr '\n' ' ')"
        ;;
    ready)
        get_ready "$@" || exit 1
        say ready
        ;;
    run) # argument: seconds after which the player is killed even if nobody is left at the other end; then, of a sandbox that was
        # mounted, the inodes that it may have: an engine may have put another folder in its place
        IFS= read -r command || exit 0
        roots="${argument#"${argument%% *}"} "
        if [ "$roots" != " " ]; then
            root=$(stat -c %i "$sandbox" 2>/dev/null)
            case $roots in
            *" ${root:-none} "*) ;;
            *)
                say started "${root:-none}"
                continue
                ;;
            esac
        fi
        get_ready "$@" || exit 1
        say started
        watch "${argument%% *}" </dev/null >/dev/null 2>&1 3>&- &
        watcher=$!
        printf '%s\n' "$command" >&3
        wait $child 2>/dev/null # bash says there of what a child died
        status=$?
        exec 3>&-
        ready=
        : >ended
        kill $watcher
        # The sweeper is the player's too: what is left of the player may kill it first, or make it say that all is done, but not
        # for long.
        tries=0
        until
            wait $sweeper 2>/dev/null
            ended=$?
            eval "$swept" && [ $ended = 0 ]
        do
            tries=$((tries + 1))
            [ $tries -lt 20 ] || exit 1
            eval "$sweep" </dev/null >/dev/null 2>&1 &
            sweeper=$!
        done
        reason=
        case $status in
        126 | 127)
            reason=$(timeout -s KILL 5 "$@" /bin/sh -c "$why" why "$command" "$shown" "$player_path" $status 2>/dev/null)
            ;;
        esac
        caches=
        eval "$look"
        wait $out $err
        say ran >&2
        say ran $status "${caches:--}" "$reason"
        ;;
    observe)
        find "$sandbox" -printf '%y %m %s %T@ %P\0' 2>/dev/null
        say observed $?
        ;;
    usage)
        eval "$usage" 2>/dev/null # in this very shell: `times` speaks of the shell that it is asked in
        say used
        ;;
    clock) # what a file is stamped with that is made now
        say clock "$(: >clock && stat -c %.9Y clock)"
        ;;
    mark) # two files, the first of them read a few ticks of the clock after it was made and before the other was
        echo >mark && sleep 0.02 && read -r marked <mark && echo >moved &&
            stat -f -c %T "$sandbox" && find mark moved -printf '%A@ %y %m %s %T@ %C@ %i %n/%f\0'
        say marked $?
        ;;
    list) # argument: bytes after which it is cut, and of no use
        { find "$sandbox" -printf '%A@ %y %m %s %T@ %C@ %i %n/%P\0' 2>/dev/null; echo $? >status; } | head -c "$argument"
        say listed "$(cat status)"
        ;;
    digest)
        [ -e tree ] || ln -s "$sandbox" tree
        chunks | xargs -0 b2sum --zero -- 2>/dev/null
        say digested $?
        ;;
    delete)
        chunks | "$@" /bin/sh -c 'cd "$1" && exec xargs -0 rm -f --' delete "$shown" >tar.log 2>&1
        say deleted $? "$(head -c 300 tar.log | tr '\n' ' ')"
        ;;
    pick)
        chunks | $pack --directory="$sandbox" --no-recursion --null --files-from=- 2>tar.log
        status=$?
        [ $status = 0 ] && say picked 0 || say picked $status "$(head -c 300 tar.log | tr '\n' ' ')"
        ;;
    pack)
        $pack --directory="$sandbox" . 2>tar.log
        status=$?
        [ $status = 0 ] && say packed 0 || say packed $status "$(head -c 300 tar.log | tr '\n' ' ')"
        ;;
    quit) exit 0 ;;
    esac
done

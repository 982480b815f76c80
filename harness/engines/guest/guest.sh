# Serves the harness's requests, one a line on stdin, beside the sandbox that the player sees;
# protocol.py has the table of requests and answers.
#
#   sh guest.sh SANDBOX PRIVATE SHOWN OUTPUT_BYTES SWEEP SWEPT USAGE LOOK CACHES UNPACK PACK \
#       ENVIRONMENT PLAYER_PATH PREFIX...
#
# SANDBOX       the player's folder
# PRIVATE       a folder that the player cannot enter
# SHOWN         the sandbox's path as the player sees it
# OUTPUT_BYTES  how much of the player's stdout, and of stderr, is passed on. The rest is read and
#               dropped, so that a full pipe does not kill a chatty program.
# SWEEP         a command that returns when all processes of the player have ended; the player can
#               interfere with it
# SWEPT         a command that this shell runs itself to check that they have ended
# USAGE         a command that prints what processes have used
# LOOK          a command that sets $caches to what a run left in its HOME, $reason if nothing ran
# CACHES        a file; PREFIX can write to it, through descriptor 4, what LOOK reads
# UNPACK        the tar command that unpacks stdin so that the player owns the files
# PACK          the tar command that packs to stdout
# ENVIRONMENT   the player's variables, as shell words
# PLAYER_PATH   the PATH among them
# PREFIX        the words before a command that make it the player's
#
# Whatever runs here as another user than the player, even for the instant before it becomes the
# player, has this script's own environment, with system folders alone, and works in PRIVATE. Only
# the player's process gets the image's variables and the player's files.
#
# Each answer ends in a line `NONCE WORD ...`, and so does all output before it. The nonce is the
# first line of stdin, and the player never sees it. The player's processes have their own pipes,
# never this script's streams, so nothing that they write can pass for an answer. A stream without
# its end line was cut.

set -u
sandbox=$1 private=$2 shown=$3 output_bytes=$4 sweep=$5 swept=$6 usage=$7 look=$8
shift 8
caches_file=$1 unpack=$2 pack=$3 environment=$4 player_path=$5
shift 5
umask 022
IFS= read -r nonce || exit 0
cd "$private" || exit 1
# The player may write to them, so that a script can open /dev/stdout and /dev/stderr, but they are
# in a folder that it cannot enter.
mkfifo -m 622 stdout stderr || exit 1
mkfifo -m 600 go ended || exit 1

say() { printf '\n%s %s\n' "$nonce" "$*"; }

# What the last tar or rm complained of, in one line.
complaint() { head -c 300 tar.log | tr '\n' ' '; }

# Prints a stream of chunks: the size in decimal on a line, then that many bytes. Size 0 ends it.
chunks() {
    while IFS= read -r size && [ "$size" != 0 ]; do
        head -c "$size" || return 1
    done
}

# Unbuffered if the image has stdbuf: a killed run would lose what head has read but not written.
if command -v stdbuf >/dev/null; then head="stdbuf -o0 head"; else head=head; fi

pass_on() {
    $head -c "$output_bytes"
    cat >/dev/null
}

# Says why a command line cannot be started. Runs as the player, with the system's tools.
why='
tell() { printf "%s\n" "$1"; } # echo would interpret backslashes in what the player wrote
cd "$2" || { tell "the folder of the sandbox cannot be entered; chmod 755 it"; exit; }
word=${1%% *}
case $word in
*/*)
    [ -e "$word" ] || { tell "there is no $word in the sandbox"; exit; }
    [ -x "$word" ] || { tell "$word is not executable; chmod +x it"; exit; }
    [ -f "$word" ] || { [ "$4" = 127 ] || tell "$word is not a file that can be run"; exit; }
    first=$(head -c 4096 "$word")
    first=${first%%"
"*}
    case $first in "#!"*) ;; *) exit ;; esac
    PATH=$3
    set -f
    set -- ${first#??}
    case ${1-} in */env)
        while case ${2-} in -* | *=*) true ;; *) false ;; esac; do shift; done && shift
        ;;
    esac
    [ $# = 0 ] || command -v "$1" >/dev/null && exit
    case $1 in
    *"$(printf "\r")") tell "the lines of $word end in CR LF; save it with LF" ;;
    *) tell "the interpreter of $word, $1, is not in the image" ;;
    esac
    ;;
*)
    PATH=$3
    command -v "$word" >/dev/null || tell "the image has no $word"
    ;;
esac'

# The player's process waits for its command line. When memory runs out, the kernel kills it first.
player='cd "$1" || exit 126
unset OLDPWD
IFS= read -r command || exit
exec </dev/null
echo 1000 2>/dev/null >/proc/self/oom_score_adj
eval "$command"'

# Does all of a run that does not need its command, so that a run-container that stands by is ready.
ready=
get_ready() {
    [ -z "$ready" ] || return 0
    pass_on <stdout &
    out=$!
    pass_on <stderr >&2 &
    err=$!
    # Started now, because a fork bomb leaves no process to start. It becomes the player's, and the
    # player's processes may open what it has open: so it has none of this script's streams.
    eval "$sweep" <ended >/dev/null 2>&1 &
    sweeper=$!
    exec 3<>go # both ends are open here, so that opening it never blocks
    eval '"$@" env -i -- '"$environment"' /bin/sh -c "$player" player "$shown" \
        <go >stdout 2>stderr 3>&- 4>"$caches_file" &'
    child=$!
    ready=yes
}

# Kills the player after that many seconds, even if the harness has died.
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
            cat >/dev/null # after a failure, so that the rest of the stream is not read as requests
            exit $status
        }
        status=$?
        [ $status = 0 ] && say unpacked 0 || say unpacked $status "$(complaint)"
        ;;
    ready)
        get_ready "$@" || exit 1
        say ready
        ;;
    run)
        # argument: seconds after which the player is killed, even if the harness has died; then the
        # inodes that a mounted sandbox may have, because an engine may have mounted another folder.
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
        wait $child 2>/dev/null # if a signal ended it, bash says so on stderr
        status=$?
        exec 3>&-
        ready=
        : >ended
        kill $watcher
        # The sweeper is the player's process too: others of the player can kill it, or make it
        # claim success, but not for long.
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
            reason=$(timeout -s KILL 5 "$@" /bin/sh -c "$why" why \
                "$command" "$shown" "$player_path" $status 2>/dev/null)
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
        eval "$usage" 2>/dev/null # in this shell, whose children `times` counts
        say used
        ;;
    clock) # the stamp of a file created now
        say clock "$(: >clock && stat -c %.9Y clock)"
        ;;
    mark) # creates a file, reads it a few clock ticks later, then creates another
        echo >mark && sleep 0.02 && read -r marked <mark && echo >moved &&
            stat -f -c %T "$sandbox" && find mark moved -printf '%A@ %y %m %s %T@ %C@ %i %n/%f\0'
        say marked $?
        ;;
    list) # argument: bytes after which it is cut, and then useless
        {
            find "$sandbox" -printf '%A@ %y %m %s %T@ %C@ %i %n/%P\0' 2>/dev/null
            echo $? >status
        } | head -c "$argument"
        say listed "$(cat status)"
        ;;
    digest)
        [ -e tree ] || ln -s "$sandbox" tree
        chunks | xargs -0 b2sum --zero -- 2>/dev/null
        say digested $?
        ;;
    delete)
        chunks | "$@" /bin/sh -c 'cd "$1" && exec xargs -0 rm -f --' delete "$shown" >tar.log 2>&1
        say deleted $? "$(complaint)"
        ;;
    pick)
        chunks | $pack --directory="$sandbox" --no-recursion --null --files-from=- 2>tar.log
        status=$?
        [ $status = 0 ] && say picked 0 || say picked $status "$(complaint)"
        ;;
    pack)
        $pack --directory="$sandbox" . 2>tar.log
        status=$?
        [ $status = 0 ] && say packed 0 || say packed $status "$(complaint)"
        ;;
    esac
done

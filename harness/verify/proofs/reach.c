/* Tries what a run must not reach or exceed; an attempt prints `reached WHAT` or `refused WHAT`. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>
#include "refused.h" /* names and numbers of the calls that the table refuses */

static void tell(const char *what, int reached) {
    printf("%s %s\n", reached ? "reached" : "refused", what);
    fflush(stdout);
}

static int connects(const char *address, int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval patience = {.tv_usec = 300000};
    int made = socket(AF_INET, SOCK_STREAM, 0);
    inet_pton(AF_INET, address, &to.sin_addr);
    setsockopt(made, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return made >= 0 && connect(made, (struct sockaddr *)&to, sizeof to) == 0;
}

static int connects_abstract(const char *name) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    socklen_t size = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name);
    int made = socket(AF_UNIX, SOCK_STREAM, 0);
    strncpy(to.sun_path + 1, name, sizeof to.sun_path - 2);
    return made >= 0 && connect(made, (struct sockaddr *)&to, size) == 0;
}

/* In a user namespace of its own a run may be root, but only of what it has already. */
static int reads_as_root_of_a_namespace(const char *file) {
    int status = 1;
    if (fork() == 0) _exit(unshare(CLONE_NEWUSER | CLONE_NEWNS) || open(file, O_RDONLY) < 0);
    wait(&status);
    return status == 0;
}

/* Whether a call reached the kernel: without arguments it does no harm, and fails with other errors
   than these. */
static int comes_through(long result) { return result >= 0 || (errno != EPERM && errno != ENOSYS); }

/* Calls in a child, which a filter may kill, and where what is reached has no consequence. */
#define CALL(...)                                                          \
    ({                                                                     \
        int status = 1;                                                    \
        if (fork() == 0) _exit(!comes_through(syscall(__VA_ARGS__)));      \
        wait(&status);                                                     \
        status == 0;                                                       \
    })

/* Whether sockets of this family can be made; the kernel reads 32 bits of it, and a filter may see
   more. */
static int has_family(long family) {
    long types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET};
    int pair[2];
    for (unsigned at = 0; at < sizeof types / sizeof *types; at++)
        if (socket(family, types[at], 0) >= 0 || socketpair(family, types[at], 0, pair) == 0 ||
            (sizeof(long) > 4 && syscall(SYS_socket, family | 1L << 31 << 1, types[at], 0) >= 0))
            return 1;
    return 0;
}

static int has_other_families(void) {
    for (int family = 0; family < 64; family++)
        if (family != AF_UNIX && family != AF_INET && family != AF_INET6 && has_family(family))
            return 1;
    return 0;
}

/* What the kernel tells of the machine's devices: all network namespaces hear it. */
static int hears_events(void) {
    struct sockaddr_nl all = {.nl_family = AF_NETLINK, .nl_groups = 1};
    int made = socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT);
    return made >= 0 && bind(made, (struct sockaddr *)&all, sizeof all) == 0;
}

#ifdef __x86_64__
/* The calls of 32-bit programs, which have other numbers, and their own way to sockets. */
static long old(long number, long first, long second, long third) {
    long result;
    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(number), "b"(first), "c"(second), "d"(third)
                     : "memory");
    return result;
}

static int reaches_by_the_old_calls(void) {
    int status = 1;
    if (fork() == 0) {
        unsigned *vsock = mmap(0, 4096, PROT_READ | PROT_WRITE,
                               MAP_32BIT | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        vsock[0] = AF_VSOCK, vsock[1] = SOCK_STREAM, vsock[2] = 0;
        long tried[] = {
            old(102, 1, (long)vsock, 0),
            old(359, AF_VSOCK, SOCK_STREAM, 0),
            old(310, CLONE_NEWUSER, 0, 0),
            old(425, 1, 0, 0),
        };
        for (int call = 0; call < 4; call++)
            if (tried[call] >= 0 || tried[call] == -EFAULT) _exit(0);
        _exit(1);
    }
    wait(&status);
    return status == 0;
}
#else
static int reaches_by_the_old_calls(void) { return 0; }
#endif

/* Keys that the kernel keeps for a user or a session, beyond the end of a run. */
static int finds_keys(const char *name) {
    long found = syscall(SYS_request_key, "user", name, NULL, 0);
    long added = syscall(SYS_add_key, "user", name, "x", 1, -4 /* of the user */);
    char line[256];
    FILE *keys = fopen("/proc/keys", "r");
    int seen = keys && fgets(line, sizeof line, keys);
    int asks = CALL(SYS_keyctl, 0 /* its serial */, -3 /* of the session */, 0);
    return found >= 0 || added >= 0 || seen || asks;
}

static void call(void) {
    tell("a namespace of its own", CALL(SYS_unshare, CLONE_NEWUSER) ||
                                       CALL(SYS_unshare, CLONE_NEWNS) ||
                                       CALL(SYS_unshare, CLONE_NEWNET));
    tell("a process in a namespace of its own",
         CALL(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0) || CALL(SYS_clone3, NULL, 0));
    tell("another's namespace", CALL(SYS_setns, -1, 0));
    tell("a file system", CALL(SYS_mount, NULL, NULL, NULL, 0, NULL) ||
                              CALL(430 /* fsopen */, NULL, 0) ||
                              CALL(428 /* open_tree */, -1, NULL, 0) ||
                              CALL(SYS_umount2, NULL, 0) ||
                              CALL(SYS_pivot_root, NULL, NULL));
    tell("io_uring", CALL(425 /* io_uring_setup */, 1, NULL) ||
                         CALL(426 /* io_uring_enter */, -1, 0, 0, 0, NULL, 0) ||
                         CALL(427 /* io_uring_register */, -1, 0, NULL, 0));
    tell("asynchronous input and output", CALL(SYS_io_setup, 1, NULL));
    tell("userfaultfd", CALL(SYS_userfaultfd, 1 /* for user space only */));
    tell("AF_VSOCK", has_family(AF_VSOCK));
    tell("AF_NETLINK", has_family(AF_NETLINK));
    tell("the kernel's events", hears_events());
    tell("any other family of sockets", has_other_families());
    tell("the calls of 32-bit programs", reaches_by_the_old_calls());
    tell("bpf", CALL(SYS_bpf, -1, NULL, 0));
    tell("perf events", CALL(SYS_perf_event_open, NULL, 0, -1, -1, 0));
    tell("a file by its handle", CALL(SYS_open_by_handle_at, -1, NULL, 0));
    tell("a module of the kernel", CALL(SYS_init_module, NULL, 0, NULL) ||
                                       CALL(SYS_finit_module, -1, NULL, 0) ||
                                       CALL(SYS_delete_module, NULL, 0));
    tell("another kernel", CALL(SYS_kexec_load, 0, 0, NULL, 0) || CALL(SYS_reboot, 0, 0, 0, NULL));
    tell("the clock", CALL(SYS_clock_settime, 99, NULL) || CALL(SYS_settimeofday, NULL, NULL));
    tell("swap and quota", CALL(SYS_swapon, NULL, 0) || CALL(SYS_quotactl, 0, NULL, 0, NULL) ||
                               CALL(SYS_acct, "none"));
    tell("the kernel's log", CALL(SYS_syslog, 10 /* its size */, NULL, 0));
    tell("the memory policy of others", CALL(SYS_mbind, NULL, 0, 0, NULL, 0, 0) ||
                                            CALL(SYS_move_pages, 0, 0, NULL, NULL, NULL, 0) ||
                                            CALL(SYS_migrate_pages, 0, 0, NULL, NULL));
    tell("what processes share", CALL(SYS_kcmp, getpid(), getpid(), 99, 0, 0) ||
                                     CALL(438 /* pidfd_getfd */, -1, 0, 0));
    tell("another personality", CALL(SYS_personality, ADDR_NO_RANDOMIZE));
    for (unsigned at = 0; getuid() != 0 && at < sizeof refused / sizeof *refused; at++)
        if (CALL(refused[at].number, -1, -1, -1, -1, -1, -1))
            printf("reached any other refused call: %s\n", refused[at].name);
}

static int reach(char **given) {
    int port = atoi(given[0]);
    for (char *address = strtok(given[1], ","); address; address = strtok(NULL, ","))
        if (connects(address, port)) tell("the network", 1);
    tell("a socket of the host", connects_abstract(given[2]));
    tell("a file of the system, as root of a namespace", reads_as_root_of_a_namespace(given[3]));
    tell("the uid 0", setuid(0) == 0 || seteuid(0) == 0);
    tell("a mount", mount("none", "/tmp", "tmpfs", 0, "") == 0);
    tell("a device", mknod("device", S_IFBLK | 0600, makedev(8, 0)) == 0 ||
                         open("/dev/mem", O_RDONLY) >= 0);
    tell("another root", chroot("/") == 0);
    tell("a key", finds_keys(given[2]));
    call();
    struct stat first; /* if it is the run's own user's, it may do no more than the run */
    if (stat("/proc/1", &first) == 0 && first.st_uid != getuid())
        tell("the first process",
             ptrace(PTRACE_ATTACH, 1, 0, 0) == 0 || open("/proc/1/mem", O_RDWR) >= 0);
    return 0;
}

static char block[1 << 16];

/* Takes memory in files of no file system. */
static long fill_memory_files(long most) {
    long here = 0;
    signal(SIGXFSZ, SIG_IGN);
    for (int file; here < most && (file = memfd_create("memory", 0)) >= 0;)
        for (long got; here < most && (got = write(file, block, sizeof block)) > 0;) here += got;
    return here;
}

/* Takes memory in connections that nobody reads from. */
static long fill_connections(long most) {
    struct sockaddr_in self = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof self;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    long here = 0;
    if (listener < 0 || bind(listener, (struct sockaddr *)&self, size) || listen(listener, 8) ||
        getsockname(listener, (struct sockaddr *)&self, &size))
        return 0;
    while (here < most) {
        int ends[2] = {socket(AF_INET, SOCK_STREAM, 0), -1};
        if (ends[0] < 0 || connect(ends[0], (struct sockaddr *)&self, size) ||
            (ends[1] = accept(listener, NULL, NULL)) < 0)
            break;
        for (int end = 0; end < 2; end++) fcntl(ends[end], F_SETFL, O_NONBLOCK);
        for (int idle = 0; idle < 3; usleep(500)) {
            long got = 0;
            for (int end = 0; end < 2; end++)
                for (long part; (part = write(ends[end], block, sizeof block)) > 0;) got += part;
            here += got;
            idle = got ? 0 : idle + 1;
        }
    }
    return here;
}

/* Lets as many processes take memory as needed, since a process has a number of open files, and
   files have a size limit. If one is killed for it, its memory is free again, and does not
   count. */
static long take_in_processes(long (*fill)(long), long most) {
    pid_t children[64];
    long taken = 0;
    int count = 0, ended = 0;
    while (taken < most && count < 64) {
        long here = 0;
        int said[2];
        if (pipe(said)) break;
        pid_t child = fork();
        if (child == 0) {
            here = fill(most - taken);
            write(said[1], &here, sizeof here);
            pause();
            _exit(0);
        }
        close(said[1]);
        if (child > 0) children[count++] = child;
        int got = read(said[0], &here, sizeof here);
        close(said[0]);
        if (child < 0 || got != sizeof here || here == 0) break;
        taken += here;
    }
    for (int child = 0; child < count; child++)
        ended |= waitpid(children[child], NULL, WNOHANG) != 0;
    for (int child = 0; child < count; child++) kill(children[child], SIGKILL);
    return ended ? 0 : taken;
}

/* Takes what there is, up to `most`, and says whether it got that far. */
static int take(const char *what, long most) {
    long taken = 0;
    if (!strcmp(what, "processes")) {
        pid_t *children = calloc(most, sizeof *children);
        /* For half a second, so that it also gets what others release. */
        for (int failed = 0; taken < most && failed < 5000;) {
            pid_t child = fork();
            if (child == 0) { pause(); _exit(0); }
            if (child > 0) children[taken++] = child;
            else failed++, usleep(50);
        }
        for (long child = 0; child < taken; child++) kill(children[child], SIGKILL);
        while (wait(NULL) > 0) ;
    } else if (!strcmp(what, "memory"))
        for (char *got; taken < most && (got = malloc(sizeof block)); taken += sizeof block)
            memset(got, 1, sizeof block);
    else if (!strcmp(what, "memory without a name"))
        taken = take_in_processes(fill_memory_files, most);
    else if (!strcmp(what, "memory of connections"))
        taken = take_in_processes(fill_connections, most);
    else if (!strcmp(what, "open files"))
        for (; taken < most && open("/dev/null", O_RDONLY) >= 0; taken++) ;
    else if (!strcmp(what, "many files"))
        for (char name[64]; taken < most; taken++) {
            snprintf(name, sizeof name, "full.%ld", taken);
            int file = open(name, O_WRONLY | O_CREAT, 0600);
            if (file < 0) break;
            close(file);
        }
    else { /* a file, or files in a folder until it is full */
        int one = !strcmp(what, "a file");
        signal(SIGXFSZ, SIG_IGN);
        for (int number = 0; taken < most; number++) {
            char name[64];
            const char *folder = !strcmp(what, "/tmp") ? "/tmp" : ".";
            snprintf(name, sizeof name, "%s/full.%d", folder, one ? 0 : number);
            int file = open(name, O_WRONLY | O_CREAT | O_APPEND, 0600);
            long here = 0, got = 0;
            while (file >= 0 && taken < most && (one || here < 1 << 20) &&
                   (got = write(file, block, sizeof block)) > 0)
                here += got, taken += got;
            close(file);
            if (file < 0 || got <= 0 || one) break;
        }
    }
    tell(what, taken >= most);
    return 0;
}

#ifdef __x86_64__
/* Makes another process print this on its standard output, whatever else it was about to do. */
static void say_by(pid_t other, const char *line, long size) {
    struct user_regs_struct now;
    long instruction = 0xcc050f; /* syscall, and a breakpoint */
    int status;
    ptrace(PTRACE_INTERRUPT, other, 0, 0);
    if (waitpid(other, &status, __WALL) != other || !WIFSTOPPED(status) ||
        ptrace(PTRACE_GETREGS, other, 0, &now))
        return;
    now.rax = SYS_write, now.orig_rax = -1;
    now.rdi = 1, now.rsi = now.rsp - 4096, now.rdx = size;
    for (long at = 0; at < size; at += sizeof(long)) {
        long word = 0;
        memcpy(&word, line + at, size - at < (long)sizeof word ? size - at : (long)sizeof word);
        ptrace(PTRACE_POKEDATA, other, now.rsi + at, word);
    }
    if (ptrace(PTRACE_POKETEXT, other, now.rip, instruction) ||
        ptrace(PTRACE_SETREGS, other, 0, &now))
        return;
    ptrace(PTRACE_CONT, other, 0, 0);
    waitpid(other, &status, __WALL);
    /* The harness, it is hoped, lets another process do its work. */
    ptrace(PTRACE_DETACH, other, 0, SIGKILL);
}

/* Waits for new processes of this user, such as one that ends a run's remains; prints by each. */
static int forge(const char *token) {
    static char known[1 << 15];
    char line[256];
    int size = snprintf(line, sizeof line, "\nforged-%s\n", token), most = getpid() + 64;
    setsid();
    if (most > (int)sizeof known) most = sizeof known;
    for (int other = 2; other < most; other++) known[other] = kill(other, 0) == 0;
    for (;;)
        for (int other = 2; other < most; other++)
            if (!known[other] && ptrace(PTRACE_SEIZE, other, 0, 0) == 0)
                known[other] = 1, say_by(other, line, size);
}
#else
static int forge(const char *token) { return 0; }
#endif

int main(int count, char **given) {
    if (count == 3 && !strcmp(given[1], "forge")) return forge(given[2]);
    int reaches = count == 6 && !strcmp(given[1], "reach");
    return reaches ? reach(given + 2) : take(given[1], atol(given[2]));
}

/* What a run must not reach or exceed: each attempt prints a line, `reached WHAT` or `refused WHAT`. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

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
    int made = socket(AF_UNIX, SOCK_STREAM, 0);
    strncpy(to.sun_path + 1, name, sizeof to.sun_path - 2);
    return made >= 0 && connect(made, (struct sockaddr *)&to, offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name)) == 0;
}

/* In a user namespace of its own a run may be root, but only of what it has already. */
static int reads_as_root_of_a_namespace(const char *file) {
    int status = 1;
    if (fork() == 0) _exit(unshare(CLONE_NEWUSER | CLONE_NEWNS) || open(file, O_RDONLY) < 0);
    wait(&status);
    return status == 0;
}

static int reach(char **given) {
    int port = atoi(given[0]);
    for (char *address = strtok(given[1], ","); address; address = strtok(NULL, ","))
        if (connects(address, port)) tell("the network", 1);
    tell("a socket of the host", connects_abstract(given[2]));
    tell("a file of the system, as root of a namespace", reads_as_root_of_a_namespace(given[3]));
    tell("the uid 0", setuid(0) == 0 || seteuid(0) == 0);
    tell("a mount", mount("none", "/tmp", "tmpfs", 0, "") == 0);
    tell("a device", mknod("device", S_IFBLK | 0600, makedev(8, 0)) == 0 || open("/dev/mem", O_RDONLY) >= 0);
    tell("another root", chroot("/") == 0);
    struct stat first; /* where it is the run's own user's, it may do no more than the run */
    if (stat("/proc/1", &first) == 0 && first.st_uid != getuid())
        tell("the first process", ptrace(PTRACE_ATTACH, 1, 0, 0) == 0 || open("/proc/1/mem", O_RDWR) >= 0);
    return 0;
}


/* Takes what there is, up to `most`, and says so if it got that far. */
static int take(const char *what, long most) {
    static char block[1 << 16];
    long taken = 0;
    if (!strcmp(what, "processes"))
        for (; taken < most; taken++) {
            pid_t child = fork();
            if (child < 0) break;
            if (child == 0) { pause(); _exit(0); }
        }
    else if (!strcmp(what, "memory"))
        for (char *got; taken < most && (got = malloc(sizeof block)); taken += sizeof block) memset(got, 1, sizeof block);
    else if (!strcmp(what, "open files"))
        for (; taken < most && open("/dev/null", O_RDONLY) >= 0; taken++) ;
    else { /* a file, or files in a folder until there is no more room in it */
        int one = !strcmp(what, "a file");
        signal(SIGXFSZ, SIG_IGN);
        for (int number = 0; taken < most; number++) {
            char name[64];
            snprintf(name, sizeof name, "%s/full.%d", !strcmp(what, "/tmp") ? "/tmp" : ".", one ? 0 : number);
            int file = open(name, O_WRONLY | O_CREAT | O_APPEND, 0600);
            long here = 0, got = 0;
            while (file >= 0 && taken < most && (one || here < 1 << 20) && (got = write(file, block, sizeof block)) > 0)
                here += got, taken += got;
            close(file);
            if (file < 0 || got <= 0 || one) break;
        }
    }
    tell(what, taken >= most);
    return 0;
}

int main(int count, char **given) {
    return count == 6 && !strcmp(given[1], "reach") ? reach(given + 2) : take(given[1], atol(given[2]));
}

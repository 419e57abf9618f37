/* Starts a display and the engine on it, and ends both as soon as the process that wanted them is gone.
 *
 *     keeper LIFELINE FOLDER LIBRARY DISPLAY_SERVER DISPLAY_ARGUMENTS... -- ENGINE ENGINE_ARGUMENTS...
 *
 * LIFELINE is the reading end of a pipe: when its other end is closed, by will or by death, everything ends and FOLDER
 * is removed. A byte that comes through it says that FOLDER is there and filled, and all begins: so whoever fills it may
 * die at any moment. LIBRARY is preloaded into the engine alone.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define GLANCE 250           /* milliseconds between looks at the parent and the children */
#define DISPLAY_START 30000  /* milliseconds */
#define DISPLAY_END 2000     /* milliseconds for it to remove its own files */
#define LOG "engine.log"     /* in FOLDER; as in engine.py */
#define RELIEVED 64          /* as in anchors.c: the engine goes on in another process */

static volatile sig_atomic_t told_to_end;
static pid_t parent;

static void on_signal(int number) {
    (void)number;
    told_to_end = 1;
}

static void fail(const char *what) {
    fprintf(stderr, "rig keeper: %s: %s\n", what, strerror(errno));
    _exit(3);
}

/* Forks; the child dies with this process. */
static pid_t fork_bound(int death) {
    pid_t keeper = getpid(), child = fork();
    if (child < 0) fail("fork");
    if (!child) {
        prctl(PR_SET_PDEATHSIG, death);
        if (getppid() != keeper) _exit(3);
    }
    return child;
}

static int close_span(unsigned first, unsigned last) {
#ifdef SYS_close_range
    return first > last ? 0 : (int)syscall(SYS_close_range, first, last, 0);
#else
    return (void)first, (void)last, -1;
#endif
}

/* What was inherited for the engine's sake must not stay open elsewhere: its end would never be noticed. */
static void close_all_but(int kept) {
    if (!close_span(3, kept - 1) && !close_span(kept + 1, ~0U)) return;
    DIR *all = opendir("/proc/self/fd"); /* kernels before 5.9 */
    if (!all) fail("/proc/self/fd");
    for (struct dirent *one; (one = readdir(all));) {
        int descriptor = atoi(one->d_name);
        if (descriptor > 2 && descriptor != kept && descriptor != dirfd(all)) close(descriptor);
    }
    closedir(all);
}

/* Reads a line, which may come in parts; it stays empty where none comes in time. */
static void read_line(int descriptor, char *text, size_t size) {
    struct pollfd answer = {descriptor, POLLIN, 0};
    for (size_t length = 0; length < size && poll(&answer, 1, DISPLAY_START) == 1; length++)
        if (read(descriptor, text + length, 1) != 1 || text[length] == '\n') return;
}

static pid_t start_display(char **command, int *number) {
    int ends[2];
    char descriptor[16], text[16] = "";
    if (pipe(ends)) fail("pipe");
    pid_t child = fork_bound(SIGTERM);
    if (!child) {
        size_t count = 0;
        while (command[count]) count++;
        char **whole = calloc(count + 3, sizeof *whole);
        memcpy(whole, command, count * sizeof *whole);
        snprintf(descriptor, sizeof descriptor, "%d", ends[1]);
        whole[count] = "-displayfd";
        whole[count + 1] = descriptor;
        close_all_but(ends[1]);
        execv(whole[0], whole);
        fail(whole[0]);
    }
    close(ends[1]);
    read_line(ends[0], text, sizeof text - 1);
    if (!*text) {
        fprintf(stderr, "rig keeper: %s did not start\n", command[0]);
        kill(child, SIGKILL);
        _exit(4);
    }
    close(ends[0]);
    *number = atoi(text);
    return child;
}

static pid_t start_engine(char **command, const char *library, int display, int lifeline) {
    char name[16], preloaded[32];
    pid_t child = fork_bound(SIGKILL);
    setpgid(child, child); /* here and there: whoever comes first */
    if (child) return child;
    snprintf(name, sizeof name, ":%d", display);
    setenv("DISPLAY", name, 1);
    snprintf(preloaded, sizeof preloaded, "/proc/self/fd/%d", open(library, O_RDONLY));
    setenv("LD_PRELOAD", preloaded, 1); /* a list that blanks and colons divide, which a path may have */
    close(lifeline);
    execv(command[0], command);
    fail(command[0]);
    return 0;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where) {
    (void)status, (void)kind, (void)where;
    remove(path);
    return 0;
}

static void end_display(pid_t display) {
    kill(display, SIGTERM);
    for (int waited = 0; waited < DISPLAY_END; waited += 10) {
        if (waitpid(display, NULL, WNOHANG) == display) return;
        usleep(10000);
    }
    kill(display, SIGKILL);
    waitpid(display, NULL, 0);
}

static void end_engine(pid_t engine) {
    kill(-engine, SIGKILL);
    while (waitpid(-engine, NULL, 0) > 0) continue;
}

/* Whether one of the engine's processes has ended that should not have. They are a group, and children of this one. */
static int has_failed(pid_t engine) {
    int status = 0;
    pid_t ended;
    while ((ended = waitpid(-engine, &status, WNOHANG)) > 0)
        if (!WIFEXITED(status) || WEXITSTATUS(status) != RELIEVED) return 1;
    return ended < 0;
}

static void watch(int lifeline, pid_t engine, pid_t display) {
    struct pollfd line = {lifeline, POLLIN, 0};
    int alive = 1;
    while (!told_to_end && getppid() == parent && poll(&line, 1, GLANCE) <= 0) {
        if (alive && has_failed(engine)) {
            alive = 0;
            end_engine(engine);
            end_display(display);
        }
    }
    if (!alive) return;
    end_engine(engine);
    end_display(display);
}

/* Waits for the byte that says that all may begin; 0 where the other end is closed first. */
static int is_wanted(int lifeline) {
    struct pollfd line = {lifeline, POLLIN, 0};
    char byte;
    while (!told_to_end && getppid() == parent)
        if (poll(&line, 1, GLANCE) > 0) return read(lifeline, &byte, 1) == 1;
    return 0;
}

static void enter(const char *folder) {
    if (chdir(folder)) fail(folder);
    int log = open(LOG, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (log < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0) fail(LOG);
    close(log);
}

int main(int count, char **arguments) {
    if (count < 7) return 2;
    parent = getppid();
    signal(SIGTERM, on_signal);
    signal(SIGINT, SIG_IGN);
    int lifeline = atoi(arguments[1]), display_number, split = 4;
    while (split < count && strcmp(arguments[split], "--")) split++;
    if (split >= count - 1) return 2;
    arguments[split] = NULL;
    if (is_wanted(lifeline)) {
        enter(arguments[2]);
        pid_t display = start_display(arguments + 4, &display_number);
        pid_t engine = start_engine(arguments + split + 1, arguments[3], display_number, lifeline);
        close_all_but(lifeline);
        watch(lifeline, engine, display);
    }
    nftw(arguments[2], remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}

/* Moments to which the engine can go back: processes that stand still.
 *
 * An anchor is a copy of the whole process, made between two ticks, which waits. To go back, the running process wakes
 * it and ends; the anchor makes a copy of itself, in which the threads come to life again and the conversation with the
 * agent goes on where it was. Memory is shared until it is written to. So all is as it was then, to the bit, but for what
 * lies outside of the process: the frame that was last drawn, and the display, which nothing is asked of between ticks.
 */
#include "lockstep.h"
#include <dlfcn.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define RELIEVED 64 /* as in keeper.c: a process ends because another goes on */

enum { EMPTY, WAITING, WANTED, UNWANTED };

/* Shared by all copies, and not taken back with the rest. */
struct board {
    uint32_t asked;              /* times that something was written to the display */
    uint32_t state[ANCHORS];     /* of each anchor; a futex */
    uint32_t asked_then[ANCHORS]; /* `asked` when it was made */
};

static struct board *board;
static pid_t keeper;

void anchors_begin(void) {
    keeper = getppid();
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED) board = NULL;
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    static ssize_t (*real)(int, const struct iovec *, int);
    if (!real) real = original("writev");
    if (board) board->asked++;
    return real(descriptor, parts, count);
}

/* A copy of this process with this thread alone: a child of the keeper, with which it ends. */
static pid_t copy(void) {
    pid_t made = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
    if (made) return made;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != keeper) _exit(RELIEVED);
    return 0;
}

static void tell(uint32_t anchor, uint32_t state) {
    __atomic_store_n(&board->state[anchor], state, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, &board->state[anchor], FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* Returns in a copy of the anchor, each time that it is wanted. */
static void stand_still(uint32_t anchor) {
    uint32_t *state = &board->state[anchor];
    for (;;) {
        while (__atomic_load_n(state, __ATOMIC_SEQ_CST) == WAITING)
            syscall(SYS_futex, state, FUTEX_WAIT, WAITING, NULL, NULL, 0);
        if (*state == UNWANTED) _exit(RELIEVED);
        *state = WAITING;
        pid_t made = copy();
        if (!made) return;
        if (made < 0) _exit(1);
    }
}

static int keep(uint32_t anchor) {
    if (board->state[anchor] == WAITING || !threads_asleep()) return 0;
    board->asked_then[anchor] = board->asked;
    board->state[anchor] = WAITING;
    pid_t made = copy();
    if (made < 0) board->state[anchor] = EMPTY;
    if (made) return made > 0;
    stand_still(anchor);
    threads_revive();
    return 1;
}

/* The display counts what it is asked, and so does each copy: where the counts differ, there is no way back. */
static int go_back(uint32_t anchor) {
    if (board->state[anchor] != WAITING || board->asked_then[anchor] != board->asked) return 0;
    tell(anchor, WANTED);
    _exit(RELIEVED);
}

static int drop(uint32_t anchor) {
    if (board->state[anchor] != WAITING) return 0;
    tell(anchor, UNWANTED);
    return 1;
}

int anchors_errand(uint32_t errand, uint32_t anchor) {
    if (!board || anchor >= ANCHORS) return 0;
    return errand == KEEP ? keep(anchor) : errand == GO_BACK ? go_back(anchor) : errand == DROP ? drop(anchor) : 0;
}

/* Who may run when.
 *
 * The engine's own threads ("managed") wait for semaphores, conditions, sockets and time by the rules here: a thread
 * whose wait is over goes on only while its group is let run. The main thread lets the groups run between two frames,
 * and whenever it has to wait itself. Threads of the graphics driver are left alone.
 */
#include "lockstep.h"
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE 20 /* seconds of real time for threads to come to rest */
#define LOOKS 1000  /* at a thread that should fall asleep, before each next look waits a millisecond */
#define WAITS 2000  /* such waits: a processor that the machine gave to another is away for longer than the looks take */
#define THREADS 32
#define FIRST_STACK 16384 /* bytes in which a thread that comes to life finds its own stack */

enum { OTHERS = 1, SERVER = 2, ALL = 3 };

struct waiter {
    struct waiter *next;
    uint32_t woken; /* a futex */
    condition holds;
    void *object;
    int64_t deadline;
    int group;
    void *self;   /* the thread's own data */
    jmp_buf here; /* where it waits */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t rested = PTHREAD_COND_INITIALIZER;
static struct waiter *waiters;
static int running; /* managed threads that are not waiting */
static int let_run; /* groups that may go on */
static int unbound; /* the engine is ending: nobody is held back any more */
static __thread int managed, group;

void *original(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) abort();
    return found;
}

/* dlsym finds the oldest version of these, which knows another layout */
static void *original_condition(const char *name) {
    void *found = dlvsym(RTLD_NEXT, name, "GLIBC_2.3.2");
    return found ? found : original(name);
}

static int real_wait(pthread_cond_t *wake, pthread_mutex_t *mutex) {
    static int (*real)(pthread_cond_t *, pthread_mutex_t *);
    if (!real) real = original_condition("pthread_cond_wait");
    return real(wake, mutex);
}

static int real_signal(pthread_cond_t *wake) {
    static int (*real)(pthread_cond_t *);
    if (!real) real = original_condition("pthread_cond_signal");
    return real(wake);
}

int on_main_thread(void) { return gettid() == getpid(); }
int is_managed(void) { return managed; }
void lock_threads(void) { pthread_mutex_lock(&lock); }
void unlock_threads(void) { pthread_mutex_unlock(&lock); }

static int group_of_this_thread(void) {
    char name[16] = "";
    if (!group) {
        prctl(PR_GET_NAME, name);
        group = strcmp(name, "Server") ? OTHERS : SERVER;
    }
    return group;
}

static int is_over(const struct waiter *waiter) {
    return unbound || waiter->deadline <= clock_now() || waiter->holds(waiter->object);
}

static int may_go_on(const struct waiter *waiter) {
    return (unbound || waiter->group & let_run) && is_over(waiter);
}

static void wake_up(struct waiter *waiter) {
    waiter->woken++;
    syscall(SYS_futex, &waiter->woken, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void wait_for_wake(struct waiter *waiter) {
    uint32_t seen = waiter->woken;
    unlock_threads();
    syscall(SYS_futex, &waiter->woken, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
    lock_threads();
}

static void remove_waiter(struct waiter *waiter) {
    struct waiter **place = &waiters;
    while (*place != waiter) place = &(*place)->next;
    *place = waiter->next;
}

/* Called with the lock held, and returns with it. */
static void wait_as_managed(struct waiter *waiter) {
    waiter->self = __builtin_thread_pointer();
    waiter->next = waiters;
    waiters = waiter;
    if (!--running) real_signal(&rested);
    if (_setjmp(waiter->here)) lock_threads(); /* in a copy of the process */
    while (!may_go_on(waiter)) wait_for_wake(waiter);
    running++;
    remove_waiter(waiter);
}

static int64_t earliest_locked(void) {
    int64_t earliest = NEVER;
    for (struct waiter *waiter = waiters; waiter; waiter = waiter->next)
        if (waiter->deadline < earliest) earliest = waiter->deadline;
    return earliest;
}

int64_t earliest_deadline(void) {
    lock_threads();
    int64_t earliest = earliest_locked();
    unlock_threads();
    return earliest;
}

/* The main thread waits: it lets the others run, and moves the clock to whatever comes next. */
static int wait_as_main(condition holds, void *object, int64_t deadline) {
    for (;;) {
        settle();
        lock_threads();
        int held = holds(object);
        int64_t next = earliest_locked();
        unlock_threads();
        if (held) return 1;
        if (deadline <= clock_now()) return 0;
        if (deadline < next) next = deadline;
        if (next == NEVER) return 0;
        if (next > clock_now()) clock_advance(next - clock_now());
    }
}

int wait_until(condition holds, void *object, int64_t deadline) {
    if (on_main_thread()) return wait_as_main(holds, object, deadline);
    struct waiter waiter = {.holds = holds, .object = object, .deadline = deadline, .group = group_of_this_thread()};
    lock_threads();
    wait_as_managed(&waiter);
    int held = holds(object);
    unlock_threads();
    return held;
}

void notify(void *object) {
    lock_threads();
    for (struct waiter *waiter = waiters; waiter; waiter = waiter->next)
        if (waiter->object == object && may_go_on(waiter)) wake_up(waiter);
    unlock_threads();
}

static int wake_those_who_may(void) {
    int woken = 0;
    for (struct waiter *waiter = waiters; waiter; waiter = waiter->next)
        if (may_go_on(waiter)) {
            wake_up(waiter);
            woken++;
        }
    return woken;
}

static int real_timed_wait(pthread_cond_t *wake, pthread_mutex_t *mutex, const struct timespec *until) {
    static int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    if (!real) real = original_condition("pthread_cond_timedwait");
    return real(wake, mutex, until);
}

static struct timespec patience_ends(void) {
    static int (*real)(clockid_t, struct timespec *);
    struct timespec now;
    if (!real) real = original("clock_gettime");
    real(CLOCK_REALTIME, &now);
    now.tv_sec += PATIENCE;
    return now;
}

static int run_until_rest(int groups) {
    struct timespec end = patience_ends();
    int patient = 1;
    lock_threads();
    let_run = groups;
    while ((wake_those_who_may() || running) && patient) patient = !real_timed_wait(&rested, &lock, &end);
    let_run = 0;
    unlock_threads();
    return patient;
}

/* What the client sent arrives; the server takes its step; what it sent arrives, maps and meshes are made. */
int settle(void) { return run_until_rest(OTHERS) & run_until_rest(SERVER) & run_until_rest(OTHERS); }

static char state_of_thread(const char *number) {
    char path[64], text[512] = "";
    snprintf(path, sizeof path, "/proc/self/task/%s/stat", number);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    if (read(file, text, sizeof text - 1) < 0) *text = 0;
    close(file);
    const char *name_ends = strrchr(text, ')');
    return name_ends && name_ends[1] ? name_ends[2] : 0;
}

static int falls_asleep(const char *number) {
    const struct timespec millisecond = {.tv_nsec = 1000000};
    for (int look = 0; look < LOOKS + WAITS; look++) {
        if (state_of_thread(number) == 'S') return 1;
        if (look < LOOKS)
            sched_yield();
        else
            syscall(SYS_nanosleep, &millisecond, NULL);
    }
    return 0;
}

int threads_asleep(void) {
    char own[16];
    int asleep = 1;
    DIR *all = opendir("/proc/self/task");
    if (!all) return 0;
    snprintf(own, sizeof own, "%d", gettid());
    for (struct dirent *one; asleep && (one = readdir(all));)
        if (*one->d_name != '.' && strcmp(one->d_name, own)) asleep = falls_asleep(one->d_name);
    closedir(all);
    return asleep && !running;
}

static int go_on(void *waiter) { longjmp(((struct waiter *)waiter)->here, 1); }

void threads_revive(void) {
    static _Alignas(16) char stacks[THREADS][FIRST_STACK];
    const int kind = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS;
    int revived = 0;
    lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    rested = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    lock_threads();
    for (struct waiter *waiter = waiters; waiter; waiter = waiter->next, revived++)
        if (revived == THREADS || clone(go_on, stacks[revived] + FIRST_STACK, kind, waiter, NULL, waiter->self, NULL) < 0)
            _exit(1);
    unlock_threads();
}

struct errand {
    void *(*routine)(void *);
    void *argument;
};

static void *run_managed(void *given) {
    struct errand errand = *(struct errand *)given;
    free(given);
    managed = 1;
    void *result = errand.routine(errand.argument);
    lock_threads();
    if (!--running) real_signal(&rested);
    unlock_threads();
    return result;
}

/* The engine makes its threads through the C++ library, the graphics driver its own directly. */
static int is_of_the_engine(void *caller) {
    Dl_info info;
    return dladdr(caller, &info) && strstr(info.dli_fname, "libstdc++");
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*routine)(void *), void *argument) {
    static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (!real) real = original("pthread_create");
    if (!is_of_the_engine(__builtin_return_address(0))) return real(thread, attributes, routine, argument);
    struct errand *errand = malloc(sizeof *errand);
    *errand = (struct errand){routine, argument};
    lock_threads();
    running++;
    unlock_threads();
    return real(thread, attributes, run_managed, errand);
}

int pthread_join(pthread_t thread, void **result) {
    static int (*real)(pthread_t, void **);
    if (!real) real = original("pthread_join");
    if (on_main_thread()) {
        lock_threads();
        unbound = 1;
        wake_those_who_may();
        unlock_threads();
    }
    return real(thread, result);
}

static int is_posted(void *semaphore) {
    int value = 0;
    sem_getvalue(semaphore, &value);
    return value > 0;
}

static int wait_for_semaphore(sem_t *semaphore, int64_t deadline) {
    do {
        if (!sem_trywait(semaphore)) return 0;
    } while (wait_until(is_posted, semaphore, deadline) || (deadline == NEVER && !unbound));
    if (!sem_trywait(semaphore)) return 0;
    errno = ETIMEDOUT;
    return -1;
}

int sem_wait(sem_t *semaphore) {
    static int (*real)(sem_t *);
    if (!real) real = original("sem_wait");
    return managed || on_main_thread() ? wait_for_semaphore(semaphore, NEVER) : real(semaphore);
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until) {
    static int (*real)(sem_t *, const struct timespec *);
    if (!real) real = original("sem_timedwait");
    if (!managed && !on_main_thread()) return real(semaphore, until);
    return wait_for_semaphore(semaphore, clock_deadline(until->tv_sec, until->tv_nsec));
}

int sem_post(sem_t *semaphore) {
    static int (*real)(sem_t *);
    if (!real) real = original("sem_post");
    int result = real(semaphore);
    notify(semaphore);
    return result;
}

struct signalled {
    pthread_cond_t *wake;
    int given;
};

static int is_signalled(void *object) { return ((struct signalled *)object)->given; }

int pthread_cond_wait(pthread_cond_t *wake, pthread_mutex_t *mutex) {
    if (!managed) return real_wait(wake, mutex);
    struct signalled signalled = {wake, 0};
    struct waiter waiter = {
        .holds = is_signalled, .object = &signalled, .deadline = NEVER, .group = group_of_this_thread()};
    lock_threads();
    pthread_mutex_unlock(mutex);
    wait_as_managed(&waiter);
    unlock_threads();
    pthread_mutex_lock(mutex);
    return 0;
}

/* A signal wakes every waiter: those for whom it was not meant look again and go on waiting. */
static void signal_managed(pthread_cond_t *wake) {
    lock_threads();
    for (struct waiter *waiter = waiters; waiter; waiter = waiter->next)
        if (waiter->holds == is_signalled && ((struct signalled *)waiter->object)->wake == wake) {
            ((struct signalled *)waiter->object)->given = 1;
            if (may_go_on(waiter)) wake_up(waiter);
        }
    unlock_threads();
}

int pthread_cond_signal(pthread_cond_t *wake) {
    signal_managed(wake);
    return real_signal(wake);
}

int pthread_cond_broadcast(pthread_cond_t *wake) {
    static int (*real)(pthread_cond_t *);
    if (!real) real = original_condition("pthread_cond_broadcast");
    signal_managed(wake);
    return real(wake);
}

/* Time that moves when it is told to. */
#include "lockstep.h"
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define MONOTONIC_BEGIN (1000 * SECOND)
#define NAP (SECOND / 1000)

static volatile int64_t elapsed;

static int64_t wall_begin(void) {
    static int64_t begin;
    if (!begin) {
        const char *given = getenv("RIG_WALL_CLOCK");
        begin = (given ? atoll(given) : 1) * SECOND;
    }
    return begin;
}

int64_t clock_now(void) { return elapsed; }
void clock_advance(int64_t nanoseconds) { elapsed += nanoseconds; }
int64_t clock_deadline(int64_t seconds, int64_t nanoseconds) { return seconds * SECOND + nanoseconds - wall_begin(); }

int clock_gettime(clockid_t id, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    int64_t now = elapsed;
    switch (id) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE: now += wall_begin(); break;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_BOOTTIME: now += MONOTONIC_BEGIN; break;
    default:
        if (!real) real = original("clock_gettime");
        return real(id, time);
    }
    time->tv_sec = now / SECOND;
    time->tv_nsec = now % SECOND;
    return 0;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    (void)zone;
    int64_t now = elapsed + wall_begin();
    time->tv_sec = now / SECOND;
    time->tv_usec = now % SECOND / 1000;
    return 0;
}

time_t time(time_t *result) {
    time_t now = (elapsed + wall_begin()) / SECOND;
    if (result) *result = now;
    return now;
}

static int never(void *object) {
    (void)object;
    return 0;
}

/* A thread naps while another that it has begun comes up, with a lock held that the new one waits for: naps take real
 * time, and none of ours. */
int nanosleep(const struct timespec *wanted, struct timespec *left) {
    static int (*real)(const struct timespec *, struct timespec *);
    if (!real) real = original("nanosleep");
    int64_t duration = wanted->tv_sec * SECOND + wanted->tv_nsec;
    if ((is_managed() || on_main_thread()) && duration > NAP) return wait_until(never, NULL, elapsed + duration);
    return real(wanted, left);
}

int usleep(useconds_t microseconds) {
    struct timespec wanted = {microseconds / 1000000, microseconds % 1000000 * 1000};
    return nanosleep(&wanted, NULL);
}

/* Chance that is the same in every run: Lua's tables are walked in an order that follows from random numbers, and the
 * server shuffles the pieces of the world before grass grows and leaves fall there. */
#include "lockstep.h"
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The same bytes for every caller: several threads may ask, and who asks first is not known. */
static void fill(uint8_t *bytes, size_t size) {
    uint64_t state = 1;
    for (size_t i = 0; i < size; i++) {
        state = state * 6364136223846793005ULL + 1442695040888963407ULL;
        bytes[i] = state >> 56;
    }
}

long syscall(long number, ...) {
    static long (*real)(long, ...);
    if (!real) real = original("syscall");
    long given[6];
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; i++) given[i] = va_arg(list, long);
    va_end(list);
    if (number != SYS_getrandom) return real(number, given[0], given[1], given[2], given[3], given[4], given[5]);
    fill((uint8_t *)given[0], given[1]);
    return given[1];
}

/* `std::random_device`, which would ask the kernel or the processor: neither goes through `syscall`. */
unsigned _ZNSt13random_device9_M_getvalEv(void *device) {
    (void)device;
    unsigned value;
    fill((uint8_t *)&value, sizeof value);
    return value;
}

/* The engine's client and server exchange their datagrams inside the process: no port is opened, nothing can be
 * reached from outside, and whether a datagram is still on its way is known. */
#include "lockstep.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#define ENDPOINTS 16
#define FIRST_FREE_PORT 40000
#define BULK 300 /* bytes: positions and answers are smaller, pieces of the world larger */

struct datagram {
    struct datagram *next;
    in_port_t from;
    size_t size;
    char bytes[];
};

struct endpoint {
    int descriptor; /* a number that nothing else has; no socket */
    in_port_t port;
    struct datagram *first, **end;
};

static struct endpoint endpoints[ENDPOINTS];
static uint64_t bulk;

uint64_t network_bulk(void) { return bulk; }

static struct endpoint *endpoint_with(int descriptor) {
    for (struct endpoint *found = endpoints; found < endpoints + ENDPOINTS; found++)
        if (found->descriptor == descriptor && descriptor) return found;
    return NULL;
}

static struct endpoint *endpoint_at(in_port_t port) {
    for (struct endpoint *found = endpoints; found < endpoints + ENDPOINTS; found++)
        if (found->descriptor && found->port == port && port) return found;
    return NULL;
}

static int open_endpoint(void) {
    lock_threads();
    struct endpoint *free_one = endpoints;
    while (free_one < endpoints + ENDPOINTS && free_one->descriptor) free_one++;
    int full = free_one == endpoints + ENDPOINTS;
    if (!full) *free_one = (struct endpoint){eventfd(0, EFD_CLOEXEC), 0, NULL, &free_one->first};
    unlock_threads();
    if (full) errno = EMFILE;
    return full ? -1 : free_one->descriptor;
}

int socket(int domain, int type, int protocol) {
    static int (*real)(int, int, int);
    if (!real) real = original("socket");
    if (domain != AF_INET && domain != AF_INET6) return real(domain, type, protocol);
    if (domain == AF_INET && (type & 0xf) == SOCK_DGRAM) return open_endpoint();
    errno = EAFNOSUPPORT;
    return -1;
}

int setsockopt(int descriptor, int level, int name, const void *value, socklen_t size) {
    static int (*real)(int, int, int, const void *, socklen_t);
    if (!real) real = original("setsockopt");
    return endpoint_with(descriptor) ? 0 : real(descriptor, level, name, value, size);
}

int bind(int descriptor, const struct sockaddr *address, socklen_t size) {
    static int (*real)(int, const struct sockaddr *, socklen_t);
    static in_port_t next_free = FIRST_FREE_PORT;
    if (!real) real = original("bind");
    struct endpoint *own = endpoint_with(descriptor);
    if (!own) return real(descriptor, address, size);
    in_port_t port = ntohs(((const struct sockaddr_in *)address)->sin_port);
    lock_threads();
    own->port = port ? port : next_free++;
    unlock_threads();
    return 0;
}

int close(int descriptor) {
    static int (*real)(int);
    if (!real) real = original("close");
    struct endpoint *own = endpoint_with(descriptor);
    if (own) own->descriptor = 0;
    return real(descriptor);
}

static void append(struct endpoint *to, in_port_t from, const void *bytes, size_t size) {
    struct datagram *datagram = malloc(sizeof *datagram + size);
    *datagram = (struct datagram){NULL, from, size};
    memcpy(datagram->bytes, bytes, size);
    *to->end = datagram;
    to->end = &datagram->next;
    bulk += size > BULK;
}

ssize_t sendto(int descriptor, const void *bytes, size_t size, int flags, const struct sockaddr *address,
               socklen_t address_size) {
    static ssize_t (*real)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);
    if (!real) real = original("sendto");
    struct endpoint *own = endpoint_with(descriptor);
    if (!own) return real(descriptor, bytes, size, flags, address, address_size);
    lock_threads();
    struct endpoint *to = endpoint_at(ntohs(((const struct sockaddr_in *)address)->sin_port));
    if (to) append(to, own->port, bytes, size);
    unlock_threads();
    if (to) notify(to);
    return size;
}

static struct datagram *take(struct endpoint *own) {
    lock_threads();
    struct datagram *first = own->first;
    if (first) own->first = first->next;
    if (!own->first) own->end = &own->first;
    unlock_threads();
    return first;
}

ssize_t recvfrom(int descriptor, void *restrict bytes, size_t size, int flags, struct sockaddr *restrict address,
                 socklen_t *restrict address_size) {
    static ssize_t (*real)(int, void *, size_t, int, struct sockaddr *, socklen_t *);
    if (!real) real = original("recvfrom");
    struct endpoint *own = endpoint_with(descriptor);
    if (!own) return real(descriptor, bytes, size, flags, address, address_size);
    struct datagram *datagram = take(own);
    if (!datagram) {
        errno = EAGAIN;
        return -1;
    }
    size = size < datagram->size ? size : datagram->size;
    memcpy(bytes, datagram->bytes, size);
    *(struct sockaddr_in *)address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(datagram->from), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    *address_size = sizeof(struct sockaddr_in);
    free(datagram);
    return size;
}

static int has_datagram(void *endpoint) { return ((struct endpoint *)endpoint)->first != NULL; }

int select(int count, fd_set *restrict reading, fd_set *restrict writing, fd_set *restrict failing,
           struct timeval *restrict timeout) {
    static int (*real)(int, fd_set *, fd_set *, fd_set *, struct timeval *);
    if (!real) real = original("select");
    struct endpoint *own = reading && is_managed() ? endpoint_with(count - 1) : NULL;
    if (!own || !FD_ISSET(count - 1, reading)) return real(count, reading, writing, failing, timeout);
    int64_t deadline = timeout ? clock_now() + timeout->tv_sec * SECOND + timeout->tv_usec * 1000LL : NEVER;
    return wait_until(has_datagram, own, deadline);
}

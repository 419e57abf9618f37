/* The engine in lock-step: a library that is preloaded into the unmodified engine.
 *
 * Time stands still while the engine's main thread draws a frame, and while the agent thinks. Between two frames the
 * engine's other threads run, one group after the other, until none of them has anything left to do ("settled").
 * So what a frame shows follows from the actions alone, not from how fast anything ran.
 *
 *   clock.c     time that moves when it is told to
 *   chance.c    random numbers that are the same in every run
 *   threads.c   who may run when, and what "settled" means
 *   network.c   the engine's client and server talk inside the process: no port is ever opened
 *   input.c     keys and mouse, fed to the engine in place of the X server's
 *   pixels.c    read back, shrink and turn a frame, with a cursor where a menu is open
 *   link.c      frames and states out, actions and commands in
 *   anchors.c   moments to which the engine can go back
 */
#pragma once
#define _GNU_SOURCE
#include <stdint.h>
#include <stddef.h>

#define SECOND 1000000000LL
#define NEVER INT64_MAX

/* clock.c */
int64_t clock_now(void); /* nanoseconds since the process began, as the engine sees them */
void clock_advance(int64_t nanoseconds);
int64_t clock_deadline(int64_t seconds, int64_t nanoseconds); /* wall time -> clock_now */

/* threads.c */
typedef int (*condition)(void *object);
void *original(const char *name);
int on_main_thread(void);
int is_managed(void);                                              /* whether this thread waits by our rules */
int wait_until(condition holds, void *object, int64_t deadline);   /* 1 when it holds, 0 when the deadline passed */
void notify(void *object);                                         /* the state of `object` has changed */
void lock_threads(void);                                           /* guards every condition's state */
void unlock_threads(void);
int settle(void);                                                  /* 1, or 0 where some thread never came to rest */
int64_t earliest_deadline(void);
int threads_asleep(void);  /* 1 when all threads but this one stand still, 0 where some does not in time */
void threads_revive(void); /* in a copy of the process with the main thread alone: the others come to life again */

/* input.c */
struct action {
    uint32_t keys;            /* bit per key of KEYS in input.c */
    int32_t turn_x, turn_y;   /* mouse counts while one looks around */
    int32_t shift_x, shift_y; /* pixels of the cursor while a menu is open */
    uint32_t tick_us;         /* how far the clock moves */
    uint32_t draw;            /* whether the frame is wanted */
    uint32_t look;            /* whether the mod is to tell what a teacher looks for, as with every frame */
    uint32_t errand;          /* something else than a tick, with an anchor */
    uint32_t anchor;
    uint32_t command_size;    /* bytes of commands that follow */
};
struct cursor { int x, y, shown; };
extern struct cursor cursor;
void input_begin(void *display, unsigned long window, int width, int height);
uint32_t input_held(void);
int input_cursor_x(void);
int input_cursor_y(void);
void input_take_over(void);
void input_press(const struct action *action);
int input_turn(struct action *action); /* take one frame's share of the turn; whether some is left */

/* pixels.c */
void pixels_draw(int wanted); /* whether the frames that follow are drawn */
int pixels_drawn(void);
void pixels_copy(uint8_t *target, int target_width, int target_height, int width, int height);

/* network.c */
uint64_t network_bulk(void); /* large datagrams so far: pieces of the world on their way to the client */

/* anchors.c */
#define ANCHORS 32
enum { TICK, KEEP, GO_BACK, DROP }; /* errands; the order is that of `Errand` in link.py */
void anchors_begin(void);
int anchors_errand(uint32_t errand, uint32_t anchor); /* 1 when it is done; going back returns in the copy */

/* Frames and states out, actions and commands in: all of it where the engine would show a frame. */
#include "lockstep.h"
#include <GL/gl.h>
#include <GL/glx.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LOADING_TICK (SECOND / 20)

struct reply {
    uint32_t menu_open, settled, held, cursor_x, cursor_y, state_size;
};

static pthread_mutex_t texts = PTHREAD_MUTEX_INITIALIZER;
static char *state, *commands;
static size_t state_size, commands_size;
static volatile int ready, frame_wanted, sight_wanted;
static int window_width, window_height, frame_width, frame_height, link_descriptor;
static uint8_t *frame;

static int number_of(const char *name) {
    const char *text = getenv(name);
    if (!text) {
        fprintf(stderr, "rig: %s is not set\n", name);
        _exit(3);
    }
    return atoi(text);
}

/* Called by the mod, on the server's thread. */
void rig_ready(void) { ready = 1; }
int rig_frame_wanted(void) { return frame_wanted; }
int rig_sight_wanted(void) { return sight_wanted; }
uint64_t rig_bulk(void) { return network_bulk(); }

void rig_tell(const char *text, size_t size) {
    pthread_mutex_lock(&texts);
    state = realloc(state, size);
    memcpy(state, text, size);
    state_size = size;
    pthread_mutex_unlock(&texts);
}

/* The commands since the last call, which stay valid until the next one. */
const char *rig_commands(size_t *size) {
    static char *taken;
    pthread_mutex_lock(&texts);
    free(taken);
    taken = commands;
    *size = commands_size;
    commands = NULL;
    commands_size = 0;
    pthread_mutex_unlock(&texts);
    return taken;
}

static void give(const void *bytes, size_t size) {
    for (const char *at = bytes; size;) {
        ssize_t written = write(link_descriptor, at, size);
        if (written <= 0) _exit(0); /* the agent is gone */
        at += written;
        size -= written;
    }
}

static void take(void *bytes, size_t size) {
    for (char *at = bytes; size;) {
        ssize_t got = read(link_descriptor, at, size);
        if (got <= 0) _exit(0);
        at += got;
        size -= got;
    }
}

static void begin(Display *display, GLXDrawable drawable) {
    GLint viewport[4];
    glGetIntegerv(GL_VIEWPORT, viewport);
    window_width = viewport[2];
    window_height = viewport[3];
    frame_width = number_of("RIG_FRAME_WIDTH");
    frame_height = number_of("RIG_FRAME_HEIGHT");
    link_descriptor = number_of("RIG_LINK");
    frame = mmap(NULL, 3 * (size_t)frame_width * frame_height, PROT_READ | PROT_WRITE, MAP_SHARED, number_of("RIG_FRAME"), 0);
    input_begin(display, drawable, window_width, window_height);
    anchors_begin();
}

static void answer(int settled, int draw) {
    if (draw) pixels_copy(frame, frame_width, frame_height, window_width, window_height);
    struct reply reply = {cursor.shown, settled, input_held(), input_cursor_x(), input_cursor_y(), state_size};
    give(&reply, sizeof reply);
    give(state, state_size);
}

static void receive(struct action *action) {
    take(action, sizeof *action);
    if (!action->command_size) return;
    char *text = malloc(action->command_size);
    take(text, action->command_size);
    pthread_mutex_lock(&texts);
    free(commands);
    commands = text;
    commands_size = action->command_size;
    pthread_mutex_unlock(&texts);
}

/* One turn of the conversation: what has happened goes out, what to do next comes in. */
static void converse(struct action *action, int settled) {
    static int linked;
    if (!linked) input_take_over();
    answer(settled, !linked || action->draw);
    linked = 1;
    for (receive(action); action->errand != TICK; receive(action))
        answer(settled && anchors_errand(action->errand, action->anchor), 0);
    input_press(action);
}

static int loading(void) {
    if (ready) return 0;
    clock_advance(LOADING_TICK);
    pixels_draw(0);
    return 1;
}

/* A frame that is wanted after all is drawn again, while the clock stands. */
static int undrawn(const struct action *action) {
    if (!action->draw || pixels_drawn()) return 0;
    pixels_draw(1);
    return 1;
}

/* The clock moves in the last frame of a turn, and only this one is drawn, if any is. */
static int begin_tick(struct action *action) {
    int turning = input_turn(action);
    pixels_draw(!turning && action->draw);
    frame_wanted = action->draw;
    sight_wanted = action->draw || action->look;
    if (!turning) clock_advance(action->tick_us * 1000LL);
    return turning;
}

void glXSwapBuffers(Display *display, GLXDrawable drawable) {
    static struct action action = {.draw = 1};
    static int begun, turning;
    if (!begun) begin(display, drawable);
    begun = 1;
    if (!turning) {
        int settled = settle();
        if (loading() || undrawn(&action)) return;
        converse(&action, settled);
    }
    turning = begin_tick(&action);
}

/* Keys and mouse, fed to the engine in place of the X server's. */
#include "lockstep.h"
#include <X11/Xlib.h>
#include <X11/keysym.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE 256
#define BUTTON(number) (-(number))

/* The order is that of `ENGINE_KEYS` in keys.py. */
static const long KEYS[] = {XK_w, XK_s, XK_a, XK_d, XK_space, XK_Shift_L, XK_e, BUTTON(1), BUTTON(3), XK_q, XK_i,
                            XK_1, XK_2, XK_3, XK_4, XK_5, XK_6, XK_7, XK_8, XK_9, XK_Escape};
#define KEY_COUNT (sizeof KEYS / sizeof *KEYS)
#define SNEAK_BIT 5

struct cursor cursor;
static Display *display;
static Window window;
static int width, height, taken_over;
static uint32_t held;
static XEvent queue[QUEUE];
static unsigned first, end;

static void push(XEvent *event) {
    event->xany.display = display;
    event->xany.window = window;
    queue[end++ % QUEUE] = *event;
}

void input_begin(void *its_display, unsigned long its_window, int its_width, int its_height) {
    display = its_display;
    window = its_window;
    width = its_width;
    height = its_height;
    cursor.x = width / 2;
    cursor.y = height / 2;
    XKeysymToKeycode(display, *KEYS); /* asks the display for its keys: later that would be a tick's own news */
    XEvent focus = {.xfocus = {.type = FocusIn}};
    push(&focus);
}

/* Which keys are held, and where the cursor is, in pixels of 640 x 360. */
uint32_t input_held(void) { return held; }
int input_cursor_x(void) { return cursor.x * 640 / width; }
int input_cursor_y(void) { return cursor.y * 360 / height; }

void input_take_over(void) { taken_over = 1; }

static void push_key(KeySym key, int down) {
    unsigned state = held >> SNEAK_BIT & 1 ? ShiftMask : 0;
    XEvent event = {.xkey = {.type = down ? KeyPress : KeyRelease, .root = DefaultRootWindow(display), .same_screen = True,
                             .keycode = XKeysymToKeycode(display, key), .state = state, .x = cursor.x, .y = cursor.y}};
    push(&event);
}

static void push_button(unsigned button, int down) {
    unsigned state = held >> SNEAK_BIT & 1 ? ShiftMask : 0;
    XEvent event = {.xbutton = {.type = down ? ButtonPress : ButtonRelease, .root = DefaultRootWindow(display),
                                .same_screen = True, .button = button, .state = state, .x = cursor.x, .y = cursor.y}};
    push(&event);
}

static void push_motion(void) {
    XEvent event = {.xmotion = {.type = MotionNotify, .root = DefaultRootWindow(display), .same_screen = True,
                                .x = cursor.x, .y = cursor.y}};
    push(&event);
}

static int clamp(int value, int low, int high) { return value < low ? low : value > high ? high : value; }

void input_press(const struct action *action) {
    if (cursor.shown) {
        cursor.x = clamp(cursor.x + action->shift_x, 0, width - 1);
        cursor.y = clamp(cursor.y + action->shift_y, 0, height - 1);
        push_motion();
    }
    uint32_t changed = held ^ action->keys;
    held = action->keys;
    for (unsigned i = 0; i < KEY_COUNT; i++) {
        if (!(changed >> i & 1)) continue;
        if (KEYS[i] < 0) push_button(-KEYS[i], held >> i & 1);
        else push_key(KEYS[i], held >> i & 1);
    }
}

/* The engine reads a turn off the pointer's distance from the middle of the window, and takes no more than half a
 * window of it at a time: a wide turn is spread over several frames between which the clock stands still. */
int input_turn(struct action *action) {
    if (cursor.shown) return 0;
    int x = clamp(action->turn_x, -width / 2, width / 2), y = clamp(action->turn_y, -height / 2, height / 2);
    cursor.x = width / 2 + x;
    cursor.y = height / 2 + y;
    action->turn_x -= x;
    action->turn_y -= y;
    return action->turn_x || action->turn_y;
}

int XPending(Display *from) {
    static int (*real)(Display *);
    if (!real) real = original("XPending");
    if (first != end) return end - first;
    return taken_over ? 0 : real(from);
}

int XNextEvent(Display *from, XEvent *event) {
    static int (*real)(Display *, XEvent *);
    if (!real) real = original("XNextEvent");
    if (first == end) return real(from, event);
    *event = queue[first++ % QUEUE];
    return 0;
}

Bool XFilterEvent(XEvent *event, Window of) {
    (void)event, (void)of;
    return False;
}

Bool XQueryPointer(Display *from, Window of, Window *root, Window *child, int *root_x, int *root_y, int *x, int *y,
                   unsigned *mask) {
    (void)from;
    *root = *child = of;
    *root_x = *x = cursor.x;
    *root_y = *y = cursor.y;
    *mask = 0;
    return True;
}

int XWarpPointer(Display *from, Window source, Window target, int source_x, int source_y, unsigned source_width,
                 unsigned source_height, int x, int y) {
    (void)from, (void)source, (void)target, (void)source_x, (void)source_y, (void)source_width, (void)source_height;
    cursor.x = x;
    cursor.y = y;
    return 0;
}

int XIWarpPointer(Display *from, int device, Window source, Window target, double source_x, double source_y,
                  unsigned source_width, unsigned source_height, double x, double y) {
    (void)device;
    return XWarpPointer(from, source, target, (int)source_x, (int)source_y, source_width, source_height, (int)x, (int)y);
}

/* The engine shows the pointer exactly while a menu is open. */
static void show_cursor(int shown) {
    if (shown && !cursor.shown) {
        cursor.x = width / 2;
        cursor.y = height / 2;
    }
    cursor.shown = shown;
}

int XUndefineCursor(Display *from, Window of) {
    (void)from, (void)of;
    show_cursor(1);
    return 0;
}

int XDefineCursor(Display *from, Window of, Cursor shape) {
    (void)from, (void)of, (void)shape;
    show_cursor(0);
    return 0;
}

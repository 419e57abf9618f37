/* A frame, read back: turned upright, with a cursor where a menu is open, shrunk by area where it is wanted small. */
#include "lockstep.h"
#include <GL/gl.h>
#include <stdlib.h>
#include <string.h>

static const char *ARROW[] = {"X", "XX", "X.X", "X..X", "X...X", "X....X", "X.....X", "X......X", "X.......X", "X....XXXXX",
                              "X..X..X", "X.X X..X", "XX  X..X", "X    X..X", "     XX"};
#define ARROW_ROWS (int)(sizeof ARROW / sizeof *ARROW)

static uint8_t *frame; /* [height, width, 4], red first, bottom row first */
static int drawing = 1;

/* Frames that nobody will see are not drawn: pictures are most of the engine's work. */
void pixels_draw(int wanted) { drawing = wanted; }
int pixels_drawn(void) { return drawing; }

void glDrawElements(GLenum mode, GLsizei count, GLenum type, const GLvoid *indices) {
    static void (*real)(GLenum, GLsizei, GLenum, const GLvoid *);
    if (!real) real = original("glDrawElements");
    if (drawing) real(mode, count, type, indices);
}

void glDrawArrays(GLenum mode, GLint first, GLsizei count) {
    static void (*real)(GLenum, GLint, GLsizei);
    if (!real) real = original("glDrawArrays");
    if (drawing) real(mode, first, count);
}

void glClear(GLbitfield mask) {
    static void (*real)(GLbitfield);
    if (!real) real = original("glClear");
    if (drawing) real(mask);
}

static void draw_arrow(int width, int height) {
    for (int row = 0; row < ARROW_ROWS; row++)
        for (int column = 0; ARROW[row][column]; column++) {
            int x = cursor.x + column, y = cursor.y + row;
            if (x >= width || y >= height || ARROW[row][column] == ' ') continue;
            memset(frame + 4 * ((size_t)(height - 1 - y) * width + x), ARROW[row][column] == 'X' ? 0 : 255, 3);
        }
}

static void copy_upright(uint8_t *target, int width, int height) {
    for (int y = 0; y < height; y++) {
        const uint8_t *source = frame + 4 * (size_t)(height - 1 - y) * width;
        for (int x = 0; x < width; x++, source += 4, target += 3) {
            target[0] = source[0];
            target[1] = source[1];
            target[2] = source[2];
        }
    }
}

/* Adds one source row, in parts, to the sums of its columns: most of the work, and in a form that compilers widen. */
static void add_row(uint32_t *restrict columns, const uint8_t *restrict source, int width, uint32_t part) {
    for (int i = 0; i < 4 * width; i++) columns[i] += source[i] * part;
}

/* Means of the columns under each target pixel of a row; `whole` is what the parts of one add up to. */
static void join_columns(uint8_t *target, const uint32_t *columns, int width, int target_width, uint32_t whole) {
    int left = target_width; /* of the source column, in parts */
    for (int x = 0; x < target_width; x++, target += 3) {
        uint32_t sums[3] = {whole / 2, whole / 2, whole / 2};
        for (int wanted = width; wanted > 0;) {
            int part = wanted < left ? wanted : left;
            for (int colour = 0; colour < 3; colour++) sums[colour] += columns[colour] * part;
            wanted -= part;
            left -= part;
            if (left) continue;
            columns += 4;
            left = target_width;
        }
        for (int colour = 0; colour < 3; colour++) target[colour] = sums[colour] / whole;
    }
}

/* Every target pixel is the mean of the source's area under it, exact to rounding. */
static void shrink_upright(uint8_t *target, int target_width, int target_height, int width, int height) {
    size_t size = 4 * sizeof(uint32_t) * width;
    uint32_t *columns = malloc(size);
    int row = height - 1, left = target_height; /* of the source row, in parts */
    for (int y = 0; y < target_height; y++, target += 3 * target_width) {
        memset(columns, 0, size);
        for (int wanted = height; wanted > 0;) {
            int part = wanted < left ? wanted : left;
            add_row(columns, frame + 4 * (size_t)row * width, width, part);
            wanted -= part;
            left -= part;
            if (left) continue;
            row--;
            left = target_height;
        }
        join_columns(target, columns, width, target_width, width * height);
    }
    free(columns);
}

void pixels_copy(uint8_t *target, int target_width, int target_height, int width, int height) {
    if (!frame) frame = malloc(4 * (size_t)width * height);
    glPixelStorei(GL_PACK_ALIGNMENT, 1);
    glReadBuffer(GL_BACK);
    glReadPixels(0, 0, width, height, GL_RGBA, GL_UNSIGNED_BYTE, frame);
    if (cursor.shown) draw_arrow(width, height);
    if (target_width == width && target_height == height) copy_upright(target, width, height);
    else shrink_upright(target, target_width, target_height, width, height);
}

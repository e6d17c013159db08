/* One pass over two tensors on disk: every sum that `ckptedit diff` reports.

   Stored bytes go through the processor once; numpy takes a dozen passes. BF16 and F32 are added up
   in float64. The squares of F16 values fit into a float32, which holds twice as many to a register:
   16 of them are added there, which is off by less than 1e-6 of the sum at the very worst, and the
   rest in float64. Lanes and the order of every sum are fixed, and no operations are contracted to
   fused ones: so the result is the same with every instruction set. */

#include "../compiled.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define PIECE (1 << 18) /* bytes of each file at a time: both stay in a core's own cache */
#define LANES 16
#define HALF (LANES / 2)
#define ADDED 16 /* values that a lane adds in float32 */
#define STEP (LANES * ADDED * 2) /* the number of bytes to measure is a multiple of this */

typedef float Floats __attribute__((vector_size(LANES * 4)));
typedef int32_t Ints __attribute__((vector_size(LANES * 4)));
typedef float HalfFloats __attribute__((vector_size(HALF * 4)));
typedef double Doubles __attribute__((vector_size(HALF * 8)));
typedef int64_t Longs __attribute__((vector_size(HALF * 8)));

typedef struct {
    long long changed;
    int special; /* whether a NaN or Inf was seen */
    double l1, linf, delta2, old2, new2, dot;
} Sums;

typedef void Measure(const char *, const char *, ssize_t, Sums *);

/* What follows works on words that hold a stored value in their upper bits, zeros below. */

#define FROM_F16(top) ((Floats)((top) >> 3 & (int32_t)0x8FFFE000) * 0x1p112f) /* exact */

/* Comparisons by arithmetic: compilers take those of long vectors apart into single values. */

#define DIFFERS(a, b) (((a) ^ (b)) | -((a) ^ (b))) /* negative where they do */
#define LARGER(x, y, sign) ((x) - (((x) - (y)) & ((x) - (y)) >> (sign))) /* of integers >= 0 */

/* Adds old and new, vectors of type Real, to the sums l1, linf, delta2, old2, new2 and dot. */

#define ADD(old, new, Real, Bits, magnitude, sign) do { \
    Real delta = new - old; \
    Bits size = (Bits)delta & magnitude; /* of positive floats, the bits are in order */ \
    l1 += (Real)size; \
    linf = LARGER(size, linf, sign); \
    delta2 += delta * delta; \
    old2 += old * old; \
    new2 += new * new; \
    dot += old * new; \
} while (0)

#define NOTE(a, b, from) do { \
    changed += DIFFERS(a, b) >> 31; \
    special |= (from - 1 - ((a) & INT32_MAX)) | (from - 1 - ((b) & INT32_MAX)); \
} while (0)

/* Takes the next LANES words of both sides. */

#define LOAD(a, b) do { \
    memcpy(&a, old_bytes, sizeof a); \
    memcpy(&b, new_bytes, sizeof b); \
    old_bytes += sizeof a, new_bytes += sizeof b, bytes -= sizeof a; \
} while (0)

static void fold(Sums *sums, Ints changed, Ints special, Doubles l1, Doubles linf, Doubles delta2,
                 Doubles old2, Doubles new2, Doubles dot) {
    for (int i = 0; i < LANES; i++) {
        sums->changed -= changed[i];
        sums->special |= special[i] < 0;
    }
    for (int i = 0; i < HALF; i++) {
        sums->l1 += l1[i];
        sums->linf = linf[i] > sums->linf ? linf[i] : sums->linf;
        sums->delta2 += delta2[i];
        sums->old2 += old2[i];
        sums->new2 += new2[i];
        sums->dot += dot[i];
    }
}

/* Values of float32's range: decode LANES words, which are two vectors of float64. */

#define ADD_AS_DOUBLES(a, b) do { \
    HalfFloats halves_a[2], halves_b[2]; \
    memcpy(halves_a, &a, sizeof a); \
    memcpy(halves_b, &b, sizeof b); \
    for (int half = 0; half < 2; half++) { \
        Doubles old = __builtin_convertvector(halves_a[half], Doubles); \
        Doubles new = __builtin_convertvector(halves_b[half], Doubles); \
        ADD(old, new, Doubles, Longs, INT64_MAX, 63); \
    } \
} while (0)

#define ZEROS(Real, Bits) \
    Real l1 = {0}, delta2 = {0}, old2 = {0}, new2 = {0}, dot = {0}; \
    Bits linf = {0}

FOR_EACH_CPU static void measure_F32(
    const char *old_bytes, const char *new_bytes, ssize_t bytes, Sums *sums) {
    ZEROS(Doubles, Longs);
    Ints changed = {0}, special = {0}, a, b;
    while (bytes) {
        LOAD(a, b);
        NOTE(a, b, 0x7F800000);
        ADD_AS_DOUBLES(a, b);
    }
    fold(sums, changed, special, l1, (Doubles)linf, delta2, old2, new2, dot);
}

FOR_EACH_CPU static void measure_BF16(
    const char *old_bytes, const char *new_bytes, ssize_t bytes, Sums *sums) {
    ZEROS(Doubles, Longs);
    Ints changed = {0}, special = {0}, a, b;
    while (bytes) {
        LOAD(a, b);
        for (int shift = 16; shift >= 0; shift -= 16) { /* the lower half of each word, the upper */
            Ints x = a << shift & ~0xFFFF, y = b << shift & ~0xFFFF;
            NOTE(x, y, 0x7F800000);
            ADD_AS_DOUBLES(x, y);
        }
    }
    fold(sums, changed, special, l1, (Doubles)linf, delta2, old2, new2, dot);
}

#define SPLIT_SUM(total, part) do { \
    HalfFloats halves[2]; \
    memcpy(halves, &part, sizeof part); \
    total += __builtin_convertvector(halves[0], Doubles); \
    total += __builtin_convertvector(halves[1], Doubles); \
} while (0)

FOR_EACH_CPU static void measure_F16(
    const char *old_bytes, const char *new_bytes, ssize_t bytes, Sums *sums) {
    Doubles all_l1 = {0}, all_delta2 = {0}, all_old2 = {0}, all_new2 = {0}, all_dot = {0};
    Ints changed = {0}, special = {0}, a, b;
    Ints most = {0};
    while (bytes) {
        ZEROS(Floats, Ints);
        for (int i = 0; i < ADDED; i += 2) {
            LOAD(a, b);
            for (int shift = 16; shift >= 0; shift -= 16) {
                Ints x = a << shift & ~0xFFFF, y = b << shift & ~0xFFFF;
                NOTE(x, y, 0x7C000000);
                Floats old = FROM_F16(x), new = FROM_F16(y);
                ADD(old, new, Floats, Ints, INT32_MAX, 31);
            }
        }
        SPLIT_SUM(all_l1, l1);
        SPLIT_SUM(all_delta2, delta2);
        SPLIT_SUM(all_old2, old2);
        SPLIT_SUM(all_new2, new2);
        SPLIT_SUM(all_dot, dot);
        most = LARGER(linf, most, 31);
    }
    for (int i = 0; i < LANES; i++) {
        float linf = ((Floats)most)[i];
        sums->linf = linf > sums->linf ? linf : sums->linf;
    }
    fold(sums, changed, special, all_l1, (Doubles){0}, all_delta2, all_old2, all_new2, all_dot);
}

/* Such as CLIP's position_ids: few, so one by one. */

static void measure_I64(
    const char *old_bytes, const char *new_bytes, ssize_t bytes, Sums *sums) {
    for (ssize_t at = 0; at < bytes; at += sizeof(int64_t)) {
        int64_t a, b;
        memcpy(&a, old_bytes + at, sizeof a);
        memcpy(&b, new_bytes + at, sizeof b);
        double old = a, new = b, delta = new - old, size = delta < 0 ? -delta : delta;
        sums->changed += a != b;
        sums->l1 += size;
        sums->linf = size > sums->linf ? size : sums->linf;
        sums->delta2 += delta * delta;
        sums->old2 += old * old;
        sums->new2 += new * new;
        sums->dot += old * new;
    }
}

/* Reads exactly `bytes` bytes. 0, or an errno; -1 if the file ends before. */

static int fill(int fd, char *buffer, ssize_t bytes, off_t offset) {
    while (bytes) {
        ssize_t count = pread(fd, buffer, bytes, offset);
        if (count == 0) return -1;
        if (count < 0 && errno != EINTR) return errno;
        if (count > 0) buffer += count, bytes -= count, offset += count;
    }
    return 0;
}

typedef struct {
    int fd;
    long long offset;
} Place;

static int measure_files(Measure *add, Place old, Place new, long long bytes, Sums *sums) {
    char *buffer = malloc(2 * PIECE);
    int error = buffer ? 0 : ENOMEM;
    for (long long at = 0; !error && at < bytes; at += PIECE) {
        ssize_t size = bytes - at < PIECE ? bytes - at : PIECE;
        error = fill(old.fd, buffer, size, old.offset + at);
        if (!error) error = fill(new.fd, buffer + PIECE, size, new.offset + at);
        if (error) break;
        ssize_t padding = -size & (STEP - 1); /* with zeros, which add nothing */
        memset(buffer + size, 0, padding);
        memset(buffer + PIECE + size, 0, padding);
        add(buffer, buffer + PIECE, size + padding, sums);
    }
    free(buffer);
    return error;
}

static PyObject *as_tuple(const Sums *s) {
    if (s->special) Py_RETURN_NONE;
    return Py_BuildValue(
        "Ldddddd", s->changed, s->l1, s->linf, s->delta2, s->old2, s->new2, s->dot);
}

static PyObject *measure(PyObject *self, PyObject *args) {
    Place old, new;
    long long bytes;
    const char *dtype;
    if (!PyArg_ParseTuple(args, "(iL)(iL)Ls", &old.fd, &old.offset, &new.fd, &new.offset, &bytes, &dtype))
        return NULL;
    Measure *add = !strcmp(dtype, "F16") ? measure_F16
                 : !strcmp(dtype, "BF16") ? measure_BF16
                 : !strcmp(dtype, "F32") ? measure_F32
                 : !strcmp(dtype, "I64") ? measure_I64 : NULL;
    if (!add) return PyErr_Format(PyExc_ValueError, "unknown dtype %s", dtype);
    Sums sums = {0};
    int error;
    Py_BEGIN_ALLOW_THREADS
    error = measure_files(add, old, new, bytes, &sums);
    Py_END_ALLOW_THREADS
    if (error < 0) return PyErr_Format(PyExc_EOFError, "the file ends before the tensor");
    if (error) return errno = error, PyErr_SetFromErrno(PyExc_OSError);
    return as_tuple(&sums);
}

static PyMethodDef functions[] = {{"measure", measure, METH_VARARGS, NULL}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_kernel", NULL, -1, functions};
PyMODINIT_FUNC PyInit__kernel(void) { return PyModule_Create(&module); }

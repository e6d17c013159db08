/* One pass over two tensors on disk: every sum that `ckptedit diff` reports, in float64.

   Stored bytes go through the processor once; numpy takes a dozen passes. Eight partial sums run side
   by side and are added up in a fixed order, and no operations are contracted to fused ones: so the
   result is the same with every instruction set. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000 /* one wheel for Python 3.11 and all later ones */
#include <Python.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "stored values are little-endian; here numpy has to decode them"
#endif

#define PIECE (1 << 18) /* bytes of each file at a time: both stay in a core's own cache */
#define LANES 8
#define EACH_LANE(type) type __attribute__((vector_size(LANES * sizeof(type))))

typedef EACH_LANE(double) Doubles;
typedef EACH_LANE(int64_t) Longs;
typedef EACH_LANE(float) Floats;
typedef EACH_LANE(int32_t) Ints;

#if defined(__x86_64__) && defined(__gnu_linux__)
#define FOR_EACH_CPU __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FOR_EACH_CPU
#endif

typedef struct {
    Ints changed; /* minus how many; enough for 2^34 elements */
    Ints special; /* -1 where a NaN or Inf was seen */
    Doubles l1, linf, delta2, old2, new2, dot;
} Sums;

/* LANES values as float64, from words that hold their stored bits on top. Exact: the exponent of an
   F16 moves into place and is corrected by a product, which makes subnormals right as well. */

#define FROM_F16(top) \
    (__builtin_convertvector((Floats)((top) >> 3 & (int32_t)0x8FFFE000), Doubles) * 0x1p112)
#define FROM_FLOAT(top) __builtin_convertvector((Floats)(top), Doubles)

/* Adds LANES elements. special: the least magnitude that is Inf or NaN, as such a word. */

#define ADD(x, y, FROM, special_from) do { \
    Doubles old = FROM(x), new = FROM(y), delta = new - old; \
    Doubles size = (Doubles)((Longs)delta & INT64_MAX); \
    Longs more = size > sums.linf; \
    sums.changed += (x) != (y); \
    sums.special |= (((x) & INT32_MAX) >= special_from) | (((y) & INT32_MAX) >= special_from); \
    sums.l1 += size; \
    sums.linf = (Doubles)(((Longs)size & more) | ((Longs)sums.linf & ~more)); \
    sums.delta2 += delta * delta; \
    sums.old2 += old * old; \
    sums.new2 += new * new; \
    sums.dot += old * new; \
} while (0)

#define ADD_WORDS(a, b, FROM, special_from) ADD(a, b, FROM, special_from)
#define ADD_HALVES(a, b, FROM, special_from) do { \
    Ints low_a = (a) << 16, low_b = (b) << 16, high_a = (a) & ~0xFFFF, high_b = (b) & ~0xFFFF; \
    ADD(low_a, low_b, FROM, special_from); \
    ADD(high_a, high_b, FROM, special_from); \
} while (0)

/* Adds `bytes` bytes of either side; what is missing to a whole step counts as zeros. */

#define MEASURE(name, ADD_STEP, FROM, special_from) \
FOR_EACH_CPU static void name(const char *old, const char *new, ssize_t bytes, Sums *all) { \
    const ssize_t step = sizeof(Ints); \
    Sums sums = *all; \
    Ints a, b; \
    for (; bytes >= step; bytes -= step, old += step, new += step) { \
        memcpy(&a, old, sizeof a); \
        memcpy(&b, new, sizeof b); \
        ADD_STEP(a, b, FROM, special_from); \
    } \
    a = b = (Ints){0}; \
    memcpy(&a, old, bytes); \
    memcpy(&b, new, bytes); \
    ADD_STEP(a, b, FROM, special_from); \
    *all = sums; \
}
MEASURE(measure_F16, ADD_HALVES, FROM_F16, 0x7C000000)
MEASURE(measure_BF16, ADD_HALVES, FROM_FLOAT, 0x7F800000)
MEASURE(measure_F32, ADD_WORDS, FROM_FLOAT, 0x7F800000)

typedef void Measure(const char *, const char *, ssize_t, Sums *);

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
        if (!error) add(buffer, buffer + PIECE, size, sums);
    }
    free(buffer);
    return error;
}

static double total(Doubles x) {
    return ((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + (x[6] + x[7]));
}

static PyObject *as_tuple(const Sums *sums) {
    long long changed = 0;
    int special = 0;
    double linf = 0;
    for (int i = 0; i < LANES; i++) {
        changed -= sums->changed[i];
        special |= sums->special[i];
        linf = sums->linf[i] > linf ? sums->linf[i] : linf;
    }
    if (special) Py_RETURN_NONE;
    return Py_BuildValue("Ldddddd", changed, total(sums->l1), linf, total(sums->delta2),
                         total(sums->old2), total(sums->new2), total(sums->dot));
}

static PyObject *measure(PyObject *self, PyObject *args) {
    Place old, new;
    long long bytes;
    const char *dtype;
    if (!PyArg_ParseTuple(args, "(iL)(iL)Ls", &old.fd, &old.offset, &new.fd, &new.offset, &bytes, &dtype))
        return NULL;
    Measure *add = !strcmp(dtype, "F16") ? measure_F16
                 : !strcmp(dtype, "BF16") ? measure_BF16
                 : !strcmp(dtype, "F32") ? measure_F32 : NULL;
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

/* One pass over two tensors on disk: every sum that `ckptedit diff` reports.

   Stored bytes go through the processor once; numpy takes a dozen passes. BF16 and F32 are added up
   in float64. The squares of F16 values fit into a float32, which holds twice as many to a register:
   16 of them are added there, which is off by less than 1e-6 of the sum at the very worst, and the
   rest in float64. Lanes and the order of every sum are fixed, and no operations are contracted to
   fused ones: so the result is the same with every instruction set. Blocks that are the same on both
   sides add nothing but squares. */

#include "../compiled.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define PIECE (1 << 18) /* bytes of each file at a time: both stay in a core's own cache */
#define BLOCK (1 << 12) /* bytes that are looked at, then added: both stay in its first cache */
#define WORDS 16 /* lanes of float32 */
#define HALF (WORDS / 2) /* lanes of float64 */
#define ADDED_BYTES (16 * 2 * WORDS) /* 16 F16 values that each lane adds in float32 */

typedef struct {
    long long changed;
    int special; /* whether a NaN or Inf was seen */
    double l1, linf, delta2, old2, new2, dot;
} Sums;

typedef struct { /* sums by lane, over one piece */
    double l1[HALF], linf[HALF], delta2[HALF], old2[HALF], new2[HALF], dot[HALF];
    int32_t most[WORDS]; /* max |delta| of F16, as the bits of a float32 */
} Lanes;

typedef struct {
    const char *dtype;
    int (*note)(const char *, const char *, Sums *); /* how many values of a block changed */
    void (*add)(const char *, const char *, Lanes *);
    void (*stay)(const char *, Lanes *);
} Pass;

/* By arithmetic: compilers take comparisons of vectors that the processor lacks apart. */

#define LARGER(x, y, sign) ((x) - (((x) - (y)) & ((x) - (y)) >> (sign))) /* of integers >= 0 */

#if defined(__x86_64__)
#define LANES 16
#define NAMED(name) name##_avx512
#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl")))
#include "_kernel_lanes.h"

#define LANES 8
#define NAMED(name) name##_avx2
#define TARGET __attribute__((target("avx2")))
#include "_kernel_lanes.h"
#endif

#define LANES 4
#define NAMED(name) name##_any
#define TARGET
#include "_kernel_lanes.h"

/* The widths, widest first, that this processor has: 16 lanes, 8, 4. 0 stands for the widest. */

static const Pass *passes_of(int lanes) {
#if defined(__x86_64__)
    int wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
            && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    if (wide && (lanes == 16 || !lanes)) return passes_avx512;
    if (__builtin_cpu_supports("avx2") && (lanes == 8 || !lanes)) return passes_avx2;
#endif
    return lanes == 4 || !lanes ? passes_any : NULL;
}

static const Pass *pass_of(const Pass *passes, const char *dtype) {
    for (int i = 0; i < 3; i++)
        if (!strcmp(passes[i].dtype, dtype)) return passes + i;
    return NULL;
}

/* bytes: a multiple of BLOCK */

static void measure_piece(
    const Pass *pass, const char *old, const char *new, ssize_t bytes, Sums *sums) {
    Lanes lanes = {0};
    for (ssize_t at = 0; at < bytes; at += BLOCK)
        if (pass->note(old + at, new + at, sums)) pass->add(old + at, new + at, &lanes);
        else pass->stay(old + at, &lanes);
    for (int i = 0; i < WORDS; i++) {
        float most;
        memcpy(&most, lanes.most + i, sizeof most);
        sums->linf = most > sums->linf ? most : sums->linf;
    }
    for (int i = 0; i < HALF; i++) {
        sums->l1 += lanes.l1[i];
        sums->linf = lanes.linf[i] > sums->linf ? lanes.linf[i] : sums->linf;
        sums->delta2 += lanes.delta2[i];
        sums->old2 += lanes.old2[i];
        sums->new2 += lanes.new2[i];
        sums->dot += lanes.dot[i];
    }
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

static int measure_files(const Pass *pass, Place old, Place new, long long bytes, Sums *sums) {
    char *buffer = malloc(2 * PIECE);
    int error = buffer ? 0 : ENOMEM;
    for (long long at = 0; !error && at < bytes; at += PIECE) {
        ssize_t size = bytes - at < PIECE ? bytes - at : PIECE;
        error = fill(old.fd, buffer, size, old.offset + at);
        if (!error) error = fill(new.fd, buffer + PIECE, size, new.offset + at);
        if (error) break;
        ssize_t padding = -size & (BLOCK - 1); /* with zeros, which add nothing */
        memset(buffer + size, 0, padding);
        memset(buffer + PIECE + size, 0, padding);
        if (pass) measure_piece(pass, buffer, buffer + PIECE, size + padding, sums);
        else measure_I64(buffer, buffer + PIECE, size, sums);
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
    int lanes = 0;
    if (!PyArg_ParseTuple(args, "(iL)(iL)Ls|i", &old.fd, &old.offset, &new.fd, &new.offset, &bytes,
                          &dtype, &lanes))
        return NULL;
    const Pass *passes = passes_of(lanes);
    if (!passes) return PyErr_Format(PyExc_ValueError, "no vectors of %d lanes here", lanes);
    const Pass *pass = pass_of(passes, dtype); /* NULL: integers, which have none */
    if (!pass && strcmp(dtype, "I64"))
        return PyErr_Format(PyExc_ValueError, "unknown dtype %s", dtype);
    Sums sums = {0};
    int error;
    Py_BEGIN_ALLOW_THREADS
    error = measure_files(pass, old, new, bytes, &sums);
    Py_END_ALLOW_THREADS
    if (error < 0) return PyErr_Format(PyExc_EOFError, "the file ends before the tensor");
    if (error) return errno = error, PyErr_SetFromErrno(PyExc_OSError);
    return as_tuple(&sums);
}

static PyMethodDef functions[] = {{"measure", measure, METH_VARARGS, NULL}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_kernel", NULL, -1, functions};
PyMODINIT_FUNC PyInit__kernel(void) { return PyModule_Create(&module); }

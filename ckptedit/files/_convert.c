/* F16 and BF16 to float32 and back, in one pass; see dtypes.py, which does the same in numpy. */

#include "../compiled.h"

typedef uint16_t Half __attribute__((aligned(1), may_alias)); /* bytes from a file lie anywhere */
typedef uint32_t Word __attribute__((aligned(1), may_alias));

typedef int Pass(const void *, void *, Py_ssize_t); /* returns whether every value fits */

static inline float as_float(uint32_t word) {
    float value;
    memcpy(&value, &word, sizeof value);
    return value;
}

static inline uint32_t as_word(float value) {
    uint32_t word;
    memcpy(&word, &value, sizeof word);
    return word;
}

/* Moves exponent and mantissa into place and corrects the exponent by a multiplication, which is
   exact and makes subnormals right as well; NaN and Inf get their exponent afterwards. */

FOR_EACH_CPU static int decode_F16(const void *from, void *to, Py_ssize_t count) {
    const Half *stored = from;
    Word *out = to;
    for (Py_ssize_t i = 0; i < count; i++) {
        uint32_t word = (uint32_t)((int32_t)((uint32_t)stored[i] << 16) >> 3) & 0x8FFFE000;
        uint32_t special = (stored[i] & 0x7FFF) >= 0x7C00 ? 0x7F800000 : 0;
        out[i] = as_word(as_float(word) * 0x1p112f) | special;
    }
    return 1;
}

FOR_EACH_CPU static int decode_BF16(const void *from, void *to, Py_ssize_t count) {
    const Half *stored = from;
    Word *out = to;
    for (Py_ssize_t i = 0; i < count; i++) out[i] = (uint32_t)stored[i] << 16;
    return 1;
}

/* Adding a power of two that is 2^13 times the value's own drops exactly the bits that do not fit,
   rounded to even by the processor; taking it off again is exact. */

FOR_EACH_CPU static int encode_F16(const void *from, void *to, Py_ssize_t count) {
    const Word *values = from;
    Half *out = to;
    uint32_t misfits = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        uint32_t size = values[i] & INT32_MAX, power = size & 0x7F800000;
        misfits |= size >= 0x477FF000; /* 65520, the least that rounds to Inf */
        power = (power > 113u << 23 ? power : 113u << 23) + (13u << 23);
        float rounded = (as_float(size) + as_float(power)) - as_float(power);
        out[i] = as_word(rounded * 0x1p-112f) >> 13 | (values[i] >> 16 & 0x8000);
    }
    return !misfits;
}

FOR_EACH_CPU static int encode_BF16(const void *from, void *to, Py_ssize_t count) {
    const Word *values = from;
    Half *out = to;
    uint32_t misfits = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        misfits |= (values[i] & INT32_MAX) >= 0x7F7F8000;
        out[i] = (values[i] + 0x7FFF + (values[i] >> 16 & 1)) >> 16;
    }
    return !misfits;
}

/* Converts a buffer to another, which has twice as many bytes, or half as many. */

static PyObject *convert(PyObject *args, Pass *f16, Pass *bf16, int widens) {
    Py_buffer from, to;
    const char *dtype;
    if (!PyArg_ParseTuple(args, "y*w*s", &from, &to, &dtype)) return NULL;
    Pass *pass = !strcmp(dtype, "F16") ? f16 : !strcmp(dtype, "BF16") ? bf16 : NULL;
    Py_ssize_t count = (widens ? to.len : from.len) / 4;
    int valid = pass && from.len == count * (widens ? 2 : 4) && to.len == count * (widens ? 4 : 2);
    int fits = 0;
    if (valid) {
        Py_BEGIN_ALLOW_THREADS
        fits = pass(from.buf, to.buf, count);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&from);
    PyBuffer_Release(&to);
    if (!valid) return PyErr_Format(PyExc_ValueError, "the buffers do not fit %s", dtype);
    return PyBool_FromLong(fits);
}

static PyObject *decode(PyObject *self, PyObject *args) {
    return convert(args, decode_F16, decode_BF16, 1);
}

static PyObject *encode(PyObject *self, PyObject *args) {
    return convert(args, encode_F16, encode_BF16, 0);
}

static PyMethodDef functions[] = {
    {"decode", decode, METH_VARARGS, NULL}, {"encode", encode, METH_VARARGS, NULL}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_convert", NULL, -1, functions};
PyMODINIT_FUNC PyInit__convert(void) { return PyModule_Create(&module); }

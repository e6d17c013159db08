/* What TIES does with every entry, in one pass; agreement.py does the same in numpy. */

#include "../compiled.h"

#define BLOCK 1024 /* entries at a time: all that is kept for them stays in the first cache */

typedef struct {
    uint32_t limit; /* the bits of the smallest magnitude that is kept */
    int64_t last; /* of those that equal it, the last index that is kept */
    float before, after, share; /* multiply entries before the vote, after it, and what divides */
} Edit;

typedef struct {
    int by_count, zero; /* votes are signs and not entries; the sign where they cancel */
} Rules;

/* An entry of a task vector, or 0 if the cut does not keep it. Past the last one that equals the
   limit, only larger ones are kept. */

static inline float trimmed(float delta, uint32_t limit, uint32_t past, float factor) {
    uint32_t bits;
    memcpy(&bits, &delta, sizeof bits);
    return delta * (float)((int32_t)((bits & INT32_MAX) >= limit + past)) * factor;
}

/* How many of the entries from `start` on lie up to the last one that is kept of equal ones. */

static int upto_last(const Edit *edit, int64_t start) {
    int64_t left = edit->last - start;
    return left < 0 ? 0 : left < BLOCK ? (int)left + 1 : BLOCK;
}

FOR_EACH_CPU static int merge_block(
    const float *deltas, Py_ssize_t stride, int64_t start, int count,
    const Edit *edits, Py_ssize_t n, Rules rules, float *out) {
    float sign[BLOCK] = {0}, total[BLOCK] = {0}, divisor[BLOCK] = {0};
    int32_t outvoted[BLOCK] = {0};
    for (Py_ssize_t e = 0; e < n; e++) {
        const float *delta = deltas + e * stride;
        uint32_t limit = edits[e].limit;
        float before = edits[e].before;
        int upto = upto_last(&edits[e], start);
        for (int i = 0; i < count; i++) {
            float entry = trimmed(delta[i], limit, i >= upto, before);
            sign[i] += rules.by_count ? (float)((entry > 0) - (entry < 0)) : entry;
        }
    }
    for (int i = 0; i < count; i++) {
        float elected = (float)((sign[i] > 0) - (sign[i] < 0));
        sign[i] = elected == 0 ? rules.zero : elected;
    }
    for (Py_ssize_t e = 0; e < n; e++) {
        const float *delta = deltas + e * stride;
        uint32_t limit = edits[e].limit;
        float before = edits[e].before, after = edits[e].after, share = edits[e].share;
        int upto = upto_last(&edits[e], start);
        for (int i = 0; i < count; i++) {
            float along = trimmed(delta[i], limit, i >= upto, before) * sign[i];
            float agrees = (float)(along > 0);
            outvoted[i] |= along < 0;
            total[i] += along * (agrees * after);
            divisor[i] += agrees * share;
        }
    }
    int conflicts = 0;
    for (int i = 0; i < count; i++) {
        out[i] = total[i] * sign[i] / (divisor[i] + (float)(divisor[i] == 0));
        conflicts += outvoted[i];
    }
    return conflicts;
}
/* Fills in `edits` from a list of (limit, last, before, after, share). 0, or -1 with an error set. */

static int read_edits(PyObject *list, Py_ssize_t n, Edit *edits) {
    for (Py_ssize_t e = 0; e < n; e++) {
        PyObject *item = PyList_GetItem(list, e);
        if (!item || !PyArg_ParseTuple(item, "ILfff", &edits[e].limit, &edits[e].last,
                                       &edits[e].before, &edits[e].after, &edits[e].share)) return -1;
    }
    return 0;
}

static PyObject *merge(PyObject *self, PyObject *args) {
    Py_buffer deltas, out;
    PyObject *list;
    Rules rules;
    long long start, conflicts = 0;
    if (!PyArg_ParseTuple(args, "y*w*LO!(ii)", &deltas, &out, &start, &PyList_Type, &list,
                          &rules.by_count, &rules.zero)) return NULL;
    Py_ssize_t n = PyList_Size(list), size = out.len / sizeof(float);
    Edit *edits = PyMem_Malloc((n + 1) * sizeof(Edit));
    if (!edits) PyErr_NoMemory();
    int fails = !edits || read_edits(list, n, edits);
    if (!fails && deltas.len != n * out.len) {
        PyErr_SetString(PyExc_ValueError, "the buffers do not fit");
        fails = 1;
    }
    if (!fails) {
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t at = 0; at < size; at += BLOCK)
            conflicts += merge_block((float *)deltas.buf + at, size, start + at,
                                     size - at < BLOCK ? size - at : BLOCK,
                                     edits, n, rules, (float *)out.buf + at);
        Py_END_ALLOW_THREADS
    }
    PyMem_Free(edits);
    PyBuffer_Release(&deltas);
    PyBuffer_Release(&out);
    return fails ? NULL : PyLong_FromLongLong(conflicts);
}

static PyMethodDef functions[] = {{"merge", merge, METH_VARARGS, NULL}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_ties", NULL, -1, functions};
PyMODINIT_FUNC PyInit__ties(void) { return PyModule_Create(&module); }

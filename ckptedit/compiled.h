/* What the compiled files have in common: each is a module of its own, small and optional. */

#ifndef CKPTEDIT_COMPILED_H
#define CKPTEDIT_COMPILED_H

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000 /* one wheel for Python 3.11 and all later ones */
#include <Python.h>
#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "stored values are little-endian; here numpy has to decode them"
#endif

/* One copy of a function for each generation of processors; which one runs is decided at start.
   All of them give the same results: nothing is reordered, nothing contracted to fused operations. */

#if defined(__x86_64__) && defined(__gnu_linux__)
#define FOR_EACH_CPU __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FOR_EACH_CPU
#endif

#endif

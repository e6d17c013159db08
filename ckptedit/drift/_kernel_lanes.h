/* The sums over one piece, in vectors of LANES 32-bit words: included once for each width.

   There are always 16 lanes of float32 and 8 of float64, each with its own sums. Narrow vectors take
   them in turns, a block of memory for each: so more registers hold sums, and none of the sums sees
   another order. LANES, NAMED (a name for each width) and TARGET are given. */

#define TURNS (WORDS / LANES)
#define PAIRS (LANES / 2) /* float64 values to a vector */

typedef float NAMED(Floats) __attribute__((vector_size(LANES * 4)));
typedef int32_t NAMED(Ints) __attribute__((vector_size(LANES * 4)));
typedef int16_t NAMED(Shorts) __attribute__((vector_size(LANES * 4)));
typedef double NAMED(Doubles) __attribute__((vector_size(LANES * 4)));
typedef int64_t NAMED(Longs) __attribute__((vector_size(LANES * 4)));
typedef float NAMED(HalfFloats) __attribute__((vector_size(LANES * 2)));
typedef int32_t NAMED(HalfInts) __attribute__((vector_size(LANES * 2)));

#define Floats NAMED(Floats)
#define Ints NAMED(Ints)
#define Shorts NAMED(Shorts)
#define Doubles NAMED(Doubles)
#define Longs NAMED(Longs)
#define HalfFloats NAMED(HalfFloats)
#define HalfInts NAMED(HalfInts)

/* Counts the values whose bits differ, and looks for NaN and Inf: least is the first of those. */

#define NOTE(Type, element, Vector, least, limit) \
TARGET static int NAMED(note_##Type)(const char *old, const char *new, Sums *sums) { \
    Vector equal = {0}, special = {0}, a, b; \
    for (int at = 0; at < BLOCK; at += sizeof a) { \
        memcpy(&a, old + at, sizeof a); \
        memcpy(&b, new + at, sizeof b); \
        equal -= a == b; \
        special |= (least - 1 - (a & limit)) | (least - 1 - (b & limit)); \
    } \
    int changed = BLOCK / sizeof(element); \
    for (unsigned i = 0; i < sizeof a / sizeof(element); i++) { \
        changed -= equal[i]; \
        sums->special |= special[i] < 0; \
    } \
    sums->changed += changed; \
    return changed; \
}

NOTE(F32, int32_t, Ints, 0x7F800000, INT32_MAX)
NOTE(BF16, int16_t, Shorts, (int16_t)0x7F80, (int16_t)INT16_MAX)
NOTE(F16, int16_t, Shorts, (int16_t)0x7C00, (int16_t)INT16_MAX)

/* A value as float32, from a word that holds it in its upper bits; below are zeros or are not. */

#define FROM_F16(top) ((Floats)((top) >> 3 & (int32_t)0x8FFFE000) * 0x1p112f) /* exact */

TARGET static void NAMED(add_F16)(const char *old_bytes, const char *new_bytes, Lanes *sums) {
    for (int at = 0; at < BLOCK; at += ADDED_BYTES)
        for (int turn = 0; turn < TURNS; turn++) {
            Floats l1 = {0}, delta2 = {0}, old2 = {0}, new2 = {0}, dot = {0};
            Ints linf, a, b;
            memcpy(&linf, sums->most + turn * LANES, sizeof linf);
            for (int i = 0; i < ADDED_BYTES; i += WORDS * 4) {
                memcpy(&a, old_bytes + at + i + turn * sizeof a, sizeof a);
                memcpy(&b, new_bytes + at + i + turn * sizeof b, sizeof b);
                for (int shift = 16; shift >= 0; shift -= 16) { /* the lower half, the upper */
                    Floats old = FROM_F16(a << shift), new = FROM_F16(b << shift);
                    Floats delta = new - old;
                    Ints size = (Ints)delta & INT32_MAX; /* of these, bits are in order */
                    l1 += (Floats)size;
                    linf = LARGER(size, linf, 31);
                    delta2 += delta * delta;
                    old2 += old * old;
                    new2 += new * new;
                    dot += old * new;
                }
            }
            memcpy(sums->most + turn * LANES, &linf, sizeof linf);
            for (int i = 0; i < LANES; i++) {
                int lane = (turn * LANES + i) % HALF;
                sums->l1[lane] += l1[i];
                sums->delta2[lane] += delta2[i];
                sums->old2[lane] += old2[i];
                sums->new2[lane] += new2[i];
                sums->dot[lane] += dot[i];
            }
        }
}

/* What `add` gives where both sides are the same. */

TARGET static void NAMED(stay_F16)(const char *bytes, Lanes *sums) {
    for (int at = 0; at < BLOCK; at += ADDED_BYTES)
        for (int turn = 0; turn < TURNS; turn++) {
            Floats square = {0};
            Ints a;
            for (int i = 0; i < ADDED_BYTES; i += WORDS * 4) {
                memcpy(&a, bytes + at + i + turn * sizeof a, sizeof a);
                for (int shift = 16; shift >= 0; shift -= 16) {
                    Floats value = FROM_F16(a << shift);
                    square += value * value;
                }
            }
            for (int i = 0; i < LANES; i++) {
                int lane = (turn * LANES + i) % HALF;
                sums->old2[lane] += square[i];
                sums->new2[lane] += square[i];
                sums->dot[lane] += square[i];
            }
        }
}

#define LOAD_LANES(name) memcpy(&name, sums->name + turn * PAIRS, sizeof name)
#define STORE_LANES(name) memcpy(sums->name + turn * PAIRS, &name, sizeof name)
#define AS_DOUBLES(words) __builtin_convertvector((HalfFloats)(words), Doubles)

/* BF16 has two values to a word, the lower half first; F32 has one. */

#define IN_DOUBLES(Type, first_shift) \
TARGET static void NAMED(add_##Type)(const char *old_bytes, const char *new_bytes, Lanes *sums) { \
    for (int turn = 0; turn < TURNS; turn++) { \
        Doubles l1, delta2, old2, new2, dot; \
        Longs linf; \
        LOAD_LANES(l1), LOAD_LANES(linf), LOAD_LANES(delta2); \
        LOAD_LANES(old2), LOAD_LANES(new2), LOAD_LANES(dot); \
        for (int at = 0; at < BLOCK; at += WORDS * 4) \
            for (int shift = first_shift; shift >= 0; shift -= 16) \
                for (int half = 0; half < WORDS * 4; half += HALF * 4) { \
                    HalfInts a, b; \
                    memcpy(&a, old_bytes + at + half + turn * sizeof a, sizeof a); \
                    memcpy(&b, new_bytes + at + half + turn * sizeof b, sizeof b); \
                    if (first_shift) a = a << shift & ~0xFFFF, b = b << shift & ~0xFFFF; \
                    Doubles old = AS_DOUBLES(a), new = AS_DOUBLES(b), delta = new - old; \
                    Longs size = (Longs)delta & INT64_MAX; \
                    l1 += (Doubles)size; \
                    linf = LARGER(size, linf, 63); \
                    delta2 += delta * delta; \
                    old2 += old * old; \
                    new2 += new * new; \
                    dot += old * new; \
                } \
        STORE_LANES(l1), STORE_LANES(linf), STORE_LANES(delta2); \
        STORE_LANES(old2), STORE_LANES(new2), STORE_LANES(dot); \
    } \
} \
TARGET static void NAMED(stay_##Type)(const char *bytes, Lanes *sums) { \
    for (int turn = 0; turn < TURNS; turn++) { \
        Doubles old2, new2, dot; \
        LOAD_LANES(old2), LOAD_LANES(new2), LOAD_LANES(dot); \
        for (int at = 0; at < BLOCK; at += WORDS * 4) \
            for (int shift = first_shift; shift >= 0; shift -= 16) \
                for (int half = 0; half < WORDS * 4; half += HALF * 4) { \
                    HalfInts a; \
                    memcpy(&a, bytes + at + half + turn * sizeof a, sizeof a); \
                    if (first_shift) a = a << shift & ~0xFFFF; \
                    Doubles value = AS_DOUBLES(a), square = value * value; \
                    old2 += square; \
                    new2 += square; \
                    dot += square; \
                } \
        STORE_LANES(old2), STORE_LANES(new2), STORE_LANES(dot); \
    } \
}

IN_DOUBLES(BF16, 16)
IN_DOUBLES(F32, 0)

static const Pass NAMED(passes)[] = {
    {"F16", NAMED(note_F16), NAMED(add_F16), NAMED(stay_F16)},
    {"BF16", NAMED(note_BF16), NAMED(add_BF16), NAMED(stay_BF16)},
    {"F32", NAMED(note_F32), NAMED(add_F32), NAMED(stay_F32)},
};

#undef Floats
#undef Ints
#undef Shorts
#undef Doubles
#undef Longs
#undef HalfFloats
#undef HalfInts
#undef TURNS
#undef PAIRS
#undef NOTE
#undef FROM_F16
#undef LOAD_LANES
#undef STORE_LANES
#undef AS_DOUBLES
#undef IN_DOUBLES
#undef LANES
#undef NAMED
#undef TARGET

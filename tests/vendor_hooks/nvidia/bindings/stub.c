/* Stands in for NVIDIA's libraries, so that the genuine Python bindings can be imported without them.
 *
 * Every function returns one object whose methods all return that object again: the bindings then check names,
 * argument types and overloads, as they always do, and what they call does nothing. Numbers, texts and shapes that
 * come back mean nothing; the probe that uses this replaces them.
 */
#include <stddef.h>

#define SLOTS 1024

/* pybind11 asks an object for its type before it looks for the class: it is one that nobody registered. */
extern char _ZTVN10__cxxabiv117__class_type_infoE[];
static const struct {
    const void *table;
    const char *name;
} type = {_ZTVN10__cxxabiv117__class_type_infoE + 16, "9StubClass"};

/* What C++ has before the first method: the offset to the whole object, and its type. */
static const void *table[2 + SLOTS];
/* An interface's object has its table, then a pointer to its implementation: here all words lead back to it. Its
 * address does not end in a zero byte, which would be "false". */
static const void *storage[72] __attribute__((aligned(256)));
#define object (&storage[8])

const void *answer(void) { return object; }

__attribute__((constructor)) static void fill(void)
{
    table[1] = &type;
    for (size_t n = 0; n < SLOTS; n++)
        table[2 + n] = (const void *)answer;
    storage[8] = &table[2];
    for (size_t n = 9; n < 72; n++)
        storage[n] = object;
}

#define FUNCTION(name) const void *name(void) { return object; }

/* The heap's state in words: for the header, and in place of a content that is not there. */
#ifndef KILN_TUI_HEAP_TEXT_H
#define KILN_TUI_HEAP_TEXT_H

#include "profile/heap.h"
#include "profile/source.h"

#include <stdbool.h>

/* The facts, also of a profile without a heap (HEAP_MODE_OFF, with the reason that the session gives). */
void heap_read_facts(const struct profile *profile, struct heap_facts *ret);
/* Figures are there: it is, or was, measured. */
bool heap_is_measured(const struct profile *profile);

/* For the header: "heap exact", "heap off", "heap closed 01:32". */
void heap_write_mode(const struct heap_facts *facts, bool is_short, char *ret, size_t capacity);
/* Why there are no figures, or none any more: "heap: not measured: WHY"; "" while it is exact. */
void heap_write_state(const struct heap_facts *facts, char *ret, size_t capacity);
/* Why there is nothing to show in a metric although the heap is measured. */
void heap_write_empty(const struct profile *profile, unsigned metric, char *ret, size_t capacity);

#endif

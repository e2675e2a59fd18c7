/* Runs what a fuzzer has left behind: each file of a folder through one function, in memory of its own, so
 * that a sanitizer sees a read behind it. For one test file each: it fails the test that calls it. */
#ifndef KILN_TESTS_SUPPORT_CORPUS_H
#define KILN_TESTS_SUPPORT_CORPUS_H

#include <stddef.h>
#include <stdint.h>

/* run: aborts where something is wrong. least: so many files there must be. */
void corpus_run(const char *folder, int least, void (*run)(const uint8_t *input, size_t size));
/* Nothing, and each byte alone. */
void corpus_run_short(void (*run)(const uint8_t *input, size_t size));

#endif

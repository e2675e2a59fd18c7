/* What the tests of snapshots share: a directory of their own with the fixture's snapshot in it, and the
 * files there. */
#ifndef KILN_TESTS_SUPPORT_SNAPSHOT_FILES_H
#define KILN_TESTS_SUPPORT_SNAPSHOT_FILES_H

#include "base/error.h"
#include "profile/profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

extern char directory[64];
extern char path[128];	 /* the fixture's snapshot, with a heap */
extern char target[128]; /* for each test to write */
extern struct profile *fixture;

int snapshot_files_set_up(void **state);
int snapshot_files_tear_down(void **state);

static inline void assert_no_error(struct error *error)
{
	if (error)
		fail_msg("%s", error_get_message(error));
}

/* The message must contain `part`, and there must be a hint; takes the error. */
void assert_error(struct error *error, enum error_code code, const char *part);
void assert_equal(struct profile *a, struct profile *b);
/* So many files are in the directory, and no more. */
void assert_files(unsigned expected);

unsigned char *load(const char *file, size_t *ret_size); /* the caller frees */
void store(const char *file, const void *bytes, size_t size);
/* The first column of the first row. */
int64_t query(const char *file, const char *sql);

uint64_t next_random(uint64_t *state);

static inline void cleanup_profile(struct profile **profile)
{
	profile_destroy(*profile);
}
#define _cleanup_profile_ __attribute__((cleanup(cleanup_profile)))

#endif

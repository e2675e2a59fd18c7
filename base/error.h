/* Error objects: what failed, why, and what the user can do about it.
 *
 * A function that can fail returns `struct error *`; NULL is success. Out parameters are called `ret`,
 * come last and are never written on failure.
 *
 * Ownership: the caller of a failing function owns the error and hands it on, or error_destroy()s it.
 * Invariants: creating an error never fails; when memory is short a static object is returned.
 * Errors are printed by main.c and tui/ only.
 */
#ifndef KILN_BASE_ERROR_H
#define KILN_BASE_ERROR_H

/* The values are the exit codes of the command line. */
enum error_code {
	ERROR_GENERAL = 1,
	ERROR_USAGE = 2,     /* also: not built yet */
	ERROR_NO_TARGET = 3, /* no such target, ambiguous name, CMD not executable */
	ERROR_PERMISSION = 4,
	ERROR_UNSUPPORTED = 5, /* the kernel or the machine lacks what is needed */
	ERROR_BAD_FILE = 6,    /* damaged, foreign or newer file */
	ERROR_LOST = 7,	       /* lost above --max-lost */
	ERROR_INTERRUPTED = 130,
};

struct error;

/* saved_errno: 0 when no system call failed. hint: one line that says what to do, or NULL. */
struct error *error_create(enum error_code code, int saved_errno, const char *hint, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* Puts "CONTEXT: " before the message of an error; returns the same error. NULL stays NULL. */
struct error *error_wrap(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Replaces the hint, if there is none yet. */
struct error *error_set_hint(struct error *error, const char *hint);
void error_destroy(struct error *error); /* NULL accepted */

enum error_code error_get_code(const struct error *error);
int error_get_errno(const struct error *error);
/* Message with the text of errno appended ("open: No such file or directory"); lives as long as the error. */
const char *error_get_message(const struct error *error);
const char *error_get_hint(const struct error *error); /* NULL when there is none */

#endif

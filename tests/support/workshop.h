/* A directory in which a test makes programs and takes them apart with gcc, objcopy, strip and xz, and the
 * question what the symbolizer makes of them.
 *
 * What goes wrong with the tools aborts the test. Ownership: workshop_open() → workshop_close().
 */
#ifndef KILN_TESTS_SUPPORT_WORKSHOP_H
#define KILN_TESTS_SUPPORT_WORKSHOP_H

#include "symbolizer/debug_ask.h"
#include "symbolizer/debug_open.h"
#include "symbolizer/frame.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct workshop {
	char directory[64];	     /* and below it "debug", where debug files are looked for */
	struct debug_places *places; /* made when first needed */
	struct debug_asker asker;    /* kiln, without sockets */
	const char *module;	     /* file name of the module that is looked at */
	unsigned asked;		     /* how often */
};

void workshop_open(struct workshop *workshop);
void workshop_close(struct workshop *workshop);
/* A shell command in the directory. */
void workshop_run(const struct workshop *workshop, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The path of a file there; valid until the next call but three. */
const char *workshop_path(const struct workshop *workshop, const char *file);
void workshop_write(const struct workshop *workshop, const char *file, const void *bytes, size_t length);
bool workshop_has(const char *tool);

/* "full": a shared library with -g. Its static function `secret` has its line WORKSHOP_LINE; the global one
 * open_door calls it. flags: more of gcc's. */
void workshop_compile(const struct workshop *workshop, const char *flags);
#define WORKSHOP_LINE 4
/* "plain": full without debug information and symbol table; "separate.debug": what it has lost. */
void workshop_strip(const struct workshop *workshop);
/* Where the file with this build-id belongs: "debug/.build-id/…", its directory made; of "full". */
const char *workshop_build_id_path(const struct workshop *workshop);

/* What the symbolizer says of `secret` in a file that has the addresses of full. */
struct workshop_answer {
	struct info_message info;
	char function[256], file[256];
	uint32_t line;
};
void workshop_look(struct workshop *workshop, const char *file, struct workshop_answer *ret);

#endif

#include "symbolizer/demangle.h"

#include "base/text.h"

#include <libiberty/demangle.h>
#include <setjmp.h>
#include <stdbool.h>
#include <string.h>

/* libiberty gives up on C++ names longer than 1,024 bytes, because its own tables (on the stack, 32 bytes a
 * component, 2 components a byte) and its recursion grow with the name (cp-demangle.c, PR 87675). Its
 * recursion takes at least one byte of the name a level, so that a limit on the length bounds it as well: 4
 * KiB names need less than 3 MiB of stack. Real templates do have names of several thousand bytes. */
#define MANGLED_LENGTH_MAX	 4096
#define MANGLED_LENGTH_LIBIBERTY 1000

struct output {
	char text[NAME_LENGTH_MAX + 2]; /* one byte more than is shown: what is cut is seen */
	size_t length;
	jmp_buf full;
};

/* libiberty's callback variants allocate nothing on the heap: leaving them by longjmp() leaks nothing. */
static void take_output(const char *text, size_t length, void *opaque)
{
	struct output *output = opaque;
	size_t room = sizeof(output->text) - 1 - output->length;
	size_t taken = length < room ? length : room;

	if (taken)
		memcpy(output->text + output->length, text, taken);
	output->length += taken;
	if (taken < length)
		longjmp(output->full, 1);
}

static bool demangle(const char *mangled, size_t length, struct output *output)
{
	const int options = DMGL_PARAMS | DMGL_ANSI;
	const int cplus_options =
		length > MANGLED_LENGTH_LIBIBERTY ? options | DMGL_NO_RECURSE_LIMIT : options;

	if (setjmp(output->full))
		return true;
	/* Rust's old scheme looks like C++ with a hash at the end: ask for Rust first. */
	if (rust_demangle_callback(mangled, options, take_output, output))
		return true;
	output->length = 0;
	return strncmp(mangled, "_Z", 2) == 0 &&
	       cplus_demangle_v3_callback(mangled, cplus_options, take_output, output);
}

size_t demangle_name(const char *name, size_t length, char ret[NAME_LENGTH_MAX + 1])
{
	if (length > 2 && length <= MANGLED_LENGTH_MAX && name[0] == '_' &&
	    (name[1] == 'Z' || name[1] == 'R')) {
		char mangled[MANGLED_LENGTH_MAX + 1];
		struct output output;

		memcpy(mangled, name, length);
		mangled[length] = '\0';
		output.length = 0;
		if (demangle(mangled, length, &output) && output.length)
			return text_sanitize(output.text, output.length, ret, NAME_LENGTH_MAX + 1);
	}
	return text_sanitize(name, length, ret, NAME_LENGTH_MAX + 1);
}

/* Prints where the prologue decoder puts a trap, for tests/e2e/test_prologues.py.
 *
 * dump_sites FILE ARGUMENTS <functions: a line "START LENGTH" for each, hexadecimal file offset and decimal
 * bytes. For each a line "START OFFSET LENGTH REGISTER REGISTER REGISTER", or "START - WHY". */
#include "base/cleanup.h"
#include "bpf/insn.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

static void print_site(uint64_t start, const uint8_t *code, size_t length, unsigned arguments)
{
	struct insn_site site;
	const char *why;

	if (insn_find_site(code, length, arguments, &site, &why))
		printf("%" PRIx64 " %u %u %u %u %u\n", start, site.offset, site.length, site.registers[0],
		       site.registers[1], site.registers[2]);
	else
		printf("%" PRIx64 " - %s\n", start, why);
}

int main(int argc, char **argv)
{
	_cleanup_close_ int fd = argc == 3 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;
	uint8_t code[INSN_CODE_BYTES];
	uint64_t start, length;

	if (fd < 0) {
		fprintf(stderr, "usage: dump_sites FILE ARGUMENTS <FUNCTIONS\n");
		return 2;
	}
	while (scanf("%" SCNx64 " %" SCNu64, &start, &length) == 2) {
		size_t wanted = length < sizeof(code) ? (size_t)length : sizeof(code);

		if (pread(fd, code, wanted, (off_t)start) != (ssize_t)wanted) {
			fprintf(stderr, "dump_sites: %s: %s\n", argv[1], strerror(errno));
			return 1;
		}
		print_site(start, code, wanted, (unsigned)atoi(argv[2]));
	}
	return 0;
}

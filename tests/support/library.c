#include "tests/support/library.h"

#include "base/cleanup.h"

#include <assert.h>
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* As assert(), whatever NDEBUG says. */
static void demand(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "library: %s\n", what);
	abort();
}

bool library_compile(const char *compiler, const char *source, struct library *ret)
{
	_cleanup_free_ char *command = NULL;
	FILE *pipe;
	int fd;

	snprintf(ret->path, sizeof(ret->path), "/tmp/kiln-library-XXXXXX");
	fd = mkstemp(ret->path);
	demand(fd >= 0, "mkstemp");
	close(fd);
	demand(asprintf(&command, "%s -o %s -", compiler, ret->path) > 0, "memory");
	pipe = popen(command, "we");
	demand(pipe != NULL, "popen");
	fputs(source, pipe);
	if (pclose(pipe) == 0)
		return true;
	unlink(ret->path);
	return false;
}

void library_assemble(const struct library_function *functions, const char *before, struct library *ret)
{
	_cleanup_free_ char *source = NULL;
	size_t length;
	FILE *text = open_memstream(&source, &length);

	demand(text != NULL, "memory");
	fprintf(text, ".text\n%s", before ?: "");
	for (; functions->name; functions++)
		fprintf(text,
			"\n.p2align 4\n.globl %s\n.type %s,@function\n%s:\n.cfi_startproc\n%s\n.cfi_endproc\n"
			".size %s,.-%s\n",
			functions->name, functions->name, functions->name, functions->code, functions->name,
			functions->name);
	fclose(text);
	demand(library_compile("gcc -shared -nostdlib -x assembler", source, ret), "gcc refused");
}

void library_remove(const struct library *library)
{
	unlink(library->path);
}

bool library_locate(const char *name, struct library *ret)
{
	char command[200];
	FILE *gcc;

	snprintf(command, sizeof(command), "gcc -print-file-name=%s", name);
	gcc = popen(command, "re");
	demand(gcc != NULL, "popen");
	if (!fgets(ret->path, sizeof(ret->path), gcc))
		ret->path[0] = '\0';
	pclose(gcc);
	ret->path[strcspn(ret->path, "\n")] = '\0';
	return strchr(ret->path, '/') && access(ret->path, R_OK) == 0;
}

void library_locate_libc(struct library *ret)
{
	Dl_info info;

	demand(dladdr((void *)gnu_get_libc_version, &info) != 0, "dladdr");
	snprintf(ret->path, sizeof(ret->path), "%s", info.dli_fname);
}

static uint64_t to_offset(const struct library *library, uint64_t address)
{
	_cleanup_close_ int fd = open(library->path, O_RDONLY | O_CLOEXEC);
	Elf64_Ehdr header;
	Elf64_Phdr segment;

	demand(pread(fd, &header, sizeof(header), 0) == sizeof(header), "no ELF header");
	for (int i = 0; i < header.e_phnum; i++) {
		off_t at = (off_t)(header.e_phoff + (uint64_t)i * sizeof(segment));

		demand(pread(fd, &segment, sizeof(segment), at) == sizeof(segment), "no program header");
		if (segment.p_type == PT_LOAD && address >= segment.p_vaddr &&
		    address - segment.p_vaddr < segment.p_filesz)
			return segment.p_offset + (address - segment.p_vaddr);
	}
	demand(false, "address in no segment");
	return 0;
}

bool library_nm(const struct library *library, bool is_dynamic, const char *symbol, uint64_t *ret_offset,
		uint64_t *ret_length)
{
	_cleanup_free_ char *command = NULL;
	char line[5000], name[4096];
	uint64_t address = 0;
	bool found = false;
	char type;
	FILE *nm;

	demand(asprintf(&command, "nm --defined-only -S %s '%s'", is_dynamic ? "-D" : "", library->path) > 0,
	       "memory");
	nm = popen(command, "re");
	demand(nm != NULL, "popen");
	while (fgets(line, sizeof(line), nm)) {
		if (!found && sscanf(line, "%lx %lx %c %4095[^@\n]", &address, ret_length, &type, name) == 4)
			found = strcmp(name, symbol) == 0;
	}
	demand(pclose(nm) == 0, "nm");
	if (found)
		*ret_offset = to_offset(library, address);
	return found;
}

#include "tests/support/workshop.h"

#include "base/cleanup.h"
#include "symbolizer/modules.h"
#include "tests/support/library.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define MODULE 16

static const char source[] = "int sink;\n"
			     "static __attribute__((noinline)) int secret(int x)\n"
			     "{\n"
			     "	return x * 3 + sink;\n"
			     "}\n"
			     "int open_door(int x)\n"
			     "{\n"
			     "	return secret(x) + secret(x + 1);\n"
			     "}\n";

/* As assert(), whatever NDEBUG says. */
static void demand(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "workshop: %s\n", what);
	abort();
}

static int ask(void *arg, struct want_message *want, const char *name, struct file_message *ret)
{
	struct workshop *workshop = arg;
	struct debug_opened opened;

	workshop->asked++;
	if (!workshop->places)
		demand(!debug_places_create(&workshop->places), "places");
	debug_open(workshop->places, workshop_path(workshop, workshop->module), want, name, &opened);
	*ret = (struct file_message){.status = opened.fd >= 0 ? FILE_OPENED : FILE_NONE,
				     .place = opened.place};
	memcpy(ret->why, opened.why, sizeof(ret->why));
	return opened.fd;
}

void workshop_open(struct workshop *workshop)
{
	*workshop = (struct workshop){.directory = "/tmp/kiln-workshop-XXXXXX"};
	demand(mkdtemp(workshop->directory) != NULL, "mkdtemp");
	workshop->asker = (struct debug_asker){ask, workshop};
	workshop_run(workshop, "mkdir debug");
	setenv("KILN_DEBUG_PATH", workshop_path(workshop, "debug"), 1);
	workshop_write(workshop, "source.c", source, sizeof(source) - 1);
}

void workshop_close(struct workshop *workshop)
{
	debug_places_destroy(workshop->places);
	unsetenv("KILN_DEBUG_PATH");
	workshop_run(workshop, "rm -rf %s", workshop->directory);
}

void workshop_run(const struct workshop *workshop, const char *format, ...)
{
	_cleanup_free_ char *command = NULL, *line = NULL;
	va_list args;
	int length;

	va_start(args, format);
	length = vasprintf(&command, format, args);
	va_end(args);
	demand(length >= 0 && asprintf(&line, "cd %s && (%s) >output 2>&1 || { cat output >&2; false; }",
				       workshop->directory, command) >= 0,
	       "memory");
	demand(system(line) == 0, command);
}

const char *workshop_path(const struct workshop *workshop, const char *file)
{
	static char paths[4][512];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", workshop->directory, file);
	return path;
}

void workshop_write(const struct workshop *workshop, const char *file, const void *bytes, size_t length)
{
	_cleanup_close_ int fd =
		open(workshop_path(workshop, file), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	demand(fd >= 0 && write(fd, bytes, length) == (ssize_t)length, file);
}

bool workshop_has(const char *tool)
{
	char command[256];

	snprintf(command, sizeof(command), "command -v %s >/dev/null", tool);
	return system(command) == 0;
}

void workshop_compile(const struct workshop *workshop, const char *flags)
{
	workshop_run(workshop, "gcc -shared -fPIC -O1 -g %s -o full source.c", flags);
}

void workshop_strip(const struct workshop *workshop)
{
	workshop_run(workshop, "objcopy --only-keep-debug full separate.debug && strip -o plain full");
}

const char *workshop_build_id_path(const struct workshop *workshop)
{
	static char path[600];
	char line[512] = "", *id;
	FILE *pipe;

	snprintf(line, sizeof(line), "readelf -n %s/full 2>/dev/null | sed -n 's/.*Build ID: //p'",
		 workshop->directory);
	pipe = popen(line, "re");
	demand(pipe && fgets(line, sizeof(line), pipe), "no build-id");
	pclose(pipe);
	id = line;
	id[strcspn(id, "\n")] = '\0';
	snprintf(path, sizeof(path), "debug/.build-id/%.2s/%s.debug", id, id + 2);
	workshop_run(workshop, "mkdir -p debug/.build-id/%.2s", id);
	return path;
}

void workshop_look(struct workshop *workshop, const char *file, struct workshop_answer *ret)
{
	struct symbolizer_modules *modules;
	struct module_name *name = calloc(1, sizeof(*name));
	struct library full;
	uint64_t offset = 0, length;
	struct module *module;

	snprintf(full.path, sizeof(full.path), "%s", workshop_path(workshop, "full"));
	demand(name && library_nm(&full, false, "secret", &offset, &length), "no secret");
	workshop->module = file;
	workshop->asked = 0;
	demand(!symbolizer_modules_create(&modules), "memory");
	symbolizer_modules_set_asker(modules, &workshop->asker);
	demand(!symbolizer_modules_add(modules, MODULE, MODULE_KIND_FILE,
				       open(workshop_path(workshop, file), O_RDONLY | O_CLOEXEC)),
	       "memory");
	module = symbolizer_modules_find(modules, MODULE);
	module_open(module, &ret->info);
	/* Not at its first byte: the name must be that of the range. */
	module_name_offset(module, offset + 1, name);
	module_take_news(module, &ret->info);
	snprintf(ret->function, sizeof(ret->function), "%.*s", (int)name->function_length, name->function);
	snprintf(ret->file, sizeof(ret->file), "%.*s", (int)name->file_length, name->file);
	ret->line = name->line;
	symbolizer_modules_destroy(modules);
	free(name);
}

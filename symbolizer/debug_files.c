#include "symbolizer/debug_files.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "symbolizer/debug_check.h"
#include "symbolizer/elf.h"

#include <stdio.h>
#include <string.h>

/* Files at right places that are the wrong ones. */
#define WRONG_FILES_MAX 32

struct finder {
	const struct debug_module *module;
	struct debug_files *files;
};

static void say_why(struct debug_files *files, const char *why)
{
	if (!files->why[0] && why)
		text_sanitize(why, SIZE_MAX, files->why, sizeof(files->why));
}

static void close_file(struct debug_file *file)
{
	if (!file->elf)
		return;
	elf_end(file->elf);
	close(file->fd);
	file->elf = NULL;
}

/* What makes a file the right one. */
struct expected {
	const uint8_t *build_id;
	uint32_t build_id_length; /* 0: any will do */
	const uint32_t *crc;	  /* NULL: any will do */
	const char *what;	  /* for words */
};

/* NULL: it is the right one. */
static const char *check_file(Elf *elf, int fd, const struct expected *expected)
{
	uint8_t build_id[BUILD_ID_MAX];
	const char *why;
	uint32_t crc;

	if (!elf_is_supported(elf, &why))
		return why;
	if (expected->build_id_length &&
	    (elf_read_any_build_id(elf, build_id) != expected->build_id_length ||
	     memcmp(build_id, expected->build_id, expected->build_id_length) != 0))
		return "another build-id";
	if (expected->crc && !debug_check_crc(fd, &crc))
		return "too big to be checked";
	if (expected->crc && crc != *expected->crc)
		return "another checksum (CRC)";
	return NULL;
}

/* Asks for one place after the other until a file is the right one. */
static bool find_file(struct finder *finder, struct want_message *want, const char *name,
		      const struct expected *expected, struct debug_file *ret)
{
	const struct debug_asker *asker = finder->module->asker;
	struct file_message answer;

	for (int tries = 0; asker && tries < WRONG_FILES_MAX; tries++) {
		_cleanup_close_ int fd = asker->ask(asker->arg, want, name, &answer);
		char text[120];
		const char *why;
		Elf *elf;

		if (fd < 0) {
			say_why(finder->files, answer.why[0] ? answer.why : NULL);
			return false;
		}
		elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
		why = check_file(elf, fd, expected);
		if (!why) {
			*ret = (struct debug_file){elf, take_fd(&fd)};
			return true;
		}
		elf_end(elf);
		snprintf(text, sizeof(text), "its %s: %s", expected->what, why);
		say_why(finder->files, text);
		want->place = answer.place + 1;
	}
	return false;
}

/* Takes from a file what is still missing. */
static void use_file(struct finder *finder, Elf *elf)
{
	struct debug_files *files = finder->files;
	struct debug_contents contents;

	if (!elf)
		return;
	debug_check_contents(elf, &contents);
	if (!files->dwarf && contents.has_dwarf)
		files->dwarf = elf;
	if (!files->symbols && contents.has_symtab)
		files->symbols = elf;
	say_why(files, contents.why);
}

static bool is_complete(const struct finder *finder)
{
	return finder->files->dwarf && finder->files->symbols;
}

static struct want_message make_want(const struct finder *finder, enum want_kind kind)
{
	return (struct want_message){.module = finder->module->id, .kind = kind};
}

static void set_build_id(struct want_message *want, const uint8_t *build_id, uint32_t length)
{
	want->build_id_length = length;
	memcpy(want->build_id, build_id, length);
}

static void find_by_build_id(struct finder *finder)
{
	const struct debug_module *module = finder->module;
	struct expected expected = {module->build_id, module->build_id_length, NULL,
				    "debug file by build-id"};
	struct want_message want = make_want(finder, WANT_BUILD_ID);

	if (!module->build_id_length)
		return;
	set_build_id(&want, module->build_id, module->build_id_length);
	if (find_file(finder, &want, "", &expected, &finder->files->by_build_id))
		use_file(finder, finder->files->by_build_id.elf);
}

/* A terminated name at the beginning of a section, and what follows it. */
static const char *read_name(Elf *elf, const char *section_name, const uint8_t **ret_rest, size_t *ret_length)
{
	Elf_Scn *section = elf_find_section(elf, section_name);
	Elf_Data *data = section ? elf_rawdata(section, NULL) : NULL;
	size_t length;

	if (!data || !data->d_buf)
		return NULL;
	length = strnlen(data->d_buf, data->d_size);
	if (length == data->d_size || length > WANT_NAME_MAX)
		return NULL;
	*ret_rest = (const uint8_t *)data->d_buf + length + 1;
	*ret_length = data->d_size - length - 1;
	return data->d_buf;
}

/* The name, zeros to a multiple of four, the checksum. */
static void find_by_link(struct finder *finder)
{
	const struct debug_module *module = finder->module;
	struct want_message want = make_want(finder, WANT_LINK);
	struct expected expected = {.what = "debug file (.gnu_debuglink)"};
	const uint8_t *rest;
	const char *name;
	size_t length, padding;
	uint32_t crc;

	name = read_name(module->elf, ".gnu_debuglink", &rest, &length);
	if (!name || !*name)
		return;
	padding = -(strlen(name) + 1) & 3;
	if (length < padding + sizeof(crc)) {
		say_why(finder->files, "its .gnu_debuglink is cut short");
		return;
	}
	memcpy(&crc, rest + padding, sizeof(crc));
	expected.crc = &crc;
	expected.build_id = module->build_id;
	expected.build_id_length = module->build_id_length;
	if (find_file(finder, &want, name, &expected, &finder->files->by_link))
		use_file(finder, finder->files->by_link.elf);
}

static void find_minidebuginfo(struct finder *finder)
{
	const char *why;

	if (!minidebuginfo_open(finder->module->elf, &finder->files->mini, &why))
		say_why(finder->files, why);
	use_file(finder, finder->files->mini.elf);
}

/* What dwz has moved out: the path, then the build-id of the file that has it. */
static void find_supplement(struct finder *finder)
{
	struct debug_files *files = finder->files;
	struct want_message want = make_want(finder, WANT_ALT);
	struct expected expected = {.what = "dwz file"};
	const char *name, *why;
	size_t length;

	name = read_name(files->dwarf, ".gnu_debugaltlink", &expected.build_id, &length);
	if (!name || !length) {
		if (elf_has_section(files->dwarf, ".debug_sup"))
			say_why(files, "its dwz file (.debug_sup), which elfutils cannot find");
		return;
	}
	expected.build_id_length = length < BUILD_ID_MAX ? (uint32_t)length : BUILD_ID_MAX;
	set_build_id(&want, expected.build_id, expected.build_id_length);
	files->why[0] = '\0';
	if (!find_file(finder, &want, name, &expected, &files->alt)) {
		say_why(files, "its dwz file (.gnu_debugaltlink) was not found");
		return;
	}
	if (debug_check_is_readable(files->alt.elf, &why))
		files->supplement = files->alt.elf;
	else
		say_why(files, why);
}

void debug_files_open(const struct debug_module *module, struct debug_files *ret)
{
	struct finder finder = {module, ret};

	*ret = (struct debug_files){0};
	find_by_build_id(&finder);
	if (!is_complete(&finder))
		find_by_link(&finder);
	use_file(&finder, module->elf);
	if (!ret->symbols)
		find_minidebuginfo(&finder);
	/* What was refused on the way does not matter when there is a better one. */
	if (ret->dwarf) {
		ret->why[0] = '\0';
		find_supplement(&finder);
	}
}

void debug_files_close(struct debug_files *files)
{
	close_file(&files->by_build_id);
	close_file(&files->by_link);
	close_file(&files->alt);
	minidebuginfo_close(&files->mini);
	*files = (struct debug_files){0};
}

int debug_files_open_dwo(const struct debug_module *module, const char *path, char why[120])
{
	struct want_message want = {.module = module->id, .kind = WANT_DWO};
	struct file_message answer;
	_cleanup_close_ int fd = -1;
	const char *reason = NULL;
	Elf *elf;

	if (!module->asker)
		return -1;
	fd = module->asker->ask(module->asker->arg, &want, path, &answer);
	if (fd < 0) {
		text_sanitize(answer.why[0] ? answer.why : "a .dwo file was not found", SIZE_MAX, why, 120);
		return -1;
	}
	elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	if (elf_is_supported(elf, &reason))
		debug_check_is_readable(elf, &reason);
	elf_end(elf);
	if (!reason)
		return take_fd(&fd);
	text_sanitize(reason, SIZE_MAX, why, 120);
	return -1;
}

#include "symbolizer/modules.h"

#include "base/array.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "bpf/events.h"
#include "symbolizer/debug_files.h"
#include "symbolizer/demangle_cache.h"
#include "symbolizer/dwarf.h"
#include "symbolizer/elf.h"
#include "symbolizer/fde.h"
#include "symbolizer/interpose.h"
#include "symbolizer/jit.h"
#include "symbolizer/kernel.h"
#include "symbolizer/pclntab_section.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

struct module {
	uint32_t id;
	enum module_kind kind;
	int fd;
	const struct debug_asker *asker; /* NULL: nobody is there to ask for files */
	bool opened, has_news;
	struct demangle_cache *demangled; /* all modules share it */
	struct info_message info;
	/* Files and the vDSO. */
	Elf *elf; /* NULL: no names */
	struct debug_files files;
	struct segments segments;
	struct symbols *symbols;
	struct debug *debug; /* NULL: no debug information */
	struct cfi_fdes fdes;
	struct pclntab pclntab; /* of Go; zeroed: none */
	bool has_symtab;
	bool has_symbols, has_debug, has_fdes; /* it has been tried */
	/* The kernel. */
	struct kernel_symbols *kernel;
	/* JIT code. */
	struct jit *jit; /* that of all modules */
};

struct symbolizer_modules {
	ARRAY(struct module *)
	items; /* by id */
	const struct debug_asker *asker;
	struct demangle_cache demangled;
	struct jit *jit; /* NULL: no file that names JIT code has come */
};

struct error *symbolizer_modules_create(struct symbolizer_modules **ret)
{
	struct symbolizer_modules *modules = calloc(1, sizeof(*modules));

	if (!modules)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "modules");
	elf_version(EV_CURRENT);
	*ret = modules;
	return NULL;
}

static void module_destroy(struct module *module)
{
	if (!module)
		return;
	interpose_set(NULL, NULL);
	/* libdw and the symbols refer to the Elfs: they go last. */
	debug_destroy(module->debug);
	symbols_destroy(module->symbols);
	cfi_fdes_deinit(&module->fdes);
	segments_deinit(&module->segments);
	debug_files_close(&module->files);
	elf_end(module->elf);
	kernel_symbols_destroy(module->kernel);
	cleanup_close(&module->fd);
	free(module);
}

void symbolizer_modules_destroy(struct symbolizer_modules *modules)
{
	if (!modules)
		return;
	for (size_t i = 0; i < modules->items.count; i++)
		module_destroy(modules->items.items[i]);
	array_deinit(&modules->items);
	demangle_cache_deinit(&modules->demangled);
	jit_destroy(modules->jit);
	free(modules);
}

void symbolizer_modules_set_asker(struct symbolizer_modules *modules, const struct debug_asker *asker)
{
	modules->asker = asker;
}

/* A file that names the code of MODULE_ANONYMOUS. */
static struct error *add_jit_file(struct symbolizer_modules *modules, enum module_kind kind, int fd)
{
	_cleanup_close_ int taken = fd;
	struct error *error = NULL;

	if (!modules->jit)
		error = jit_create(&modules->jit);
	if (!error)
		error = symbolizer_modules_add(modules, MODULE_ANONYMOUS, MODULE_KIND_ANONYMOUS, -1);
	if (error)
		return error;
	modules->items.items[MODULE_ANONYMOUS]->jit = modules->jit;
	return kind == MODULE_KIND_PERF_MAP ? jit_set_map(modules->jit, take_fd(&taken))
					    : jit_add_dump(modules->jit, take_fd(&taken));
}

struct error *symbolizer_modules_add(struct symbolizer_modules *modules, uint32_t id, enum module_kind kind,
				     int fd)
{
	_cleanup_close_ int taken = fd;
	struct module *module;

	if (kind == MODULE_KIND_PERF_MAP || kind == MODULE_KIND_JITDUMP)
		return add_jit_file(modules, kind, take_fd(&taken));
	if (id >= MODULE_LIMIT)
		return error_create(ERROR_GENERAL, EINVAL, NULL, "module %u", id);
	while (modules->items.count <= id) {
		if (!array_append(&modules->items, NULL))
			return error_create(ERROR_GENERAL, ENOMEM, NULL, "modules");
	}
	module = calloc(1, sizeof(*module));
	if (!module)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "modules");
	module->id = id;
	module->kind = kind;
	module->asker = modules->asker;
	module->demangled = &modules->demangled;
	module->fd = take_fd(&taken);
	module_destroy(modules->items.items[id]);
	modules->items.items[id] = module;
	return NULL;
}

void symbolizer_modules_reopen(struct symbolizer_modules *modules, uint32_t id)
{
	const struct module *module = symbolizer_modules_find(modules, id);
	int fd = module ? fcntl(module->fd, F_DUPFD_CLOEXEC, 3) : -1;

	/* When there is no fd to be had it stays as it is. */
	if (fd >= 0)
		error_destroy(symbolizer_modules_add(modules, id, module->kind, fd));
}

struct module *symbolizer_modules_find(const struct symbolizer_modules *modules, uint32_t id)
{
	return id < modules->items.count ? modules->items.items[id] : NULL;
}

int module_get_fd(const struct module *module)
{
	return module->fd;
}

enum module_kind module_get_kind(const struct module *module)
{
	return module->kind;
}

/* ---- opening ---- */

static void set_why(struct module *module, const char *why)
{
	text_sanitize(why, SIZE_MAX, module->info.why, sizeof(module->info.why));
}

static void set_error(struct module *module, struct error *error)
{
	set_why(module, error_get_message(error));
	error_destroy(error);
}

static void open_kernel(struct module *module)
{
	struct error *error = kernel_symbols_create(module->fd, &module->kernel);

	if (error)
		set_error(module, error);
	else
		module->info.symbols = SYMBOLS_MINIMAL;
}

static struct debug_module describe(const struct module *module)
{
	return (struct debug_module){
		.elf = module->elf,
		.id = module->id,
		.build_id_length = module->info.build_id_length,
		.build_id = module->info.build_id,
		.asker = module->asker,
	};
}

/* For libdw, which opens them when it first needs them. */
static int open_dwo(void *arg, const char *path)
{
	struct module *module = arg;
	struct debug_module wanted = describe(module);
	char why[sizeof(module->info.why)];
	int fd = debug_files_open_dwo(&wanted, path, why);

	/* The first that is missing is said, once. */
	if (fd < 0 && !module->info.why[0]) {
		set_why(module, why);
		module->has_news = true;
	}
	return fd;
}

/* What there is for names; nothing of it is indexed yet. */
static void look_for_names(struct module *module)
{
	Elf *elf = module->elf;
	bool is_go = pclntab_section_find(elf, &module->segments, &module->pclntab);
	struct debug_module wanted = describe(module);

	debug_files_open(&wanted, &module->files);
	set_why(module, module->files.why);
	module->has_symtab = module->files.symbols;
	if (module->files.dwarf || (is_go && pclntab_has_lines(&module->pclntab)))
		module->info.symbols = SYMBOLS_FULL;
	else if (module->has_symtab || is_go)
		module->info.symbols = SYMBOLS_MINIMAL;
	else
		module->info.symbols = SYMBOLS_STRIPPED;
}

static void open_elf(struct module *module)
{
	struct error *error;
	const char *why;

	module->elf = elf_begin(module->fd, ELF_C_READ_MMAP, NULL);
	if (!elf_is_supported(module->elf, &why)) {
		elf_end(module->elf);
		module->elf = NULL;
		set_why(module, why);
		return;
	}
	error = segments_init(module->elf, &module->segments);
	if (error) {
		elf_end(module->elf);
		module->elf = NULL;
		set_error(module, error);
		return;
	}
	module->info.build_id_length = (uint32_t)elf_read_build_id(module->elf, module->info.build_id);
	look_for_names(module);
}

static void open_jit(struct module *module)
{
	jit_update(module->jit);
	module->info.symbols = SYMBOLS_JIT;
	set_why(module, jit_get_why(module->jit));
}

void module_update(struct module *module)
{
	if (module->jit && module->opened)
		jit_update(module->jit);
}

void module_open(struct module *module, struct info_message *ret)
{
	if (!module->opened) {
		module->opened = true;
		module->info.module = module->id;
		module->info.symbols = SYMBOLS_STRIPPED;
		if (module->kind == MODULE_KIND_KERNEL)
			open_kernel(module);
		else if (module->jit)
			open_jit(module);
		else if (module->kind == MODULE_KIND_ANONYMOUS)
			set_why(module, "no file");
		else
			open_elf(module);
	}
	*ret = module->info;
	interpose_set(module->asker ? open_dwo : NULL, module);
}

bool module_take_news(struct module *module, struct info_message *ret)
{
	bool has_news = module->has_news;

	module->has_news = false;
	if (has_news)
		*ret = module->info;
	return has_news;
}

/* When memory is short the module goes on with what it has: the next source of names. */
static const struct symbols *get_symbols(struct module *module)
{
	if (!module->has_symbols) {
		module->has_symbols = true;
		/* The vDSO's weak names are those of libc's functions: the strong ones tell them apart. */
		error_destroy(symbols_create(
			module->elf, module->files.symbols != module->elf ? module->files.symbols : NULL,
			module->kind == MODULE_KIND_VDSO, &module->symbols));
	}
	return module->symbols;
}

static struct debug *get_debug(struct module *module)
{
	if (!module->has_debug) {
		module->has_debug = true;
		if (module->files.dwarf)
			error_destroy(debug_create(module->files.dwarf, &module->debug));
		if (module->debug && module->files.supplement)
			debug_set_supplement(module->debug, module->files.supplement);
	}
	return module->debug;
}

static const struct cfi_fde *find_fde(struct module *module, uint64_t offset)
{
	if (!module->has_fdes) {
		module->has_fdes = true;
		error_destroy(fde_read_list(module->elf, &module->segments, &module->fdes));
	}
	return fde_find_offset(&module->fdes, offset);
}

/* ---- naming ---- */

static void set_function(struct module *module, struct module_name *name, uint64_t start,
			 const char *function, size_t length)
{
	name->start = start;
	name->function_length = demangle_cached(module->demangled, function, length, name->function);
}

static bool is_mangled(const char *name)
{
	return name[0] == '_' && (name[1] == 'Z' || name[1] == 'R');
}

/* Whether the symbol says more than DWARF's name of the function that begins at the same place:
 * 1. which clone or part of it this is ("f.cold", "f.part.0", "f.constprop.0"): DWARF calls them all "f",
 * 2. namespace and arguments, where DWARF has only the plain name (gcc, of templates over local types),
 * 3. by which of its names people know a function of C, where DWARF has that of the definition
 *    ("__GI_getaddrinfo", "__libc_malloc"): it must not depend on whether there is DWARF. */
static bool is_more_exact(const struct symbol_hit *symbol, const struct debug_function *function)
{
	size_t length = strlen(function->name);

	if (symbol->start != function->range_start)
		return false;
	if (!function->is_linkage_name && symbol->length > 2 && memcmp(symbol->name, "_Z", 2) == 0)
		return true;
	if (symbol->sized && !is_mangled(function->name))
		return true;
	return symbol->length > length + 1 && memcmp(symbol->name, function->name, length) == 0 &&
	       symbol->name[length] == '.';
}

/* A symbol without a size ends where the FDE ends that it starts in. */
static bool is_within_fde(struct module *module, const struct symbol_hit *symbol, uint64_t offset)
{
	uint64_t start_offset;

	if (symbol->sized)
		return true;
	return segments_to_offset(&module->segments, symbol->start, &start_offset) &&
	       find_fde(module, start_offset) == find_fde(module, offset);
}

/* Go's table knows where its functions end, and has Go's names. Before it go only symbols that know that too,
 * and of these not the ones of .dynsym: what a program exports to C is not all of it. */
static bool is_before_go(const struct module *module, const struct symbol_hit *symbol)
{
	return module->has_symtab && symbol->sized;
}

/* An address that is asked for, and what is known of it. */
struct question {
	uint64_t address, offset; /* offset: UINT64_MAX when the address is not in the file */
	bool has_go;
	struct pclntab_function go;
	/* All levels of the address by DWARF, the concrete function last. */
	struct debug_level levels[NAME_LEVELS_MAX];
	size_t level_count;
};

/* Sources of a function's name, in order of preference:
 * 1. the file's DWARF: the concrete function that covers the address; only where the symbol table says it
 *    more exactly, the symbol's name,
 * 2. .symtab and .dynsym together: of several names of one address the best known (elf.c),
 * 3. Go's table of functions; without .symtab before .dynsym,
 * 4. no name, but the start of the FDE that covers it (NAME_FDE),
 * 5. nothing: the address itself. */
static void name_function(struct module *module, const struct question *question, struct module_name *ret)
{
	const struct debug_function *function =
		question->level_count ? &question->levels[question->level_count - 1].function : NULL;
	const struct pclntab_function *go = question->has_go ? &question->go : NULL;
	const struct symbols *symbols = get_symbols(module);
	const struct cfi_fde *fde;
	struct symbol_hit symbol;
	bool has_symbol = symbols && symbols_find(symbols, question->address, &symbol);

	if (function) {
		if (has_symbol && is_more_exact(&symbol, function))
			set_function(module, ret, symbol.start, symbol.name, symbol.length);
		else
			set_function(module, ret, function->start, function->name, strlen(function->name));
	} else if (has_symbol && (!go || is_before_go(module, &symbol)) &&
		   is_within_fde(module, &symbol, question->offset)) {
		set_function(module, ret, symbol.start, symbol.name, symbol.length);
	} else if (go) {
		ret->start = go->start;
		ret->function_length =
			text_sanitize(go->name, go->length, ret->function, sizeof(ret->function));
	} else {
		fde = find_fde(module, question->offset);
		if (fde) {
			ret->start = fde->address;
			ret->flags = NAME_FDE;
		}
	}
}

static void set_line(struct module_name *name, const char *file, size_t length, uint32_t line)
{
	name->line = line;
	name->file_length = text_sanitize(file, length, name->file, sizeof(name->file));
}

static void clear_name(struct module_name *name, uint64_t start)
{
	name->start = start;
	name->line = 0;
	name->flags = 0;
	name->function_length = name->file_length = 0;
}

/* Returns false when the offset is no address of the file. */
static bool look_up(struct module *module, uint64_t offset, struct question *ret)
{
	struct debug *debug = get_debug(module);

	ret->offset = ret->address = offset;
	if (module->kind == MODULE_KIND_ADDRESSES) {
		if (!segments_to_offset(&module->segments, offset, &ret->offset))
			ret->offset = UINT64_MAX;
	} else if (!segments_to_address(&module->segments, offset, &ret->address)) {
		return false;
	}
	ret->has_go = pclntab_find(&module->pclntab, ret->address, &ret->go);
	ret->level_count = debug ? debug_find_levels(debug, ret->address, ret->levels, NAME_LEVELS_MAX) : 0;
	return true;
}

/* The line of the instruction itself. */
static void name_line(struct module *module, const struct question *question, struct module_name *ret)
{
	const struct debug_level *innermost = question->level_count ? question->levels : NULL;
	struct pclntab_line go_line;
	struct debug_line line;

	if (innermost && innermost->file)
		set_line(ret, innermost->file, SIZE_MAX, innermost->line);
	else if (!innermost && module->debug && debug_find_line(module->debug, question->address, &line))
		set_line(ret, line.file, SIZE_MAX, line.line);
	else if (question->has_go &&
		 pclntab_find_line(&module->pclntab, &question->go, question->address, &go_line))
		set_line(ret, go_line.file, go_line.length, go_line.line);
}

static void name_inlined(struct module *module, const struct debug_level *level, struct module_name *ret)
{
	clear_name(ret, level->function.start);
	ret->flags = NAME_INLINED;
	set_function(module, ret, level->function.start, level->function.name, strlen(level->function.name));
	if (level->file)
		set_line(ret, level->file, SIZE_MAX, level->line);
}

static void name_kernel(struct module *module, uint64_t offset, struct module_name *ret)
{
	/* A frame holds the low 48 bits of the address; bit 47 is the sign. */
	uint64_t address =
		(uint64_t)((int64_t)(offset << (64 - FRAME_OFFSET_BITS)) >> (64 - FRAME_OFFSET_BITS));
	struct symbol_hit symbol;

	ret->start = address;
	if (kernel_symbols_find(module->kernel, address, &symbol))
		set_function(module, ret, symbol.start, symbol.name, symbol.length);
}

/* Of user code the low 48 bits are the address. */
static void name_jit(struct module *module, uint64_t address, struct module_name *ret)
{
	struct jit_name name;

	if (!jit_find(module->jit, address, &name))
		return;
	ret->start = name.start;
	ret->function_length =
		text_sanitize(name.function, name.function_length, ret->function, sizeof(ret->function));
	if (name.line)
		set_line(ret, name.file, name.file_length, name.line);
}

/* Everything that is no ELF file. */
static void name_other(struct module *module, uint64_t offset, struct module_name *ret)
{
	clear_name(ret, offset);
	if (module->kernel)
		name_kernel(module, offset, ret);
	else if (module->jit)
		name_jit(module, offset, ret);
}

void module_list_levels(struct module *module, uint64_t offset, struct module_name *scratch,
			void (*emit)(void *arg, const struct module_name *level), void *arg)
{
	const struct debug_level *outermost;
	struct question question;
	struct info_message info;

	module_open(module, &info);
	if (!module->elf || !look_up(module, offset, &question)) {
		name_other(module, offset, scratch);
		emit(arg, scratch);
		return;
	}
	for (size_t i = 0; i + 1 < question.level_count; i++) {
		name_inlined(module, &question.levels[i], scratch);
		emit(arg, scratch);
	}
	clear_name(scratch, question.address);
	name_function(module, &question, scratch);
	outermost = question.level_count ? &question.levels[question.level_count - 1] : NULL;
	if (question.level_count <= 1)
		name_line(module, &question, scratch);
	else if (outermost->file)
		set_line(scratch, outermost->file, SIZE_MAX, outermost->line);
	emit(arg, scratch);
}

void module_name_offset(struct module *module, uint64_t offset, struct module_name *ret)
{
	struct question question;
	struct info_message info;

	module_open(module, &info);
	if (!module->elf || !look_up(module, offset, &question)) {
		name_other(module, offset, ret);
		return;
	}
	clear_name(ret, question.address);
	name_function(module, &question, ret);
	name_line(module, &question, ret);
}

/* ---- parts ---- */

bool module_get_parts(struct module *module, struct module_parts *ret)
{
	struct info_message info;

	module_open(module, &info);
	if (!module->elf)
		return false;
	*ret = (struct module_parts){
		.elf = module->elf,
		.segments = &module->segments,
		.symbols = get_symbols(module),
		.debug = get_debug(module),
		.pclntab = &module->pclntab,
	};
	return true;
}

const struct cfi_fde *module_find_fde(struct module *module, uint64_t offset)
{
	return find_fde(module, offset);
}

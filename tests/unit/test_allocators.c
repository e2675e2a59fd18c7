/* Proposals for real libraries and for ones made here, whose symbols and jumps are tricky, against what nm
 * says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "bpf/heap_events.h"
#include "symbolizer/allocator_names.h"
#include "symbolizer/allocators.h"
#include "tests/support/hooks_check.h"
#include "tests/support/library.h"

#include <fcntl.h>
#include <string.h>

/* Expected instead of a kind. */
#define WRAPPER	   0
#define FLAG(flag) ((flag) << 8)
#define THROWS	   (HEAP_MALLOC | FLAG(HOOK_THROWS))
#define KIND_MASK  0xffu

static struct hooks_message *find(const struct library *library)
{
	_cleanup_close_ int fd = open(library->path, O_RDONLY | O_CLOEXEC);
	struct hooks_message *message = NULL;

	assert_true(fd >= 0);
	assert_null(allocators_find(fd, &message));
	assert_non_null(message);
	return message;
}

struct expected {
	const char *symbol;
	uint32_t kind;	   /* | FLAG() */
	const char *shown; /* NULL: as the symbol */
};

/* The proposal for the function that nm calls so. */
static const struct hook_proposal *assert_proposal(const struct hooks_message *message,
						   const struct library *library, bool is_dynamic,
						   const struct expected *expected)
{
	uint32_t kind = expected->kind & KIND_MASK, flags = kind ? expected->kind >> 8 : HOOK_WRAPPER;
	uint64_t start = 0, length = 0;

	if (!library_nm(library, is_dynamic, expected->symbol, &start, &length))
		fail_msg("nm: no %s in %s", expected->symbol, library->path);
	for (uint32_t i = 0; i < message->count; i++) {
		const struct hook_proposal *proposal = &message->proposals[i];

		if (proposal->start != start || proposal->kind != kind)
			continue;
		if (proposal->flags != flags)
			fail_msg("%s: flags %x, not %x", expected->symbol, proposal->flags, flags);
		return proposal;
	}
	fail_msg("%s: no proposal of kind %u for %s at %lx", library->path, kind, expected->symbol, start);
	return NULL;
}

/* All of them, at their places, and nothing else. */
static void assert_proposals(const struct library *library, const struct expected *expected, size_t count,
			     size_t distinct)
{
	_cleanup_free_ struct hooks_message *message = find(library);
	uint64_t start, length = 0;

	assert_null(hooks_check_message(message));
	for (size_t i = 0; i < count; i++) {
		const struct hook_proposal *proposal = assert_proposal(message, library, true, &expected[i]);

		assert_string_equal(proposal->name, expected[i].shown ?: expected[i].symbol);
		assert_true(library_nm(library, true, expected[i].symbol, &start, &length));
		assert_int_equal(proposal->length, length);
	}
	assert_int_equal(message->count, distinct);
	assert_int_equal(message->is_go, 0);
}

#define ASSERT_PROPOSALS(library, expected, distinct)                                                        \
	assert_proposals(library, expected, sizeof(expected) / sizeof(*(expected)), distinct)

/* ---- real libraries ---- */

static void locate(const char *name, struct library *ret)
{
	if (library_locate(name, ret))
		return;
	print_message("skipped: %s is not installed\n", name);
	skip();
}

static void test_libc(void **state)
{
	static const struct expected expected[] = {
		{"malloc", HEAP_MALLOC, NULL},
		{"valloc", HEAP_MALLOC, NULL},
		{"pvalloc", HEAP_MALLOC, NULL},
		{"calloc", HEAP_CALLOC, NULL},
		{"realloc", HEAP_REALLOC, NULL},
		{"reallocarray", HEAP_REALLOCARRAY, NULL},
		{"memalign", HEAP_MEMALIGN, NULL},
		{"aligned_alloc", HEAP_MEMALIGN, "memalign"}, /* aliases */
		{"posix_memalign", HEAP_POSIX_MEMALIGN, NULL},
		{"free", HEAP_FREE, NULL},
		{"cfree", HEAP_FREE, "free"},
	};

	struct library library;

	library_locate_libc(&library);
	ASSERT_PROPOSALS(&library, expected, 9);
}

/* Its plain operator delete is "jmp free", its operator new[] "jmp operator new", and operator new with an
 * alignment calls aligned_alloc, partly through the PLT; the rest has ways of its own. */
static void test_jemalloc(void **state)
{
	static const struct expected expected[] = {
		{"malloc", HEAP_MALLOC, NULL},
		{"valloc", HEAP_MALLOC, NULL},
		{"calloc", HEAP_CALLOC, NULL},
		{"realloc", HEAP_REALLOC, NULL},
		{"memalign", HEAP_MEMALIGN, NULL},
		{"aligned_alloc", HEAP_MEMALIGN, NULL},
		{"posix_memalign", HEAP_POSIX_MEMALIGN, NULL},
		{"free", HEAP_FREE, NULL},
		{"_Znwm", THROWS, "operator new"},
		{"_ZnwmRKSt9nothrow_t", HEAP_MALLOC, "operator new"},
		{"_ZnwmSt11align_val_t", WRAPPER, "operator new"},
		{"_ZnwmSt11align_val_tRKSt9nothrow_t", WRAPPER, "operator new"},
		{"_Znam", WRAPPER, "operator new[]"},
		{"_ZnamRKSt9nothrow_t", WRAPPER, "operator new[]"},
		{"_ZnamSt11align_val_t", WRAPPER, "operator new[]"},
		{"_ZnamSt11align_val_tRKSt9nothrow_t", WRAPPER, "operator new[]"},
		{"_ZdlPv", WRAPPER, "operator delete"},
		{"_ZdlPvRKSt9nothrow_t", WRAPPER, "operator delete"},
		{"_ZdlPvSt11align_val_t", WRAPPER, "operator delete"},
		{"_ZdlPvSt11align_val_tRKSt9nothrow_t", WRAPPER, "operator delete"},
		{"_ZdlPvm", HEAP_FREE, "operator delete"},
		{"_ZdlPvmSt11align_val_t", HEAP_FREE, "operator delete"},
		{"_ZdaPv", WRAPPER, "operator delete[]"},
		{"_ZdaPvRKSt9nothrow_t", WRAPPER, "operator delete[]"},
		{"_ZdaPvSt11align_val_t", WRAPPER, "operator delete[]"},
		{"_ZdaPvSt11align_val_tRKSt9nothrow_t", WRAPPER, "operator delete[]"},
		{"_ZdaPvm", HEAP_FREE, "operator delete[]"},
		{"_ZdaPvmSt11align_val_t", HEAP_FREE, "operator delete[]"},
	};
	struct library library;

	locate("libjemalloc.so.2", &library);
	ASSERT_PROPOSALS(&library, expected, 28);
}

/* Its operators do not pass through malloc, and new[] is new. */
static void test_tcmalloc(void **state)
{
	static const struct expected expected[] = {
		{"malloc", HEAP_MALLOC, NULL},
		{"valloc", HEAP_MALLOC, NULL},
		{"pvalloc", HEAP_MALLOC, NULL},
		{"calloc", HEAP_CALLOC, NULL},
		{"realloc", HEAP_REALLOC, NULL},
		{"memalign", HEAP_MEMALIGN, NULL},
		{"aligned_alloc", HEAP_MEMALIGN, "memalign"},
		{"posix_memalign", HEAP_POSIX_MEMALIGN, NULL},
		{"free", HEAP_FREE, NULL},
		{"cfree", HEAP_FREE, "free"},
		{"_ZdlPv", HEAP_FREE, "free"},
		{"_ZdaPv", HEAP_FREE, "free"},
		{"_ZdlPvm", HEAP_FREE, "operator delete"},
		{"_ZdaPvm", HEAP_FREE, "operator delete"},
		{"_ZdlPvRKSt9nothrow_t", HEAP_FREE, "operator delete"},
		{"_ZdlPvSt11align_val_t", HEAP_FREE, "operator delete"},
		{"_ZdlPvmSt11align_val_t", HEAP_FREE, "operator delete"},
		{"_ZdlPvSt11align_val_tRKSt9nothrow_t", HEAP_FREE, "operator delete"},
		{"_Znwm", THROWS, "operator new"},
		{"_Znam", THROWS, "operator new"},
		{"_ZnwmRKSt9nothrow_t", HEAP_MALLOC, "operator new"},
		{"_ZnwmSt11align_val_t", THROWS, "operator new"},
		{"_ZnwmSt11align_val_tRKSt9nothrow_t", HEAP_MALLOC, "operator new"},
	};
	struct library library;

	locate("libtcmalloc_minimal.so.4", &library);
	ASSERT_PROPOSALS(&library, expected, 17);
}

static void test_mimalloc(void **state)
{
	static const struct expected expected[] = {
		{"malloc", HEAP_MALLOC, NULL},
		{"calloc", HEAP_CALLOC, NULL},
		{"realloc", HEAP_REALLOC, NULL},
		{"reallocarray", HEAP_REALLOCARRAY, NULL},
		{"posix_memalign", HEAP_POSIX_MEMALIGN, NULL},
		{"aligned_alloc", HEAP_MEMALIGN, NULL},
		{"free", HEAP_FREE, NULL},
		{"_ZdlPv", HEAP_FREE, "free"},
		{"_Znwm", THROWS, "operator new"},
		{"cfree", WRAPPER, NULL},
		{"_ZdlPvm", WRAPPER, "operator delete"},
		{"_ZdaPvmSt11align_val_t", WRAPPER, "operator delete[]"},
	};
	_cleanup_free_ struct hooks_message *message = NULL;
	struct library library;

	locate("libmimalloc.so.2", &library);
	message = find(&library);
	assert_null(hooks_check_message(message));
	for (size_t i = 0; i < sizeof(expected) / sizeof(*expected); i++)
		assert_proposal(message, &library, true, &expected[i]);
}

/* It allocates with somebody else's malloc: its eight operators new are only ranges. */
static void test_libstdcxx(void **state)
{
	static const struct expected expected[] = {
		{"_Znwm", WRAPPER, "operator new"},
		{"_ZnwmRKSt9nothrow_t", WRAPPER, "operator new"},
		{"_ZnwmSt11align_val_t", WRAPPER, "operator new"},
		{"_ZnwmSt11align_val_tRKSt9nothrow_t", WRAPPER, "operator new"},
		{"_Znam", WRAPPER, "operator new[]"},
		{"_ZnamRKSt9nothrow_t", WRAPPER, "operator new[]"},
		{"_ZnamSt11align_val_t", WRAPPER, "operator new[]"},
		{"_ZnamSt11align_val_tRKSt9nothrow_t", WRAPPER, "operator new[]"},
	};
	struct library library;

	locate("libstdc++.so.6", &library);
	ASSERT_PROPOSALS(&library, expected, 8);
}

static void test_library_without_allocator(void **state)
{
	_cleanup_free_ struct hooks_message *message = NULL;
	struct library library;

	locate("libm.so.6", &library);
	message = find(&library);
	assert_int_equal(message->count, 0);
	assert_int_equal(message->is_go, 0);
}

/* ---- libraries made here ---- */

#define CODE "push %rbx\nmov %rdi,%rbx\nmov $0,%eax\npop %rbx\nret"

struct made {
	struct library library;
	struct hooks_message *message;
};

static void make(const struct library_function *functions, const char *before, struct made *ret)
{
	library_assemble(functions, before, &ret->library);
	ret->message = find(&ret->library);
	assert_null(hooks_check_message(ret->message));
}

static void destroy(struct made *made)
{
	free(made->message);
	library_remove(&made->library);
}

static const struct hook_proposal *assert_made(const struct made *made, const char *symbol, uint32_t kind)
{
	return assert_proposal(made->message, &made->library, false, &(struct expected){symbol, kind, NULL});
}

/* `free` is in the middle of a function, and of an instruction. */
static void test_lying_symbol(void **state)
{
	static const struct library_function functions[] = {
		{"malloc", CODE},
		{"victim", "push %rbx\n.byte 0x48\n.globl free\n.type free,@function\nfree:\n"
			   ".byte 0xc7,0xc0,0x55,0x55,0x55,0x55\n.size free,.-free\npop %rbx\nret"},
		{NULL, NULL},
	};
	struct made made;

	make(functions, NULL, &made);
	assert_int_equal(made.message->count, 2);
	assert_made(&made, "malloc", HEAP_MALLOC);
	assert_string_equal(assert_made(&made, "free", HEAP_FREE | FLAG(HOOK_LIES))->name, "free");
	destroy(&made);
}

/* The same where no function is at all; and a malloc that lies makes no allocator of the module. */
static void test_symbol_between_functions(void **state)
{
	static const struct library_function functions[] = {
		{"other", ".skip 256,0x90\n" CODE},
		{"_Znwm", CODE},
		{"_ZdlPv", CODE},
		{NULL, NULL},
	};
	struct made made;

	make(functions, ".globl malloc\n.type malloc,@function\nmalloc: " CODE "\n.size malloc,.-malloc\n",
	     &made);
	assert_int_equal(made.message->count, 2);
	assert_made(&made, "malloc", HEAP_MALLOC | FLAG(HOOK_LIES));
	assert_made(&made, "_Znwm", WRAPPER);
	destroy(&made);
}

/* Without unwind information nobody says where functions begin: the probe's own decoding must do. */
static void test_without_fdes(void **state)
{
	static const struct library_function none[] = {{NULL, NULL}};
	struct made made;

	make(none,
	     ".globl malloc\n.type malloc,@function\nmalloc: " CODE "\n.size malloc,.-malloc\n"
	     ".globl free\n.type free,@function\nfree: " CODE "\n",
	     &made);
	assert_int_equal(made.message->count, 2);
	assert_int_equal(assert_made(&made, "malloc", HEAP_MALLOC)->length, 11);
	destroy(&made);
}

/* musl: a few functions of libgcc have FDEs, the rest has none. What they do cover they still speak for. */
static void test_with_few_fdes(void **state)
{
	static const struct library_function functions[] = {
		{"of_libgcc", "push %rbx\n.globl free\n.type free,@function\nfree: ret\n.size free,1"},
		{NULL, NULL},
	};
	struct made made;

	make(functions,
	     ".globl malloc\n.type malloc,@function\nmalloc: " CODE
	     "\n.skip 256,0x90\n.size malloc,.-malloc\n",
	     &made);
	assert_int_equal(made.message->count, 2);
	assert_made(&made, "malloc", HEAP_MALLOC);
	assert_made(&made, "free", HEAP_FREE | FLAG(HOOK_LIES));
	destroy(&made);
}

static void test_what_is_no_function_of_ours(void **state)
{
	static const struct library_function functions[] = {
		{"malloc", CODE}, {"mallocx", CODE},	   {"xmalloc", CODE}, {"mallo", CODE},
		{"_Znw", CODE},	  {"__libc_malloc", CODE}, {NULL, NULL},
	};
	static const char before[] =
		/* It chooses a function, and is none. */
		".globl calloc\n.type calloc,@gnu_indirect_function\ncalloc: ret\n.size calloc,1\n"
		/* Nobody else can call it. */
		".type free,@function\nfree: ret\n.size free,1\n"
		/* Data among code, code among data, a number; and what is only used. */
		".globl valloc\n.type valloc,@object\nvalloc: ret\n.size valloc,1\n"
		".globl memalign\n.type memalign,@function\nmemalign = 0x1000\n"
		".data\n.globl realloc\n.type realloc,@function\nrealloc: .quad 1\n.size realloc,8\n"
		".quad pvalloc\n.text\n";
	struct made made;

	make(functions, before, &made);
	assert_int_equal(made.message->count, 1);
	assert_made(&made, "malloc", HEAP_MALLOC);
	destroy(&made);
}

static void test_aliases(void **state)
{
	static const struct library_function functions[] = {
		{"malloc", CODE}, {"_ZnwmSt11align_val_t", CODE}, {NULL, NULL}};
	static const char before[] =
		".globl _Znwm\n.type _Znwm,@function\n_Znwm = malloc\n.size _Znwm,11\n"
		".globl _ZnamRKSt9nothrow_t\n.type _ZnamRKSt9nothrow_t,@function\n"
		"_ZnamRKSt9nothrow_t = _ZnwmSt11align_val_t\n.size _ZnamRKSt9nothrow_t,11\n"
		/* The same place, but another kind: the probe decides. */
		".weak free\n.type free,@function\nfree = malloc\n.size free,11\n";
	struct made made;

	make(functions, before, &made);
	assert_int_equal(made.message->count, 3);
	/* The name of C goes before, and nothing throws there. */
	assert_string_equal(assert_made(&made, "_Znwm", HEAP_MALLOC)->name, "malloc");
	assert_made(&made, "free", HEAP_FREE);
	/* Among operators the one that throws counts. */
	assert_made(&made, "_ZnamRKSt9nothrow_t", THROWS);
	destroy(&made);
}

/* Functions that are only a jump are counted where they jump to. */
static void test_jumps(void **state)
{
	static const struct library_function functions[] = {
		{"malloc", CODE},
		{"free", CODE},
		{"aligned_alloc", CODE},
		/* Wrappers: by PLT, GOT, directly, near, with other arguments moved, over two more hops. */
		{"_ZdlPv", "jmp free@PLT"},
		{"_ZdaPv", "endbr64\njmp *free@GOTPCREL(%rip)"},
		{"_ZdlPvSt11align_val_t", "endbr64\nbnd jmp local_free"},
		{"cfree", ".byte 0xeb\n.byte local_cfree-1f\n1:"},
		{"_ZdaPvmSt11align_val_t", "mov %rdx,%rsi\nxor %ecx,%ecx\njmp _ZdaPv@PLT"},
		{"_Znam", "jmp _Znwm@PLT"},
		{"_ZdaPvSt11align_val_t", "jmp sized@PLT"},
		{"sized", "endbr64\njmp local_free"},
		/* Not theirs: another kind, another block, a jump within, a name of nobody, not at once. */
		{"_ZdlPvm", "jmp malloc@PLT"},
		{"_ZdaPvm", "mov %rsi,%rdi\njmp local_free"},
		{"_Znwm", "jmp 1f\n1: ret"},
		{"valloc", "jmp nobody@PLT"},
		{"realloc", "push %rax\njmp inside"},
		{"inside", ".globl local_cfree\n.hidden local_cfree\nlocal_cfree = free\n" CODE},
		/* Its second argument counts. */
		{"memalign", "xor %esi,%esi\njmp aligned_alloc@PLT"},
		/* To itself; into a ring. */
		{"_ZdaPvRKSt9nothrow_t", "1: jmp 1b"},
		{"_ZdlPvRKSt9nothrow_t", "jmp ring@PLT"},
		{"ring", "jmp other_ring@PLT"},
		{"other_ring", "jmp ring@PLT"},
		{NULL, NULL},
	};
	static const char *const wrappers[] = {"_ZdlPv",
					       "_ZdaPv",
					       "_ZdlPvSt11align_val_t",
					       "cfree",
					       "_ZdaPvmSt11align_val_t",
					       "_Znam",
					       "_ZdaPvSt11align_val_t"};
	static const char *const frees[] = {"free", "_ZdlPvm", "_ZdaPvm", "_ZdaPvRKSt9nothrow_t",
					    "_ZdlPvRKSt9nothrow_t"};
	struct made made;

	make(functions,
	     ".globl local_free\n.hidden local_free\n.type local_free,@function\nlocal_free = free\n", &made);
	assert_int_equal(made.message->count, 18);
	for (size_t i = 0; i < sizeof(wrappers) / sizeof(*wrappers); i++)
		assert_made(&made, wrappers[i], WRAPPER);
	for (size_t i = 0; i < sizeof(frees) / sizeof(*frees); i++)
		assert_made(&made, frees[i], HEAP_FREE);
	assert_made(&made, "malloc", HEAP_MALLOC);
	assert_made(&made, "_Znwm", THROWS);
	assert_made(&made, "valloc", HEAP_MALLOC);
	assert_made(&made, "realloc", HEAP_REALLOC);
	assert_made(&made, "memalign", HEAP_MEMALIGN);
	assert_made(&made, "aligned_alloc", HEAP_MEMALIGN);
	destroy(&made);
}

/* Operator new that has a way around malloc must keep its trap. */
static void test_calls(void **state)
{
	static const struct library_function functions[] = {
		{"malloc", CODE},
		{"free", CODE},
		{"other", CODE},
		{"_Znwm", "push %rbx\ncall malloc@PLT\npop %rbx\nret"},
		{"_ZnamRKSt9nothrow_t", "push %rbx\ncall _Znwm@PLT\npop %rbx\nret"},
		{"_Znam", "push %rbx\ncall other@PLT\ncall malloc@PLT\npop %rbx\nret"},
		{"_ZnwmRKSt9nothrow_t", "push %rbx\nmov %fs:0,%rax\ncall malloc@PLT\npop %rbx\nret"},
		{"_ZnwmSt11align_val_t", "push %rbx\ncall free@PLT\npop %rbx\nret"},
		{"_ZnamSt11align_val_t", "push %rbx\n.skip 256,0x90\ncall malloc@PLT\npop %rbx\nret"},
		/* Of a free nobody knows whether it always comes there. */
		{"_ZdlPv", "push %rbx\ncall free@PLT\npop %rbx\nret"},
		{NULL, NULL},
	};
	struct made made;

	make(functions, NULL, &made);
	assert_made(&made, "_Znwm", WRAPPER);
	assert_made(&made, "_ZnamRKSt9nothrow_t", WRAPPER);
	assert_made(&made, "_Znam", THROWS);
	assert_made(&made, "_ZnwmRKSt9nothrow_t", HEAP_MALLOC);
	assert_made(&made, "_ZnwmSt11align_val_t", THROWS);
	assert_made(&made, "_ZnamSt11align_val_t", THROWS);
	assert_made(&made, "_ZdlPv", HEAP_FREE);
	destroy(&made);
}

#define UNSIZED(name)                                                                                        \
	".p2align 4\n.globl " name "\n.type " name ",@function\n" name ":\n.cfi_startproc\n" CODE            \
	"\n.cfi_endproc\n"

/* A symbol's size is believed as far as its FDE goes; without one the FDE says it. */
static void test_lengths(void **state)
{
	static const struct library_function none[] = {{NULL, NULL}};
	struct made made;

	make(none,
	     UNSIZED("malloc") ".size malloc,0x100000\n" UNSIZED("realloc") ".size realloc,5\n" UNSIZED(
		     "calloc"),
	     &made);
	assert_int_equal(made.message->count, 3);
	assert_int_equal(assert_made(&made, "malloc", HEAP_MALLOC)->length, 11);
	assert_int_equal(assert_made(&made, "realloc", HEAP_REALLOC)->length, 5);
	/* nm shows no symbol without a size. */
	assert_int_equal(made.message->proposals[2].kind, HEAP_CALLOC);
	assert_int_equal(made.message->proposals[2].length, 11);
	destroy(&made);
}

static void test_go(void **state)
{
	static const struct library_function malloc_only[] = {{"malloc", CODE}, {NULL, NULL}};
	static const char *const sections[] = {".gopclntab", ".go.buildinfo"};
	struct made made;

	for (size_t i = 0; i < sizeof(sections) / sizeof(*sections); i++) {
		char before[100];

		snprintf(before, sizeof(before), ".section %s,\"a\"\n.quad 1\n.text\n", sections[i]);
		make(malloc_only + !i, before, &made);
		assert_int_equal(made.message->is_go, 1);
		assert_int_equal(made.message->count, i);
		destroy(&made);
	}
	make(malloc_only, ".section .gopclntabs,\"a\"\n.quad 1\n.text\n", &made);
	assert_int_equal(made.message->is_go, 0);
	destroy(&made);
	/* The linker of C would merge this one with another section. */
	assert_true(library_compile("gcc -c -x assembler", ".section .data.rel.ro.gopclntab,\"a\"\n.quad 1\n",
				    &made.library));
	made.message = find(&made.library);
	assert_int_equal(made.message->is_go, 1);
	destroy(&made);
}

static void make_static(const char *compiler, const char *source, struct made *ret)
{
	if (!library_compile(compiler, source, &ret->library)) {
		print_message("skipped: \"%s\" cannot link here\n", compiler);
		skip();
	}
	ret->message = find(&ret->library);
	assert_null(hooks_check_message(ret->message));
}

/* Its allocator is in .symtab only. */
static void test_static_program(void **state)
{
	struct made made;

	make_static(
		"gcc -static -x c",
		"#include <stdlib.h>\nint main(int n, char **v) { free(calloc(n, 1)); return !malloc(n); }\n",
		&made);
	assert_made(&made, "malloc", HEAP_MALLOC);
	assert_made(&made, "calloc", HEAP_CALLOC);
	assert_made(&made, "realloc", HEAP_REALLOC);
	assert_made(&made, "free", HEAP_FREE);
	destroy(&made);
}

/* libstdc++ beside malloc: its operators all end there, new by a call, delete by jumps. */
static void test_static_cxx_program(void **state)
{
	static const char *const wrappers[] = {
		"_Znwm",  "_Znam",   "_ZnwmRKSt9nothrow_t",   "_ZdlPv",
		"_ZdaPv", "_ZdlPvm", "_ZdlPvSt11align_val_t", "_ZdlPvmSt11align_val_t"};
	static const char source[] = "#include <new>\nstruct alignas(64) wide { char bytes[64]; };\n"
				     "void *volatile kept;\n"
				     "int main() {\n"
				     "int *a = new int; kept = a; delete a;\n"
				     "int *b = new int[9]; kept = b; delete[] b;\n"
				     "wide *c = new wide; kept = c; delete c;\n"
				     "kept = new (std::nothrow) int;\n"
				     "return 0; }\n";
	struct made made;

	make_static("g++ -static -std=c++17 -x c++", source, &made);
	assert_made(&made, "malloc", HEAP_MALLOC);
	assert_made(&made, "free", HEAP_FREE);
	for (size_t i = 0; i < sizeof(wrappers) / sizeof(*wrappers); i++)
		assert_made(&made, wrappers[i], WRAPPER);
	/* It calls something else first. */
	assert_made(&made, "_ZnwmSt11align_val_t", THROWS);
	destroy(&made);
}

/* ---- names ---- */

static void test_names(void **state)
{
	static const char *const others[] = {"",   "m",	    "mallo", "mallocx", "Malloc",
					     "_Z", "_Znwj", "zfree", "@malloc"};
	const struct allocator_name *name;

	assert_int_equal(allocator_name_find("malloc", 6)->kind, HEAP_MALLOC);
	assert_int_equal(allocator_name_find("malloc", SIZE_MAX)->kind, HEAP_MALLOC);
	assert_int_equal(allocator_name_find("malloc@@GLIBC_2.2.5", SIZE_MAX)->kind, HEAP_MALLOC);
	assert_int_equal(allocator_name_find("freely", 4)->kind, HEAP_FREE);
	name = allocator_name_find("_ZnamSt11align_val_tRKSt9nothrow_t@@CXXABI_1.3.11", SIZE_MAX);
	assert_int_equal(name->kind, HEAP_MALLOC);
	assert_string_equal(name->shown, "operator new[]");
	assert_true(name->is_operator);
	assert_false(name->throws);
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		assert_null(allocator_name_find(others[i], strlen(others[i])));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_libc),
		cmocka_unit_test(test_jemalloc),
		cmocka_unit_test(test_tcmalloc),
		cmocka_unit_test(test_mimalloc),
		cmocka_unit_test(test_libstdcxx),
		cmocka_unit_test(test_library_without_allocator),
		cmocka_unit_test(test_lying_symbol),
		cmocka_unit_test(test_symbol_between_functions),
		cmocka_unit_test(test_without_fdes),
		cmocka_unit_test(test_with_few_fdes),
		cmocka_unit_test(test_what_is_no_function_of_ours),
		cmocka_unit_test(test_aliases),
		cmocka_unit_test(test_jumps),
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_go),
		cmocka_unit_test(test_static_program),
		cmocka_unit_test(test_static_cxx_program),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

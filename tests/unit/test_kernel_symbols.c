/* kallsyms text into names: a handmade one, damaged ones, and as root the real one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "symbolizer/kernel.h"
#include "symbolizer/modules.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char text[] = "0000000000000000 A fixed_percpu_data\n"
			   "0000000000001000 A not_code\n"
			   "ffffffff81000000 T _stext\n"
			   "ffffffff81000000 T _text\n"
			   "ffffffff81000000 T startup_64\n"
			   "ffffffff81000100 t local_one\n"
			   "ffffffff81000100 W weak_one\n"
			   "ffffffff81000180 t a_function.isra.0\n"
			   "ffffffff81000200 D some_data\n"
			   "ffffffff81000300 T last_of_text\n"
			   "ffffffffc0001000 t in_module\t[ext4]\n"
			   "ffffffffc0000000 t earlier\t[ext4]\n"
			   "nonsense\n"
			   "ffffffff8100\n"
			   "fffffffffffffffffffff T too_long\n"
			   "ffffffffc0002000 T \n"
			   "ffffffffc0003000 T last";

static int make_text(const void *bytes, size_t length)
{
	int fd = memfd_create("kallsyms", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, length), (ssize_t)length);
	return fd;
}

static void expect(const struct kernel_symbols *symbols, uint64_t address, const char *name, uint64_t start)
{
	struct symbol_hit hit;

	if (!name) {
		assert_false(kernel_symbols_find(symbols, address, &hit));
		return;
	}
	assert_true(kernel_symbols_find(symbols, address, &hit));
	assert_int_equal(hit.length, strlen(name));
	assert_memory_equal(hit.name, name, hit.length);
	assert_true(hit.start == start);
}

static void test_find(void **state)
{
	_cleanup_close_ int fd = make_text(text, sizeof(text) - 1);
	struct kernel_symbols *symbols;

	assert_null(kernel_symbols_create(fd, &symbols));
	expect(symbols, 0xffffffff80ffffff, NULL, 0);
	expect(symbols, 0x1000, NULL, 0);
	expect(symbols, 0xffffffff81000000, "startup_64", 0xffffffff81000000);
	expect(symbols, 0xffffffff810000ff, "startup_64", 0xffffffff81000000);
	expect(symbols, 0xffffffff81000100, "weak_one", 0xffffffff81000100);
	expect(symbols, 0xffffffff81000181, "a_function.isra.0", 0xffffffff81000180);
	expect(symbols, 0xffffffff81000200, NULL, 0);
	expect(symbols, 0xffffffff81000300, "last_of_text", 0xffffffff81000300);
	expect(symbols, 0xffffffff82000300, NULL, 0);
	expect(symbols, 0xffffffffc0000fff, "earlier", 0xffffffffc0000000);
	expect(symbols, 0xffffffffc0001001, "in_module", 0xffffffffc0001000);
	expect(symbols, 0xffffffffc0003fff, "last", 0xffffffffc0003000);
	expect(symbols, 0xffffffffc0004000, NULL, 0);
	expect(symbols, UINT64_MAX, NULL, 0);
	kernel_symbols_destroy(symbols);
}

static void test_hidden(void **state)
{
	static const char hidden[] = "0000000000000000 T _stext\n0000000000000000 T do_syscall_64\n";
	_cleanup_close_ int fd = make_text(hidden, sizeof(hidden) - 1), empty = make_text("", 0);
	struct kernel_symbols *symbols;
	struct error *error = kernel_symbols_create(fd, &symbols);

	assert_non_null(error);
	assert_non_null(strstr(error_get_message(error), "kptr_restrict"));
	error_destroy(error);
	error = kernel_symbols_create(empty, &symbols);
	assert_non_null(error);
	error_destroy(error);
}

static void test_damaged(void **state)
{
	char bytes[sizeof(text)];

	srandom(3);
	for (int round = 0; round < 2000; round++) {
		size_t length = (size_t)random() % sizeof(text);
		struct kernel_symbols *symbols;
		_cleanup_close_ int fd = -1;
		struct symbol_hit hit;
		struct error *error;

		memcpy(bytes, text, sizeof(text));
		for (int i = 0; i < 5; i++)
			bytes[(size_t)random() % sizeof(text)] = (char)random();
		fd = make_text(bytes, length);
		error = kernel_symbols_create(fd, &symbols);
		if (error) {
			error_destroy(error);
			continue;
		}
		for (uint64_t address = 0xffffffff81000000; address < 0xffffffff81000400; address += 0x40) {
			if (kernel_symbols_find(symbols, address, &hit))
				assert_true(hit.length > 0 && hit.start <= address);
		}
		kernel_symbols_destroy(symbols);
	}
}

/* Through the module: 48 bits of an address come back as a kernel address; hostile names are made safe. */
static void test_module(void **state)
{
	static const char hostile[] = "ffffffff81000000 T evil\033[31m\n0000700000000000 T low\n";
	struct symbolizer_modules *modules;
	struct module_name name;
	struct info_message info;

	assert_null(symbolizer_modules_create(&modules));
	assert_null(symbolizer_modules_add(modules, 1, MODULE_KIND_KERNEL,
					   make_text(hostile, sizeof(hostile) - 1)));
	module_open(symbolizer_modules_find(modules, 1), &info);
	assert_int_equal(info.symbols, SYMBOLS_MINIMAL);
	assert_string_equal(info.why, "");
	module_name_offset(symbolizer_modules_find(modules, 1), 0xffff81000010, &name);
	assert_string_equal(name.function, "evil?[31m");
	assert_true(name.start == 0xffffffff81000000);
	module_name_offset(symbolizer_modules_find(modules, 1), 0x700000000000, &name);
	assert_string_equal(name.function, "low");
	module_name_offset(symbolizer_modules_find(modules, 1), 0xffff91000010, &name);
	assert_int_equal(name.function_length, 0);
	assert_true(name.start == 0xffffffff91000010);
	symbolizer_modules_destroy(modules);
}

static void test_real(void **state)
{
	_cleanup_close_ int source = open("/proc/kallsyms", O_RDONLY | O_CLOEXEC), fd = -1;
	_cleanup_free_ char *buffer = malloc(1 << 20);
	struct kernel_symbols *symbols;
	struct symbol_hit hit;
	unsigned long address = 0;
	char line[512];
	FILE *lines;
	ssize_t got;

	fd = memfd_create("kallsyms", MFD_CLOEXEC);
	while (source >= 0 && (got = read(source, buffer, 1 << 20)) > 0)
		assert_int_equal(write(fd, buffer, (size_t)got), got);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	lines = fdopen(dup(fd), "r");
	while (fgets(line, sizeof(line), lines)) {
		if (strstr(line, " T do_syscall_64\n"))
			address = strtoul(line, NULL, 16);
	}
	fclose(lines);
	if (!address) {
		print_message("kallsyms shows no addresses: needs root\n");
		skip();
	}
	assert_null(kernel_symbols_create(fd, &symbols));
	assert_true(kernel_symbols_find(symbols, address + 9, &hit));
	assert_int_equal(hit.length, strlen("do_syscall_64"));
	assert_memory_equal(hit.name, "do_syscall_64", hit.length);
	kernel_symbols_destroy(symbols);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),   cmocka_unit_test(test_hidden), cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_module), cmocka_unit_test(test_real),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

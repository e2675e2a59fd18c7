/* The registry of modules, on a real child that maps, unmaps, deletes and rewrites files at the test's
 * command. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "bpf/modules.h"
#include "bpf/privileges.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define PAGE 4096

/* ---- the child ---- */

struct order {
	enum {
		ORDER_DLOPEN,
		ORDER_DLCLOSE,
		ORDER_MAP,	 /* text: path; at `page` */
		ORDER_ANONYMOUS, /* at `page` */
		ORDER_ZERO,
		ORDER_MEMFD, /* text: its first bytes */
		ORDER_UNMAP,
		ORDER_LEAVE,
		/* the main thread ends, another one goes on */ /* at `page` */
	} what;
	unsigned page;
	char text[128];
};

struct child {
	pid_t pid;
	int orders, answers;
	uintptr_t window; /* where pages are mapped */
	struct target *target;
	struct modules *modules;
};

#define WINDOW_PAGES 4096

static void *map_page(uintptr_t window, unsigned page, int fd, int flags)
{
	return mmap((void *)(window + (uintptr_t)page * PAGE), PAGE, PROT_READ | PROT_EXEC, MAP_FIXED | flags,
		    fd, 0);
}

static bool obey(uintptr_t window, const struct order *order)
{
	static void *library;
	int fd;

	switch (order->what) {
	case ORDER_DLOPEN:
		library = dlopen(order->text, RTLD_NOW);
		return library;
	case ORDER_DLCLOSE:
		return dlclose(library) == 0;
	case ORDER_MAP:
	case ORDER_ZERO:
		fd = open(order->what == ORDER_ZERO ? "/dev/zero" : order->text, O_RDONLY);
		if (map_page(window, order->page, fd, MAP_PRIVATE) == MAP_FAILED)
			return false;
		return close(fd) == 0;
	case ORDER_ANONYMOUS:
		return map_page(window, order->page, -1, MAP_PRIVATE | MAP_ANONYMOUS) != MAP_FAILED;
	case ORDER_MEMFD:
		fd = memfd_create("jit", 0);
		if (write(fd, order->text, sizeof(order->text)) < 0 || ftruncate(fd, PAGE) < 0 ||
		    map_page(window, order->page, fd, MAP_SHARED) == MAP_FAILED)
			return false;
		return close(fd) == 0;
	case ORDER_UNMAP:
		/* Not to be executed any more; the hole is filled, so that nothing else lands there. */
		return mmap((void *)(window + (uintptr_t)order->page * PAGE), PAGE, PROT_NONE,
			    MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
	case ORDER_LEAVE:
		return true;
	}
	return false;
}

static struct {
	uintptr_t window;
	int orders, answers;
} thread_arguments;

static void child_main(uintptr_t window, int orders, int answers);

static void *thread_main(void *arg)
{
	child_main(thread_arguments.window, thread_arguments.orders, thread_arguments.answers);
	return NULL;
}

static void leave(uintptr_t window, int orders, int answers)
{
	pthread_t thread;

	thread_arguments.window = window;
	thread_arguments.orders = orders;
	thread_arguments.answers = answers;
	if (pthread_create(&thread, NULL, thread_main, NULL) == 0)
		pthread_exit(NULL);
}

static void child_main(uintptr_t window, int orders, int answers)
{
	struct order order;

	while (read(orders, &order, sizeof(order)) == sizeof(order)) {
		bool done = obey(window, &order);

		if (write(answers, &done, sizeof(done)) != sizeof(done))
			break;
		if (order.what == ORDER_LEAVE)
			leave(window, orders, answers);
	}
	_exit(0);
}

static void child_start(struct child *child)
{
	int orders[2], answers[2];
	void *window = mmap(NULL, (size_t)WINDOW_PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(window, MAP_FAILED);
	assert_int_equal(pipe2(orders, O_CLOEXEC), 0);
	assert_int_equal(pipe2(answers, O_CLOEXEC), 0);
	child->window = (uintptr_t)window;
	child->pid = fork();
	if (!child->pid) {
		close(orders[1]);
		child_main(child->window, orders[0], answers[1]);
	}
	munmap(window, (size_t)WINDOW_PAGES * PAGE);
	close(orders[0]);
	close(answers[1]);
	child->orders = orders[1];
	child->answers = answers[0];
	assert_null(target_open(child->pid, &child->target));
	assert_null(modules_create(&child->modules));
}

static void child_stop(struct child *child)
{
	close(child->orders);
	close(child->answers);
	kill(child->pid, SIGKILL);
	waitpid(child->pid, NULL, 0);
	target_destroy(child->target);
	modules_destroy(child->modules);
}

static void give_order(struct child *child, int what, unsigned page, const char *text)
{
	struct order order = {.what = what, .page = page};
	bool done = false;

	if (text)
		snprintf(order.text, sizeof(order.text), "%s", text);
	assert_int_equal(write(child->orders, &order, sizeof(order)), sizeof(order));
	assert_int_equal(read(child->answers, &done, sizeof(done)), sizeof(done));
	assert_true(done);
}

static struct modules_change refresh(struct child *child)
{
	struct modules_change change;
	struct error *error = modules_refresh(child->modules, child->target, &change);

	if (error)
		fail_msg("%s", error_get_message(error));
	for (size_t i = 0; i < change.count; i++) {
		assert_true(change.mappings[i].start < change.mappings[i].end);
		assert_true(!i || change.mappings[i - 1].end <= change.mappings[i].start);
	}
	return change;
}

static const struct mapping *find_page(const struct child *child, const struct modules_change *change,
				       unsigned page)
{
	uintptr_t address = child->window + (uintptr_t)page * PAGE;

	for (size_t i = 0; i < change->count; i++)
		if (change->mappings[i].start <= address && address < change->mappings[i].end)
			return &change->mappings[i];
	return NULL;
}

static const struct mapping *find_module(const struct modules_change *change, uint32_t id)
{
	for (size_t i = 0; i < change->count; i++)
		if (change->mappings[i].module == id)
			return &change->mappings[i];
	return NULL;
}

/* A file of one page in a directory of its own. */
struct scratch {
	char dir[32], path[64];
};

static void scratch_write(const struct scratch *scratch, const char *text)
{
	int fd = open(scratch->path, O_RDWR | O_CREAT, 0700);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 2 * PAGE), 0);
	assert_int_equal(pwrite(fd, text, strlen(text), 0), strlen(text));
	close(fd);
}

static void scratch_create(struct scratch *scratch, const char *name)
{
	strcpy(scratch->dir, "/tmp/kiln-modules-XXXXXX");
	assert_non_null(mkdtemp(scratch->dir));
	snprintf(scratch->path, sizeof(scratch->path), "%s/%s", scratch->dir, name);
	scratch_write(scratch, "one");
}

static void scratch_destroy(struct scratch *scratch)
{
	unlink(scratch->path);
	rmdir(scratch->dir);
}

/* ---- tests ---- */

static void test_own_program_and_vdso(void **state)
{
	struct child child;
	struct modules_change change;
	struct stat status, opened;
	bool has_program = false;

	child_start(&child);
	change = refresh(&child);
	assert_true(change.changed);
	assert_true(change.fresh_count > 1);
	assert_int_equal(change.fresh_count, modules_count(child.modules));
	assert_int_equal(stat("/proc/self/exe", &status), 0);
	for (size_t i = 0; i < change.fresh_count; i++) {
		const struct target_module *module = change.fresh[i];

		assert_ptr_equal(modules_get(child.modules, module->id), module);
		assert_true(module->id >= MODULE_FIRST_FILE && module->fd >= 0);
		assert_null(module->why);
		assert_int_equal(fcntl(module->fd, F_GETFL) & O_ACCMODE, O_RDONLY);
		assert_int_equal(fcntl(module->fd, F_GETFD), FD_CLOEXEC);
		assert_int_equal(fstat(module->fd, &opened), 0);
		assert_int_equal(opened.st_size, module->size_bytes);
		has_program |= opened.st_ino == status.st_ino && opened.st_dev == status.st_dev;
	}
	assert_true(has_program);
	assert_non_null(find_module(&change, MODULE_VDSO));
	assert_int_equal(find_module(&change, MODULE_VDSO)->offset, 0);
	assert_null(modules_get(child.modules, 0));
	assert_null(modules_get(child.modules, MODULE_FIRST_FILE + (uint32_t)modules_count(child.modules)));

	change = refresh(&child);
	assert_false(change.changed);
	assert_int_equal(change.fresh_count, 0);
	assert_true(change.count > 2);
	child_stop(&child);
}

/* The address of this very function, seen through the registry, is its place in the file. */
static void test_offsets_are_file_offsets(void **state)
{
	struct child child;
	struct modules_change change;
	uintptr_t pc = (uintptr_t)test_offsets_are_file_offsets;
	unsigned char bytes[16];
	bool is_found = false;

	child_start(&child);
	change = refresh(&child);
	for (size_t i = 0; i < change.count; i++) {
		const struct mapping *mapping = &change.mappings[i];

		if (pc < mapping->start || pc >= mapping->end)
			continue;
		is_found = true;
		assert_int_equal(pread(modules_get(child.modules, mapping->module)->fd, bytes, sizeof(bytes),
				       (off_t)(mapping->offset + (pc - mapping->start))),
				 sizeof(bytes));
		assert_memory_equal(bytes, (void *)pc, sizeof(bytes));
	}
	assert_true(is_found);
	child_stop(&child);
}

static void test_dlopen_and_dlclose(void **state)
{
	static const char library[] = "libBrokenLocale.so.1"; /* of libc6, and loaded by nobody */
	struct child child;
	struct modules_change before, change;
	size_t count;
	uint32_t id;

	child_start(&child);
	before = refresh(&child);
	count = before.count;
	give_order(&child, ORDER_DLOPEN, 0, library);
	change = refresh(&child);
	assert_true(change.changed);
	assert_int_equal(change.count, count + 1);
	assert_int_equal(change.fresh_count, 1);
	assert_non_null(strstr(change.fresh[0]->shown, "libBrokenLocale"));
	assert_true(change.fresh[0]->fd >= 0);
	id = change.fresh[0]->id;
	assert_non_null(find_module(&change, id));

	give_order(&child, ORDER_DLCLOSE, 0, NULL);
	change = refresh(&child);
	assert_true(change.changed);
	assert_int_equal(change.count, count);
	assert_null(find_module(&change, id));
	assert_non_null(modules_get(child.modules, id));

	give_order(&child, ORDER_DLOPEN, 0, library);
	change = refresh(&child);
	assert_true(change.changed);
	assert_int_equal(change.fresh_count, 0);
	assert_non_null(find_module(&change, id));
	child_stop(&child);
}

static void test_memory_without_a_file(void **state)
{
	struct child child;
	struct modules_change change;
	const struct mapping *mapping;
	size_t modules_before;

	child_start(&child);
	change = refresh(&child);
	modules_before = modules_count(child.modules);
	give_order(&child, ORDER_ANONYMOUS, 1, NULL);
	give_order(&child, ORDER_ANONYMOUS, 2, NULL);
	give_order(&child, ORDER_ZERO, 4, NULL);
	give_order(&child, ORDER_MEMFD, 6, "\x90\x90\xc3");
	change = refresh(&child);
	mapping = find_page(&child, &change, 1);
	assert_non_null(mapping);
	assert_int_equal(mapping->module, MODULE_ANONYMOUS);
	assert_int_equal(mapping->offset, mapping->start);
	assert_int_equal(mapping->end - mapping->start, 2 * PAGE);
	assert_int_equal(find_page(&child, &change, 4)->module, MODULE_ANONYMOUS);
	if (!privileges_has(CAP_CHECKPOINT_RESTORE)) {
		print_message("without CAP_CHECKPOINT_RESTORE a memfd cannot be looked at\n");
		child_stop(&child);
		skip();
	}
	mapping = find_page(&child, &change, 6);
	assert_int_equal(mapping->module, MODULE_ANONYMOUS);
	assert_int_equal(mapping->offset, mapping->start);
	assert_int_equal(modules_count(child.modules), modules_before);
	/* A library in a memfd is a file. */
	give_order(&child, ORDER_MEMFD, 8, "\177ELF\2\1\1");
	change = refresh(&child);
	mapping = find_page(&child, &change, 8);
	assert_true(mapping->module >= MODULE_FIRST_FILE);
	assert_int_equal(mapping->offset, 0);
	child_stop(&child);
}

static void test_deleted_file(void **state)
{
	struct child child;
	struct scratch scratch;
	struct modules_change change;
	const struct target_module *module;
	char text[4] = "";
	uint32_t id;

	child_start(&child);
	scratch_create(&scratch, "gone\n (deleted)");
	give_order(&child, ORDER_MAP, 1, scratch.path);
	change = refresh(&child);
	id = find_page(&child, &change, 1)->module;
	module = modules_get(child.modules, id);
	/* Also without map_files: a newline and a suffix that only looks like the kernel's are read as what
	 * they are. */
	assert_true(module->fd >= 0);
	assert_int_equal(pread(module->fd, text, 3, 0), 3);
	assert_string_equal(text, "one");
	assert_null(strchr(module->shown, '\n'));
	scratch_destroy(&scratch);
	change = refresh(&child);
	assert_int_equal(find_page(&child, &change, 1)->module, id);
	child_stop(&child);

	/* Deleted before kiln came. */
	child_start(&child);
	scratch_create(&scratch, "gone");
	give_order(&child, ORDER_MAP, 1, scratch.path);
	scratch_destroy(&scratch);
	change = refresh(&child);
	module = modules_get(child.modules, find_page(&child, &change, 1)->module);
	assert_non_null(module);
	assert_true(module->is_deleted);
	if (privileges_has(CAP_CHECKPOINT_RESTORE)) {
		assert_true(module->fd >= 0);
		assert_int_equal(pread(module->fd, text, 3, 0), 3);
		assert_string_equal(text, "one");
	} else {
		assert_int_equal(module->fd, -1);
		assert_non_null(strstr(module->why, "deleted"));
		assert_int_equal(modules_get_notes(child.modules)->no_open, 1);
	}
	child_stop(&child);
}

static void test_another_file_at_the_path(void **state)
{
	struct child child;
	struct scratch scratch;
	struct modules_change change;
	const struct target_module *module;
	char text[4] = "";
	char kept[80];

	child_start(&child);
	scratch_create(&scratch, "file");
	give_order(&child, ORDER_MAP, 1, scratch.path);
	/* The mapping's file is moved away; the path of the mapping then says the new place. Put another one
	 * there. */
	snprintf(kept, sizeof(kept), "%s.kept", scratch.path);
	assert_int_equal(link(scratch.path, kept), 0);
	unlink(scratch.path);
	scratch_write(&scratch, "two");
	change = refresh(&child);
	module = modules_get(child.modules, find_page(&child, &change, 1)->module);
	if (privileges_has(CAP_CHECKPOINT_RESTORE)) {
		assert_int_equal(pread(module->fd, text, 3, 0), 3);
		assert_string_equal(text, "one");
	} else {
		assert_int_equal(module->fd, -1);
		assert_non_null(module->why);
	}
	unlink(kept);
	scratch_destroy(&scratch);
	child_stop(&child);
}

static void test_rewritten_while_unmapped(void **state)
{
	struct child child;
	struct scratch scratch;
	struct modules_change change;
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1000}};
	uint32_t first, second;

	child_start(&child);
	scratch_create(&scratch, "plugin");
	give_order(&child, ORDER_MAP, 1, scratch.path);
	change = refresh(&child);
	first = find_page(&child, &change, 1)->module;
	give_order(&child, ORDER_UNMAP, 1, NULL);
	change = refresh(&child);
	assert_null(find_page(&child, &change, 1));
	/* Mapped again as it was: the same module. */
	give_order(&child, ORDER_MAP, 1, scratch.path);
	change = refresh(&child);
	assert_int_equal(find_page(&child, &change, 1)->module, first);
	/* Written to while it is mapped: still the same. */
	scratch_write(&scratch, "two");
	assert_int_equal(utimensat(AT_FDCWD, scratch.path, times, 0), 0);
	change = refresh(&child);
	assert_int_equal(find_page(&child, &change, 1)->module, first);
	assert_false(change.changed);
	give_order(&child, ORDER_UNMAP, 1, NULL);
	refresh(&child);
	give_order(&child, ORDER_MAP, 1, scratch.path);
	change = refresh(&child);
	second = find_page(&child, &change, 1)->module;
	assert_int_not_equal(second, first);
	assert_int_equal(change.fresh_count, 1);
	assert_int_equal(change.fresh[0]->id, second);
	scratch_destroy(&scratch);
	child_stop(&child);
}

/* More files than fds: what is left out is counted, and the rest goes on. */
static void test_out_of_fds(void **state)
{
	struct child child;
	struct scratch scratch[8];
	struct modules_change change;
	struct rlimit limit, low;
	size_t failed = 0;
	int highest;

	child_start(&child);
	change = refresh(&child);
	for (unsigned i = 0; i < 8; i++) {
		char name[8];

		snprintf(name, sizeof(name), "f%u", i);
		scratch_create(&scratch[i], name);
		give_order(&child, ORDER_MAP, 2 * i, scratch[i].path);
	}
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(limit.rlim_cur, limit.rlim_max); /* modules_create() has raised it */
	highest = dup(0);
	close(highest);
	low = limit;
	low.rlim_cur = (rlim_t)highest + 5;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	change = refresh(&child);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	for (size_t i = 0; i < change.fresh_count; i++) {
		failed += change.fresh[i]->fd < 0;
		assert_true((change.fresh[i]->fd < 0) == (change.fresh[i]->why != NULL));
	}
	assert_true(failed > 0);
	assert_int_equal(modules_get_notes(child.modules)->no_fd, failed);
	/* When there are fds again, they are opened, and told. */
	change = refresh(&child);
	assert_false(change.changed);
	assert_int_equal(change.fresh_count, failed);
	for (size_t i = 0; i < change.fresh_count; i++)
		assert_true(change.fresh[i]->fd >= 0 && !change.fresh[i]->why);
	assert_int_equal(modules_get_notes(child.modules)->no_fd, 0);
	for (unsigned i = 0; i < 8; i++)
		scratch_destroy(&scratch[i]);
	child_stop(&child);
}

static void test_many_modules(void **state)
{
	enum { FILES = 300 };
	struct child child;
	struct scratch scratch;
	struct modules_change change;
	char path[128];

	child_start(&child);
	scratch_create(&scratch, "base");
	for (unsigned i = 0; i < FILES; i++) {
		snprintf(path, sizeof(path), "%s.%u", scratch.path, i);
		close(open(path, O_RDWR | O_CREAT, 0700));
		assert_int_equal(truncate(path, PAGE), 0);
		give_order(&child, ORDER_MAP, i, path);
	}
	change = refresh(&child);
	for (unsigned i = 0; i < FILES; i++) {
		const struct mapping *mapping = find_page(&child, &change, i);

		assert_non_null(mapping);
		snprintf(path, sizeof(path), "%s.%u", scratch.path, i);
		assert_string_equal(modules_get(child.modules, mapping->module)->path, path);
		unlink(path);
	}
	/* Deleting them changes their text, not what they are. */
	change = refresh(&child);
	assert_false(change.changed);
	assert_int_equal(change.fresh_count, 0);
	scratch_destroy(&scratch);
	child_stop(&child);
}

static bool is_main_thread_gone(pid_t pid)
{
	char path[64], line[256] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	assert_non_null(file);
	assert_non_null(fgets(line, sizeof(line), file));
	fclose(file);
	return strstr(line, ") Z ");
}

/* pthread_exit() in main(): /proc/PID/maps is empty from then on, while the process lives. */
static void test_main_thread_ends(void **state)
{
	struct modules_change change;
	struct scratch scratch;
	struct child child;
	time_t give_up;
	size_t count;

	child_start(&child);
	count = refresh(&child).count;
	give_order(&child, ORDER_LEAVE, 0, "");
	give_up = time(NULL) + 10;
	while (!is_main_thread_gone(child.pid)) {
		assert_true(time(NULL) < give_up);
		sched_yield();
	}
	change = refresh(&child);
	assert_true(change.count >= count);
	/* And what is mapped later is seen and opened, by its path. */
	scratch_create(&scratch, "late");
	give_order(&child, ORDER_MAP, 3, scratch.path);
	change = refresh(&child);
	assert_int_equal(change.fresh_count, 1);
	assert_true(change.fresh[0]->fd >= 0);
	assert_non_null(find_page(&child, &change, 3));
	scratch_destroy(&scratch);
	child_stop(&child);
}

static void test_target_ends(void **state)
{
	struct child child;
	struct modules_change change;
	struct error *error;
	siginfo_t info;

	child_start(&child);
	refresh(&child);
	kill(child.pid, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)child.pid, &info, WEXITED | WNOWAIT), 0);
	error = modules_refresh(child.modules, child.target, &change);
	assert_non_null(error);
	assert_int_equal(error_get_code(error), ERROR_NO_TARGET);
	error_destroy(error);
	waitpid(child.pid, NULL, 0);
	error = modules_refresh(child.modules, child.target, &change);
	assert_non_null(error);
	assert_int_equal(error_get_code(error), ERROR_NO_TARGET);
	error_destroy(error);
	child_stop(&child);
}

static void test_vdso_image(void **state)
{
	char byte = 'x';
	char magic[4];
	struct stat status;
	int fd = -1;

	assert_null(modules_open_vdso(&fd));
	assert_int_equal(pread(fd, magic, 4, 0), 4);
	assert_memory_equal(magic, "\177ELF", 4);
	assert_int_equal(fstat(fd, &status), 0);
	assert_true(status.st_size >= PAGE && status.st_size % PAGE == 0);
	assert_int_equal(pwrite(fd, &byte, 1, 0), -1);
	assert_int_equal(ftruncate(fd, 0), -1);
	close(fd);
}

static void test_kernel_symbols(void **state)
{
	char text[256] = "";
	int fd = -1;
	struct error *error = modules_open_kernel(&fd);
	unsigned long long address;
	char type;

	if (!privileges_has(CAP_SYSLOG) && error) {
		assert_int_equal(error_get_code(error), ERROR_PERMISSION);
		assert_non_null(strstr(error_get_hint(error), "CAP_SYSLOG"));
		error_destroy(error);
		return;
	}
	assert_null(error);
	assert_true(pread(fd, text, sizeof(text) - 1, 0) > 20);
	assert_int_equal(sscanf(text, "%llx %c", &address, &type), 2);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	close(fd);
}

/* No piece is so large that others wait for long, and together they are the text. */
static void test_kernel_names_in_pieces(void **state)
{
	_cleanup_close_ int fd = -1, whole = -1;
	struct kernel_text *text = NULL;
	static char a[1 << 20], b[1 << 20];
	unsigned pieces = 0;
	int first;

	kernel_text_destroy(NULL);
	if (!privileges_has(CAP_SYSLOG))
		skip();
	assert_null(kernel_text_open(&text));
	while (fd < 0) {
		assert_in_range(pieces, 0, 10000);
		assert_null(kernel_text_read(text, &fd));
		pieces++;
	}
	kernel_text_destroy(text);
	assert_true(pieces > 4);
	assert_null(modules_open_kernel(&whole));
	/* Its end may change meanwhile: programs of BPF are in it. */
	assert_int_equal(pread(fd, a, sizeof(a), 0), sizeof(a));
	assert_int_equal(pread(whole, b, sizeof(b), 0), sizeof(b));
	assert_memory_equal(a, b, sizeof(a));
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	/* Given up in the middle: nothing is left. */
	assert_null(kernel_text_open(&text));
	assert_null(kernel_text_read(text, &first));
	assert_int_equal(first, -1);
	kernel_text_destroy(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kernel_names_in_pieces),
		cmocka_unit_test(test_own_program_and_vdso),
		cmocka_unit_test(test_offsets_are_file_offsets),
		cmocka_unit_test(test_dlopen_and_dlclose),
		cmocka_unit_test(test_memory_without_a_file),
		cmocka_unit_test(test_deleted_file),
		cmocka_unit_test(test_another_file_at_the_path),
		cmocka_unit_test(test_rewritten_while_unmapped),
		cmocka_unit_test(test_out_of_fds),
		cmocka_unit_test(test_many_modules),
		cmocka_unit_test(test_main_thread_ends),
		cmocka_unit_test(test_target_ends),
		cmocka_unit_test(test_vdso_image),
		cmocka_unit_test(test_kernel_symbols),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

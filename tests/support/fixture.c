/* The process is that of the sketches of the interface. Functions stand in a table, stacks are written as
 * text, root first; a generator with a fixed seed chooses between them. */
#include "tests/support/fixture.h"

#include "base/cleanup.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECONDS	       92
#define SAMPLES	       2000
#define START_NS       1000000000000ull
#define FUNCTION_BYTES 0x400
#define COUNT(array)   (sizeof(array) / sizeof(*(array)))

enum {
	SERVER = MODULE_FIRST_FILE,
	LIBC,
	LIBSTDCXX,
	LIBCRYPTO,
	LIBSSL,
	LIBVENDOR,
	LIBZ,
	LIBPROTOBUF,
	LIBSQLITE,
	LIBM,
	LD_LINUX,
	LIBLUA,
	MODULES_END,
};

static const struct {
	uint32_t id;
	enum module_kind kind;
	enum module_symbols symbols;
	const char *path, *build_id;
	uint64_t base; /* frame offset of its first function */
} modules[] = {
	{MODULE_KERNEL, MODULE_KIND_KERNEL, SYMBOLS_MINIMAL, "", "", 0xffff81000000},
	{MODULE_VDSO, MODULE_KIND_VDSO, SYMBOLS_STRIPPED, "[vdso]",
	 "11aa4f3a0d0c7f1e0a6b5a2f0e7f5f0c21d5a9be", 0x600},
	{SERVER, MODULE_KIND_FILE, SYMBOLS_FULL, "/srv/api-server",
	 "9b7c1f6f8a1e4bd2a1c07d7a43f5c1b8d8b0a111", 0x21000},
	{LIBC, MODULE_KIND_FILE, SYMBOLS_MINIMAL, "/usr/lib/x86_64-linux-gnu/libc.so.6",
	 "58254ca972956d2f3e8a3a5f2c2f6ef6a3d5a1c2", 0x26000},
	{LIBSTDCXX, MODULE_KIND_FILE, SYMBOLS_STRIPPED, "/usr/lib/x86_64-linux-gnu/libstdc++.so.6.0.30",
	 "1cfb85e8a4b6b1d3bb3fd2c9d0c84e2c37ae1a03", 0x9a000},
	{LIBCRYPTO, MODULE_KIND_FILE, SYMBOLS_STRIPPED, "/usr/lib/x86_64-linux-gnu/libcrypto.so.3",
	 "43e3bc0f56e22b1c8a1e0a2ea4d2a6b1f1d0be04", 0xb0000},
	{LIBSSL, MODULE_KIND_FILE, SYMBOLS_STRIPPED, "/usr/lib/x86_64-linux-gnu/libssl.so.3",
	 "6a1e4d2f88d0c57a2c1f6b3e4a9c0d7e2f5b8a05", 0x1e000},
	{LIBVENDOR, MODULE_KIND_FILE, SYMBOLS_STRIPPED, "/srv/lib/libvendor.so",
	 "9f3c0a7be1d2c4f5968778695a4b3c2d1e0f0006", 0x1b000},
	{LIBZ, MODULE_KIND_FILE, SYMBOLS_STRIPPED, "/usr/lib/x86_64-linux-gnu/libz.so.1.2.13",
	 "7e0f3a9d5b1c2e4f60718293a4b5c6d7e8f90a07", 0x3000},
	{LIBPROTOBUF, MODULE_KIND_FILE, SYMBOLS_STRIPPED, "/usr/lib/x86_64-linux-gnu/libprotobuf.so.32.0.12",
	 "0d9c8b7a695847362514f3e2d1c0bfae9d8c7b08", 0x6b000},
	{LIBSQLITE, MODULE_KIND_FILE, SYMBOLS_FULL, "/usr/lib/x86_64-linux-gnu/libsqlite3.so.0.8.6",
	 "b5a4938271605f4e3d2c1b0a99887766554433f9", 0x11000},
	{LIBM, MODULE_KIND_FILE, SYMBOLS_STRIPPED, "/usr/lib/x86_64-linux-gnu/libm.so.6",
	 "c2d3e4f5061728394a5b6c7d8e9fa0b1c2d3e40a", 0xe000},
	{LD_LINUX, MODULE_KIND_FILE, SYMBOLS_MINIMAL, "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", NULL,
	 0x1000},
	{LIBLUA, MODULE_KIND_FILE, SYMBOLS_STRIPPED, "/usr/lib/x86_64-linux-gnu/liblua5.4.so.0.0.0",
	 "e8f7061524334251607f8e9dacbbcad9e8f7060c", 0x7000},
};

struct code {
	uint32_t module;
	const char *name; /* how the stacks below call it */
	const char *file;
	uint32_t line;
};

/* The long names say what demanglers say; stacks below use them by a prefix. */
static const struct code codes[] = {
	{SERVER, "main", "/src/api/main.cc", 31},
	{SERVER, "EventLoop::run()", "/src/api/loop.cc", 77},
	{SERVER, "EventLoop::tick(std::chrono::duration<long, std::ratio<1l, 1000000000l> >)",
	 "/src/api/loop.cc", 140},
	{SERVER, "Acceptor::on_readable(int)", "/src/api/accept.cc", 52},
	{SERVER, "worker_main(void*)", "/src/api/pool.cc", 19},
	{SERVER, "Pool::run()", "/src/api/pool.cc", 64},
	{SERVER, "Router::dispatch(Request&)", "/src/api/router.cc", 118},
	{SERVER, "Router::match(std::basic_string_view<char, std::char_traits<char> >) const",
	 "/src/api/router.cc", 60},
	{SERVER, "json::Parser::next()", "/src/api/json.cc", 212},
	{SERVER, "json::Parser::value()", "/src/api/json.cc", 301},
	{SERVER, "json::Parser::array()", "/src/api/json.cc", 340},
	{SERVER, "json::Parser::string()", "/src/api/json.cc", 255},
	{SERVER, "json::Parser::number()", "/src/api/json.cc", 281},
	{SERVER, "json::Writer::append(std::basic_string_view<char, std::char_traits<char> >)",
	 "/src/api/json.cc", 420},
	{SERVER, "Cache::lookup(Key const&)", "/src/api/cache.cc", 61},
	{SERVER, "Cache::insert(Key const&, std::shared_ptr<Session>)", "/src/api/cache.cc", 88},
	{SERVER,
	 "std::_Rb_tree<Key, std::pair<Key const, std::shared_ptr<Session> >, std::_Select1st<std::pair<Key "
	 "const, "
	 "std::shared_ptr<Session> > >, std::less<Key>, std::allocator<std::pair<Key const, "
	 "std::shared_ptr<Session> > > >::find(Key const&)",
	 "/usr/include/c++/12/bits/stl_tree.h", 2521},
	{SERVER,
	 "std::vector<std::unique_ptr<json::Node> >::_M_realloc_insert(std::unique_ptr<json::Node>&&)",
	 "/usr/include/c++/12/bits/vector.tcc", 440},
	{SERVER, "Session::Session(Request const&)", "/src/api/sess.cc", 41},
	{SERVER, "Session::sign(unsigned char*)", "/src/api/sess.cc", 97},
	{SERVER, "tls::write(Connection&, char const*, unsigned long)", "/src/api/tls.cc", 133},
	{SERVER, "tls::handshake(Connection&)", "/src/api/tls.cc", 71},
	{SERVER, "Metrics::flush()", "/src/api/metrics.cc", 77},
	{SERVER, "Metrics::percentile(double) const", "/src/api/metrics.cc", 112},
	{SERVER, "metrics_main(void*)", "/src/api/metrics.cc", 15},
	{SERVER, "Gc::sweep()", "/src/api/gc.cc", 44},
	{SERVER, "gc_main(void*)", "/src/api/gc.cc", 12},
	{SERVER, "Config::reload()", "/src/api/config.cc", 58},
	{SERVER, "Config::merge(Config const&)", "/src/api/config.cc", 90},
	{SERVER, "i18n::load(char const*)", "/src/api/i18n.cc", 30},
	{SERVER, "Arena::grow(unsigned long)", "/src/api/arena.cc", 120},
	{SERVER, "Logger::write(Logger::Level, char const*)", "/src/api/log.cc", 14},
	{SERVER, "rules::eval(rules::Expr const*, rules::Scope&)", "/src/api/rules.cc", 205},
	{SERVER, "legacy_hash", "/src/api/legacy.c", 9},
	{SERVER, "operator()<api::Reply>(api::Reply&&) const [clone .constprop.0]", "/src/api/reply.cc", 25},
	{SERVER, "_start", NULL, 0},
	{LIBC, "__libc_start_main", NULL, 0},
	{LIBC, "__libc_start_call_main", NULL, 0},
	{LIBC, "start_thread", NULL, 0},
	{LIBC, "clone3", NULL, 0},
	{LIBC, "__memmove_avx_unaligned_erms", NULL, 0},
	{LIBC, "__strlen_avx2", NULL, 0},
	{LIBC, "__memset_avx2_unaligned_erms", NULL, 0},
	{LIBC, "malloc", NULL, 0},
	{LIBC, "_int_malloc", NULL, 0},
	{LIBC, "_int_free", NULL, 0},
	{LIBC, "cfree", NULL, 0},
	{LIBC, "malloc_consolidate", NULL, 0},
	{LIBC, "write", NULL, 0},
	{LIBC, "read", NULL, 0},
	{LIBC, "epoll_wait", NULL, 0},
	{LIBC, "accept4", NULL, 0},
	{LIBC, "pthread_mutex_lock", NULL, 0},
	{LIBC, "__lll_lock_wait", NULL, 0},
	{LIBC, "vfprintf", NULL, 0},
	{LIBC, "clock_gettime", NULL, 0},
	{LIBSTDCXX, "operator new(unsigned long)", NULL, 0},
	{LIBSTDCXX, "std::string::_M_append(char const*, unsigned long)", NULL, 0},
	{LIBSTDCXX,
	 "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >::_M_mutate("
	 "unsigned long, unsigned long, char const*, unsigned long)",
	 NULL, 0},
	{LIBSTDCXX,
	 "std::_Rb_tree_insert_and_rebalance(bool, std::_Rb_tree_node_base*, "
	 "std::_Rb_tree_node_base*, std::_Rb_tree_node_base&)",
	 NULL, 0},
	{LIBSTDCXX, "std::ostream::_M_insert<double>(double)", NULL, 0},
	{LIBCRYPTO, "sha256_block_data_order", NULL, 0},
	{LIBCRYPTO, "SHA256_Update", NULL, 0},
	{LIBCRYPTO, "EVP_DigestUpdate", NULL, 0},
	{LIBCRYPTO, "EVP_EncryptUpdate", NULL, 0},
	{LIBCRYPTO, "aesni_gcm_encrypt", NULL, 0},
	{LIBCRYPTO, "BN_mod_exp_mont", NULL, 0},
	{LIBCRYPTO, "bn_mul_mont", NULL, 0},
	{LIBSSL, "SSL_write", NULL, 0},
	{LIBSSL, "SSL_do_handshake", NULL, 0},
	{LIBSSL, "ssl3_write_bytes", NULL, 0},
	{LIBVENDOR, NULL, NULL, 0},
	{LIBVENDOR, NULL, NULL, 0},
	{LIBVENDOR, NULL, NULL, 0},
	{LIBZ, "deflate", NULL, 0},
	{LIBZ, "longest_match", NULL, 0},
	{LIBZ, "crc32_z", NULL, 0},
	{LIBPROTOBUF, "google::protobuf::MessageLite::SerializeToArray(void*, int) const", NULL, 0},
	{LIBPROTOBUF, "google::protobuf::io::EpsCopyOutputStream::WriteRaw(void const*, int, unsigned char*)",
	 NULL, 0},
	{LIBSQLITE, "sqlite3_step", "sqlite3.c", 89312},
	{LIBSQLITE, "sqlite3VdbeExec", "sqlite3.c", 93710},
	{LIBSQLITE, "sqlite3BtreeTableMoveto", "sqlite3.c", 75120},
	{LIBM, "__exp_fma", NULL, 0},
	{LIBM, "__log_fma", NULL, 0},
	{LD_LINUX, "_dl_runtime_resolve_xsavec", NULL, 0},
	{LD_LINUX, "_dl_fixup", NULL, 0},
	{LIBLUA, "luaV_execute", NULL, 0},
	{LIBLUA, "lua_pcallk", NULL, 0},
	{MODULE_VDSO, "__vdso_clock_gettime", NULL, 0},
	{MODULE_KERNEL, "entry_SYSCALL_64_after_hwframe", NULL, 0},
	{MODULE_KERNEL, "do_syscall_64", NULL, 0},
	{MODULE_KERNEL, "ksys_write", NULL, 0},
	{MODULE_KERNEL, "vfs_write", NULL, 0},
	{MODULE_KERNEL, "sock_write_iter", NULL, 0},
	{MODULE_KERNEL, "tcp_sendmsg", NULL, 0},
	{MODULE_KERNEL, "copyin", NULL, 0},
	{MODULE_KERNEL, "__x64_sys_epoll_wait", NULL, 0},
	{MODULE_KERNEL, "ep_poll", NULL, 0},
	{MODULE_KERNEL, "__x64_sys_accept4", NULL, 0},
	{MODULE_KERNEL, "__x64_sys_futex", NULL, 0},
	{MODULE_KERNEL, "futex_wait", NULL, 0},
	{MODULE_KERNEL, "finish_task_switch.isra.0", NULL, 0},
	{MODULE_KERNEL, "asm_exc_page_fault", NULL, 0},
	{MODULE_KERNEL, "exc_page_fault", NULL, 0},
	{MODULE_KERNEL, "handle_mm_fault", NULL, 0},
	{MODULE_KERNEL, "do_anonymous_page", NULL, 0},
	{MODULE_KERNEL, "clear_page_erms", NULL, 0},
};

/* The handlers of the server: one function for each verb and noun. */
static const char *const verbs[] = {"get", "list", "create", "update", "remove"};
static const char *const nouns[] = {"User",    "Session", "Order",  "Basket", "Price",	 "Review",
				    "Image",   "Coupon",  "Stock",  "Label",  "Invoice", "Route",
				    "Country", "Wallet",  "Report", "Batch",  "Token",	 "Hook"};
#define HANDLERS	 (COUNT(verbs) * COUNT(nouns))
#define HANDLER_NAME_MAX 96
#define CODES		 (COUNT(codes) + HANDLERS)

enum crew { MAIN, WORKER, GC, METRICS };

struct route {
	unsigned weight;
	enum crew crew;
	enum stack_end end;
	uint8_t from_s, to_s; /* when it runs */
	/* Beginnings of names, root first. "*N" repeats the two frames before it N times, "#" is a handler,
	 * "?" unnamed code in anonymous memory, "!N" function N of libvendor, "~" an address in no mapping.
	 */
	const char *stack;
};

#define WORK	  "clone3;start_thread;worker_main;Pool::run;Router::dispatch;"
#define MAIN_LOOP "_start;__libc_start_main;__libc_start_call_main;main;EventLoop::run;"
#define SYSCALL	  "entry_SYSCALL;do_syscall;"
#define FAULT	  ";asm_exc;exc_page;handle_mm;do_anon;clear_page"

static const struct route routes[] = {
	{160, WORKER, STACK_COMPLETE, 0, 92, WORK "#;json::Parser::next"},
	{120, WORKER, STACK_COMPLETE, 0, 92, WORK "json::Parser::next"},
	{60, WORKER, STACK_COMPLETE, 0, 92,
	 WORK "json::Parser::value;json::Parser::array;*1;json::Parser::next"},
	{40, WORKER, STACK_COMPLETE, 0, 92,
	 WORK "json::Parser::value;json::Parser::array;*3;json::Parser::next"},
	{16, WORKER, STACK_COMPLETE, 50, 70,
	 WORK "json::Parser::value;json::Parser::array;*12;json::Parser::number"},
	{50, WORKER, STACK_COMPLETE, 0, 92, WORK "#;json::Parser::next;json::Parser::string"},
	{30, WORKER, STACK_COMPLETE, 0, 92,
	 WORK "#;json::Parser::next;json::Parser::string;std::string::_M_append;__memmove"},
	{40, WORKER, STACK_COMPLETE, 0, 92, WORK "json::Parser::next;__memmove"},
	{14, WORKER, STACK_COMPLETE, 0, 92, WORK "json::Parser::next;operator new;malloc;_int_malloc"},
	{10, WORKER, STACK_COMPLETE, 0, 92,
	 WORK "json::Parser::value;std::vector;operator new;malloc;_int_malloc;malloc_cons"},
	{8, WORKER, STACK_COMPLETE, 0, 92, WORK "#;cfree;_int_free"},
	{70, WORKER, STACK_COMPLETE, 0, 92, WORK "#;Cache::lookup"},
	{50, WORKER, STACK_COMPLETE, 0, 92, WORK "#;Cache::lookup;std::_Rb_tree<"},
	{12, WORKER, STACK_COMPLETE, 0, 92, WORK "#;Cache::insert;std::_Rb_tree_insert"},
	{16, WORKER, STACK_COMPLETE, 0, 92,
	 WORK "#;Cache::insert;Session::Session;operator new;malloc" FAULT},
	{12, WORKER, STACK_COMPLETE, 0, 92,
	 WORK "#;Cache::lookup;pthread_mutex;__lll_lock;" SYSCALL "__x64_sys_futex;futex_wait;finish"},
	{30, WORKER, STACK_COMPLETE, 0, 92, WORK "Router::match"},
	{12, WORKER, STACK_COMPLETE, 0, 92, WORK "Router::match;__strlen"},
	{44, WORKER, STACK_COMPLETE, 0, 92, WORK "tls::write;SSL_write;ssl3_write;EVP_Encrypt;aesni"},
	{40, WORKER, STACK_COMPLETE, 0, 92,
	 WORK "tls::write;SSL_write;ssl3_write;write;" SYSCALL
	      "ksys_write;vfs_write;sock_write;tcp_sendmsg;copyin"},
	{10, WORKER, STACK_COMPLETE, 0, 92, WORK "tls::handshake;SSL_do;BN_mod;bn_mul"},
	{260, WORKER, STACK_COMPLETE, 41, 48, WORK "#;Session::sign;EVP_Digest;SHA256_U;sha256_block"},
	{26, WORKER, STACK_COMPLETE, 0, 92, WORK "#;Session::sign;EVP_Digest;SHA256_U;sha256_block"},
	{20, WORKER, STACK_COMPLETE, 0, 92, WORK "#"},
	{12, WORKER, STACK_COMPLETE, 0, 92, WORK "operator()<;json::Writer::append;__memmove"},
	{10, WORKER, STACK_COMPLETE, 0, 92,
	 WORK "operator()<;google::protobuf::MessageLite;google::protobuf::io"},
	{14, WORKER, STACK_COMPLETE, 0, 92, WORK "#;deflate;longest_match"},
	{4, WORKER, STACK_COMPLETE, 0, 92, WORK "#;deflate;crc32"},
	{14, WORKER, STACK_COMPLETE, 0, 92, WORK "#;sqlite3_step;sqlite3VdbeExec;sqlite3BtreeT"},
	{10, WORKER, STACK_COMPLETE, 0, 92, WORK "#;rules::eval;lua_pcallk;luaV_execute"},
	{6, WORKER, STACK_COMPLETE, 0, 92, WORK "#;rules::eval;rules::eval;rules::eval;rules::eval;__exp"},
	{4, WORKER, STACK_COMPLETE, 0, 20, WORK "#;_dl_runtime;_dl_fixup"},
	{6, WORKER, STACK_COMPLETE, 0, 92, WORK "#;Logger::write;vfprintf"},
	{5, WORKER, STACK_COMPLETE, 0, 92, WORK "#;clock_gettime;__vdso_clock"},
	{20, WORKER, STACK_NO_TABLE, 58, 92, "!0;!1"},
	{10, WORKER, STACK_COMPLETE, 58, 92, WORK "#;!2;!1"},
	{5, WORKER, STACK_NO_RULE, 0, 92, "legacy_hash"},
	{4, WORKER, STACK_JIT, 0, 92, "?;luaV_execute"},
	{3, WORKER, STACK_NO_MAPPING, 0, 92, "~;legacy_hash"},
	{2, WORKER, STACK_UNREADABLE, 0, 92, "Arena::grow;__memset" FAULT},
	{3, WORKER, STACK_TRUNCATED, 50, 70,
	 "json::Parser::value;json::Parser::array;*99;json::Parser::next"},
	{90, MAIN, STACK_COMPLETE, 0, 92, MAIN_LOOP "epoll_wait;" SYSCALL "__x64_sys_epoll;ep_poll;finish"},
	{60, MAIN, STACK_COMPLETE, 0, 92, MAIN_LOOP "Acceptor::on;accept4;" SYSCALL "__x64_sys_accept4"},
	{50, MAIN, STACK_COMPLETE, 0, 92, MAIN_LOOP "EventLoop::tick"},
	{20, MAIN, STACK_COMPLETE, 0, 92, MAIN_LOOP "EventLoop::tick;clock_gettime;__vdso_clock"},
	{24, MAIN, STACK_COMPLETE, 0, 92, MAIN_LOOP "Acceptor::on;read;" SYSCALL},
	{30, MAIN, STACK_COMPLETE, 60, 66,
	 MAIN_LOOP "Config::reload;Config::merge;Config::merge;Config::merge;json::Parser::next"},
	{10, MAIN, STACK_COMPLETE, 0, 6,
	 MAIN_LOOP "Config::reload;i18n::load;std::__cxx11::basic_string;__memmove"},
	{30, GC, STACK_COMPLETE, 0, 92, "clone3;start_thread;gc_main;Gc::sweep"},
	{10, GC, STACK_COMPLETE, 0, 92, "clone3;start_thread;gc_main;Gc::sweep;cfree;_int_free"},
	{20, METRICS, STACK_COMPLETE, 0, 92,
	 "clone3;start_thread;metrics_main;Metrics::flush;Metrics::percentile"},
	{9, METRICS, STACK_COMPLETE, 0, 92,
	 "clone3;start_thread;metrics_main;Metrics::flush;Metrics::percentile;__log"},
	{8, METRICS, STACK_COMPLETE, 0, 92, "clone3;start_thread;metrics_main;Metrics::flush;std::ostream"},
};

/* Load over time, one number for 4 seconds. */
static const uint8_t load[SECONDS / 4] = {4,  9,  14, 19, 22, 6,  1,  0,  8,  17, 34, 38,
					  21, 20, 24, 27, 25, 13, 11, 14, 22, 26, 24};

#define FRAMES_MAX 1024

static uint64_t next_random(uint64_t *state)
{
	/* xorshift64*, Vigna 2016 */
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

static uint64_t module_base(uint32_t module)
{
	for (size_t i = 0; i < COUNT(modules); i++)
		if (modules[i].id == module)
			return modules[i].base;
	return 0;
}

static uint32_t code_module(size_t code)
{
	return code < COUNT(codes) ? codes[code].module : SERVER;
}

/* Functions of a module lie behind each other in the order of the table, each FUNCTION_BYTES long. */
static uint64_t code_start(size_t code)
{
	uint32_t module = code_module(code);
	size_t before = 0;

	for (size_t i = 0; i < code; i++)
		before += code_module(i) == module;
	return module_base(module) + before * FUNCTION_BYTES;
}

/* SIZE_MAX: none. */
static size_t find_code_at(uint32_t module, uint64_t offset)
{
	for (size_t i = 0; i < CODES; i++) {
		uint64_t start;

		if (code_module(i) != module)
			continue;
		start = code_start(i);
		if (offset >= start && offset < start + FUNCTION_BYTES)
			return i;
	}
	return SIZE_MAX;
}

static size_t find_code(const char *name, size_t length)
{
	for (size_t i = 0; i < COUNT(codes); i++)
		if (codes[i].name && !strncmp(codes[i].name, name, length))
			return i;
	fprintf(stderr, "fixture: no function %.*s\n", (int)length, name);
	abort();
}

struct walk {
	size_t codes[FRAMES_MAX]; /* root first; SIZE_MAX - 1: anonymous memory, SIZE_MAX: no mapping */
	size_t count;
};

static void push_step(struct walk *walk, const char *step, size_t length, uint64_t *random)
{
	assert(walk->count < FRAMES_MAX);
	if (*step == '#') {
		/* squared: some handlers are called more often than others */
		uint64_t r = next_random(random) % HANDLERS;

		walk->codes[walk->count++] = COUNT(codes) + r * (next_random(random) % HANDLERS) / HANDLERS;
	} else if (*step == '?') {
		walk->codes[walk->count++] = SIZE_MAX - 1;
	} else if (*step == '~') {
		walk->codes[walk->count++] = SIZE_MAX;
	} else if (*step == '!') {
		size_t first = 0;

		while (codes[first].module != LIBVENDOR)
			first++;
		walk->codes[walk->count++] = first + (size_t)(step[1] - '0');
	} else if (*step == '*') {
		for (int n = atoi(step + 1); n > 0; n--) {
			walk->codes[walk->count] = walk->codes[walk->count - 2];
			walk->codes[walk->count + 1] = walk->codes[walk->count - 1];
			walk->count += 2;
		}
	} else if (length) {
		walk->codes[walk->count++] = find_code(step, length);
	}
}

static void walk_route(const struct route *route, uint64_t *random, struct walk *ret)
{
	ret->count = 0;
	for (const char *step = route->stack; *step;) {
		size_t length = strcspn(step, ";");

		push_step(ret, step, length, random);
		step += length + (step[length] == ';');
	}
}

/* Where in its function a frame is: a call's place depends on what is called, a leaf is at one of five
 * places. */
static uint64_t walk_frame(const struct walk *walk, size_t index, uint64_t random)
{
	size_t code = walk->codes[index];
	uint64_t place;

	if (code == SIZE_MAX)
		return FRAME(MODULE_UNKNOWN, 0x7ffe00001000 + random % 3 * 16);
	if (code == SIZE_MAX - 1)
		return FRAME(MODULE_ANONYMOUS, 0x7f3a10004000 + random % 2 * 64);
	if (index + 1 < walk->count)
		place = (walk->codes[index + 1] * 23 + 5) % (FUNCTION_BYTES - 16) + 8;
	else
		place = 16 + random % 5 * (FUNCTION_BYTES / 8);
	return FRAME(code_module(code), code_start(code) + place);
}

static const struct route *choose_route(double time_s, uint64_t *random)
{
	unsigned total = 0, choice;

	for (size_t i = 0; i < COUNT(routes); i++)
		if (time_s >= routes[i].from_s && time_s < routes[i].to_s)
			total += routes[i].weight;
	choice = (unsigned)(next_random(random) % total);
	for (size_t i = 0; i < COUNT(routes); i++) {
		if (time_s < routes[i].from_s || time_s >= routes[i].to_s)
			continue;
		if (choice < routes[i].weight)
			return &routes[i];
		choice -= routes[i].weight;
	}
	abort();
}

static uint32_t choose_tid(enum crew crew, uint64_t random)
{
	static const uint8_t busy[] = {7, 7, 7, 7, 3, 3,  3,  11, 11, 1,  2,
				       4, 5, 6, 8, 9, 10, 12, 13, 17, 21, 24};

	switch (crew) {
	case MAIN:
		return 4242;
	case GC:
		return 4268;
	case METRICS:
		return 4270;
	case WORKER:
		break;
	}
	return 4243 + busy[random % COUNT(busy)];
}

static void add_sample(struct profile *profile, double time_s, uint64_t *random)
{
	const struct route *route = choose_route(time_s, random);
	union {
		struct sample_record head;
		uint64_t words[sizeof(struct sample_record) / 8 + FRAMES_MAX];
	} record = {
		.head.time_ns = START_NS + (uint64_t)(time_s * 1e6) * 1000,
		.head.end = (uint8_t)route->end,
	};
	uint64_t *frames = record.words + sizeof(struct sample_record) / 8;
	struct walk walk;
	size_t kernel = 0;

	walk_route(route, random, &walk);
	for (size_t i = 0; i < walk.count; i++) {
		uint64_t frame = walk_frame(&walk, walk.count - 1 - i, next_random(random));

		kernel += FRAME_MODULE(frame) == MODULE_KERNEL;
		frames[i] = frame;
	}
	record.head.tid = choose_tid(route->crew, next_random(random));
	record.head.cpu = (uint16_t)(next_random(random) % 2);
	record.head.mode = kernel ? SAMPLE_KERNEL : SAMPLE_USER;
	record.head.kernel_count = (uint16_t)kernel;
	record.head.user_count = (uint16_t)(walk.count - kernel);
	profile_add_sample(profile, &record.head, START_NS);
}

/* The n-th sample comes when the load has summed up to its share. */
static void add_samples(struct profile *profile)
{
	uint64_t random = 0x9e3779b97f4a7c15ull;
	unsigned total = 0, sum = 0, added = 0;

	for (size_t i = 0; i < COUNT(load); i++)
		total += load[i];
	for (size_t i = 0; i < COUNT(load); i++) {
		unsigned until, first = added;

		sum += load[i];
		until = SAMPLES * sum / total;
		for (; added < until; added++)
			add_sample(profile, 4.0 * ((double)i + (double)(added - first) / (until - first)),
				   &random);
	}
}

static void name_frame(struct profile *profile, uint32_t module, uint64_t offset)
{
	size_t code = find_code_at(module, offset);
	struct frame_name name = {.start = offset};
	char text[HANDLER_NAME_MAX];

	if (code == SIZE_MAX) {
		profile_set_name(profile, FRAME(module, offset), &name, 1);
		return;
	}
	name.start = code_start(code);
	if (code >= COUNT(codes)) {
		size_t handler = code - COUNT(codes);

		snprintf(text, sizeof(text), "api::v2::%s%s(Request&, Reply&)", verbs[handler % COUNT(verbs)],
			 nouns[handler / COUNT(verbs)]);
		name.function = text;
		name.file = "/src/api/v2/handlers.cc";
		name.line = (uint32_t)(40 + handler * 12);
	} else {
		name.function = codes[code].name;
		name.file = codes[code].file;
		name.line = codes[code].line;
		name.is_fde = !name.function;
	}
	if (name.line)
		name.line += (uint32_t)((offset - name.start) / 64);
	name.function_length = name.function ? strlen(name.function) : 0;
	name.file_length = name.file ? strlen(name.file) : 0;
	profile_set_name(profile, FRAME(module, offset), &name, 1);
}

void fixture_profile_name_all(struct profile *profile)
{
	uint64_t offsets[64];
	uint32_t module;
	size_t count;

	while ((count = profile_take_unnamed(profile, &module, offsets, COUNT(offsets))))
		for (size_t i = 0; i < count; i++)
			name_frame(profile, module, offsets[i]);
}

static struct error *set_facts(struct profile *profile)
{
	struct totals totals;

	profile_get_totals(profile, &totals);
	return profile_set_facts(profile,
				 &(struct facts){
					 .pid = 4242,
					 .comm = "api-server",
					 .exe = "/srv/api-server",
					 .cmdline = "/srv/api-server --port 8080 --workers 24 --config "
						    "/etc/api/prod.toml",
					 .host = "api-prod-3",
					 .kernel = "6.1.0-28-amd64",
					 .version = "0.1.0",
					 .start_unix_ns = 1772452800000000000ull, /* 2026-03-02 12:00 UTC */
					 .duration_ns = SECONDS * 1000000000ull,
					 .hz_requested = 99,
					 .target_cpu_s = (double)totals.samples / 98.7,
					 .self_cpu_s = 0.37,
					 .probe_hits = totals.samples,
					 .probe_ns_total = totals.samples * 1870,
					 .frames = totals.samples * 14,
					 .memo_frames = totals.samples * 9,
					 .uses_cpu_clock = true,
					 .heap_why = "the heap is not measured by this version",
				 });
}

static struct error *add_modules(struct profile *profile)
{
	for (size_t i = 0; i < COUNT(modules); i++) {
		struct error *error =
			profile_set_module(profile, modules[i].id, modules[i].kind, modules[i].path);

		if (!error)
			error = profile_set_module_symbols(profile, modules[i].id, modules[i].symbols,
							   modules[i].build_id);
		if (error)
			return error;
	}
	return NULL;
}

static struct error *add_events(struct profile *profile)
{
	static const struct event events[] = {
		{0, "attached"},
		{58000000000ull, "dlopen libvendor.so (stripped)"},
		{63500000000ull, "forked 5310"},
		{79000000000ull, "mark \"deploy\""},
	};

	for (size_t i = 0; i < COUNT(events); i++) {
		struct error *error = profile_add_event(profile, events[i].time_ns, events[i].text);

		if (error)
			return error;
	}
	return NULL;
}

static void cleanup_profile(struct profile **profile)
{
	profile_destroy(*profile);
}

struct error *fixture_profile_create_unnamed(struct profile **ret)
{
	_cleanup_(cleanup_profile) struct profile *profile = NULL;
	struct error *error = profile_create(&profile);

	if (!error)
		error = add_modules(profile);
	if (error)
		return error;
	add_samples(profile);
	error = set_facts(profile);
	if (!error)
		error = add_events(profile);
	if (error)
		return error;
	*ret = take_ptr(profile);
	return NULL;
}

struct error *fixture_profile_create(struct profile **ret)
{
	struct profile *profile;
	struct error *error = fixture_profile_create_unnamed(&profile);

	if (error)
		return error;
	fixture_profile_name_all(profile);
	*ret = profile;
	return NULL;
}

/* ---- the heap ---- */

/* What one stack has at the end, and how it came to it. */
struct holding {
	const char *stack; /* as in routes; "malloc" and what passes on are its last frames */
	enum stack_end end;
	uint64_t allocs, frees;
	uint64_t block_bytes; /* of each block */
	uint64_t peak_frees;  /* of the frees, those after the peak */
};

#define MIB   (1ull << 20)
#define KIB   (1ull << 10)
#define NEW   ";operator new;malloc"
#define PARSE WORK "#;json::Parser::next"

static const struct holding holdings[] = {
	/* [0]: HEAP_SLOT_NONE */
	{NULL, STACK_COMPLETE, 240, 200, 2 * KIB, 0},
	{WORK "#;Cache::lookup;Cache::insert" NEW, STACK_COMPLETE, 10210, 710, 13 * KIB, 0},
	{MAIN_LOOP "Config::reload;Cache::insert" NEW, STACK_COMPLETE, 4000, 293, 13 * KIB, 0},
	{WORK "#;Cache::insert;Session::Session" NEW, STACK_COMPLETE, 6022, 102, 12 * KIB, 0},
	{PARSE ";json::Parser::string;std::string::_M_append" NEW, STACK_COMPLETE, 188340, 178100, 4 * KIB,
	 8192},
	{PARSE ";json::Parser::value;std::vector" NEW, STACK_COMPLETE, 92811, 90411, 8 * KIB, 2700},
	{WORK "#;Arena::grow;malloc", STACK_COMPLETE, 31, 9, MIB, 0},
	{"clone3;start_thread;metrics_main;Metrics::flush;Metrics::percentile" NEW, STACK_COMPLETE, 120, 48,
	 128 * KIB, 40},
	{WORK "operator()<;json::Writer::append" NEW, STACK_COMPLETE, 60210, 60194, 4 * KIB, 200},
	{WORK "#;sqlite3_step;sqlite3VdbeExec;malloc", STACK_COMPLETE, 30018, 29818, 8 * KIB, 0},
	{WORK "tls::handshake;SSL_do;malloc", STACK_COMPLETE, 1904, 1440, 34 * KIB, 0},
	{MAIN_LOOP "EventLoop::tick;Gc::sweep;malloc", STACK_COMPLETE, 700, 700, 64 * KIB, 700},
	{WORK "i18n::load" NEW, STACK_COMPLETE, 14, 0, 900 * KIB, 0},
	{"!0;malloc", STACK_NO_TABLE, 812, 400, 20 * KIB, 0},
};
_Static_assert(COUNT(holdings) < HEAP_CHUNK_SLOTS, "fit one chunk");

#define HEAP_PEAK_MS	75000
#define HEAP_BEFORE_MIB 702
#define HEAP_PEAK_EPOCH 41

static struct error *add_wrappers(struct heap *heap)
{
	static const char *const wrappers[] = {"operator new", "malloc", "_int_malloc"};
	struct error *error = NULL;

	for (size_t i = 0; !error && i < COUNT(wrappers); i++) {
		size_t code = find_code(wrappers[i], strlen(wrappers[i]));

		error = heap_add_wrapper(heap, code_module(code), code_start(code),
					 code_start(code) + FUNCTION_BYTES);
	}
	return error;
}

static void add_heap_stack(struct heap *heap, uint32_t slot, uint64_t *random)
{
	const struct route route = {.stack = holdings[slot].stack};
	union {
		struct heap_stack_record head;
		uint64_t words[sizeof(struct heap_stack_record) / 8 + FRAMES_MAX];
	} record = {.head = {.slot = slot, .tid = 4250, .exec = 1, .kind = HEAP_MALLOC}};
	uint64_t *frames = record.words + sizeof(struct heap_stack_record) / 8;
	struct walk walk;

	walk_route(&route, random, &walk);
	for (size_t i = 0; i < walk.count; i++)
		frames[i] = walk_frame(&walk, walk.count - 1 - i, 0);
	record.head.end = (uint8_t)holdings[slot].end;
	record.head.count = (uint16_t)walk.count;
	heap_add_stack(heap, &record.head);
}

static struct heap_totals get_totals(const struct holding *holding)
{
	uint64_t peak = holding->allocs - holding->frees + holding->peak_frees;

	return (struct heap_totals){
		.alloc_count = holding->allocs,
		.alloc_bytes = holding->allocs * holding->block_bytes,
		.free_count = holding->frees,
		.free_bytes = holding->frees * holding->block_bytes,
		/* What was not touched since the peak says nothing of it. */
		.peak_epoch = holding->peak_frees ? HEAP_PEAK_EPOCH : 7,
		.peak_bytes = holding->peak_frees ? peak * holding->block_bytes : 1,
		.first_ns = START_NS,
		.sent = holding->stack != NULL,
		.exec = 1,
	};
}

/* The sums of the books at the end. */
static void sum_holdings(struct heap_facts *ret)
{
	for (size_t i = 0; i < COUNT(holdings); i++) {
		struct heap_totals totals = get_totals(&holdings[i]);

		ret->counters.allocs += totals.alloc_count;
		ret->counters.alloc_bytes += totals.alloc_bytes;
		ret->counters.frees += totals.free_count;
		ret->counters.free_bytes += totals.free_bytes;
		ret->global.live_blocks += totals.alloc_count - totals.free_count;
		ret->global.live_bytes += totals.alloc_bytes - totals.free_bytes;
		ret->global.peak_bytes += totals.peak_epoch == HEAP_PEAK_EPOCH
						  ? totals.peak_bytes
						  : totals.alloc_bytes - totals.free_bytes;
	}
	ret->global.peak_epoch = HEAP_PEAK_EPOCH;
	ret->global.peak_ns = HEAP_PEAK_MS * 1000000ull;
	ret->global.slots = COUNT(holdings) - 1;
	ret->global.peak_exec = 1;
	ret->counters.hits = 2 * ret->counters.allocs + ret->counters.frees;
	ret->counters.program_ns = ret->counters.hits * 610;
	ret->counters.failed = 3;
	ret->counters.frees_before = 4127;
	ret->counters.nested = 36;
	ret->counters.lost_scratch_busy = holdings[0].allocs;
}

/* How much of the growth to the peak has been at a moment, 0 to 1000: steps, a plateau, the peak. */
static uint64_t get_growth(uint64_t time_ms)
{
	static const uint16_t growth[] = {0,   130, 210, 260, 330, 400, 440, 520,
					  560, 610, 700, 730, 780, 840, 910, 1000};
	uint64_t step = HEAP_PEAK_MS / (COUNT(growth) - 1), place = time_ms / step;

	if (place >= COUNT(growth) - 1)
		return 1000;
	return growth[place] + (growth[place + 1] - growth[place]) * (time_ms % step) / step;
}

static struct error *add_heap_points(struct heap *heap, const struct heap_facts *end)
{
	uint64_t random = 0x2545f4914f6cdd1dull, peak = 0;
	struct error *error = NULL;

	for (uint64_t ms = 100; !error && ms <= SECONDS * 1000; ms += 100) {
		struct heap_facts now = *end;
		uint64_t growth = get_growth(ms), live = end->global.peak_bytes / 1000 * growth;
		uint64_t part = ms * 1000 / (SECONDS * 1000), noise = next_random(&random) % (4 * MIB);

		if (ms == HEAP_PEAK_MS)
			live = end->global.peak_bytes;
		else if (ms > HEAP_PEAK_MS)
			live = end->global.live_bytes - (SECONDS * 1000 - ms) * KIB;
		else
			live -= noise < live ? noise : live;
		now.global.live_bytes = live;
		now.global.live_blocks =
			end->global.live_blocks * (live / KIB) / (end->global.live_bytes / KIB);
		now.global.peak_ns = live > peak ? ms * 1000000 : now.global.peak_ns;
		now.global.peak_bytes = peak = live > peak ? live : peak;
		now.counters.allocs = end->counters.allocs / 1000 * part + end->counters.allocs % 1000;
		now.counters.alloc_bytes = end->counters.alloc_bytes / 1000 * part;
		now.counters.frees = end->counters.frees / 1000 * part;
		now.counters.alloc_bytes += now.counters.alloc_bytes < live ? live : 0;
		now.counters.free_bytes = now.counters.alloc_bytes - live;
		if (ms == SECONDS * 1000)
			now = *end;
		error = heap_set_facts(heap, &now);
		heap_add_point(heap, ms * 1000000, HEAP_BEFORE_MIB * MIB + live / 100 * 104);
	}
	return error;
}

static struct error *add_books(struct heap *heap)
{
	_cleanup_free_ struct heap_totals *chunk = calloc(HEAP_CHUNK_SLOTS, sizeof(*chunk));
	uint64_t random = 0x853c49e6748fea9bull;
	struct error *error;

	if (!chunk)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "fixture");
	for (size_t i = 0; i < COUNT(holdings); i++)
		chunk[i] = get_totals(&holdings[i]);
	error = heap_set_chunk(heap, 0, chunk);
	for (uint32_t i = 1; !error && i < COUNT(holdings); i++)
		add_heap_stack(heap, i, &random);
	heap_update(heap, COUNT(holdings) - 1, HEAP_PEAK_EPOCH, 1, 0);
	heap_drop_chunks(heap);
	return error;
}

struct error *fixture_add_heap(struct profile *profile)
{
	struct heap_facts facts = {
		.mode = HEAP_MODE_EXACT,
		.sites = 11,
		.since_ns = 80000000,
		.cost_pct = 1.3,
		.budget_pct = 5,
		.rss_start_bytes = HEAP_BEFORE_MIB * MIB,
	};
	struct heap *heap;
	struct error *error = profile_ensure_heap(profile, &heap);

	sum_holdings(&facts);
	if (!error)
		error = add_wrappers(heap);
	if (!error)
		error = add_books(heap);
	if (!error)
		error = add_heap_points(heap, &facts);
	return error;
}

struct error *fixture_add_heap_closed(struct profile *profile, enum heap_mode mode, const char *why)
{
	struct heap *heap;
	struct heap_facts facts;
	struct error *error = profile_ensure_heap(profile, &heap);

	if (error)
		return error;
	heap_get_facts(heap, &facts);
	facts.mode = mode;
	facts.why = why;
	facts.budget_pct = 5;
	if (mode == HEAP_MODE_CLOSED)
		facts.closed_ns = 61000000000ull;
	return heap_set_facts(heap, &facts);
}

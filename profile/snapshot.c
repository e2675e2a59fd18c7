/* The schema of snapshots: tables are called by one row's name, views (for people) by the many. */
#include "profile/snapshot.h"

#include "profile/snapshot_format.h"

/* clang-format off */
#define TABLE(name, columns) {"table", name, "CREATE TABLE " name "(" columns ")"}
#define VIEW(name, query) {"view", name, "CREATE VIEW " name " AS " query}

const struct schema_object snapshot_schema[] = {
	{"table", "meta", "CREATE TABLE meta(key TEXT PRIMARY KEY NOT NULL, value) WITHOUT ROWID"},
	TABLE("module", "id INTEGER PRIMARY KEY, kind TEXT, symbols TEXT, path TEXT, name TEXT, build_id TEXT, "
			"samples INTEGER"),
	TABLE("function", "id INTEGER PRIMARY KEY, module INTEGER, name TEXT, file TEXT, line INTEGER, self INTEGER, "
			  "total INTEGER, provisional INTEGER"),
	TABLE("frame", "id INTEGER PRIMARY KEY, module INTEGER, offset INTEGER, function INTEGER, file TEXT, "
		       "line INTEGER"),
	TABLE("stack", "id INTEGER PRIMARY KEY, parent INTEGER, frame INTEGER, self INTEGER, self_kernel INTEGER, "
		       "ending INTEGER"),
	TABLE("stack_end", "id INTEGER PRIMARY KEY, name TEXT, samples INTEGER"),
	TABLE("sample", "id INTEGER PRIMARY KEY, time_ns INTEGER, tid INTEGER, cpu INTEGER, kernel INTEGER, "
			"stack INTEGER, count INTEGER"),
	TABLE("event", "id INTEGER PRIMARY KEY, time_ns INTEGER, text TEXT"),
	TABLE("gap", "id INTEGER PRIMARY KEY, from_ns INTEGER, to_ns INTEGER"),
	TABLE("lost", "id INTEGER PRIMARY KEY, reason TEXT, count INTEGER"),
	VIEW("frames",
	     "SELECT f.id AS id, coalesce(n.name, m.name || printf('+0x%x', f.offset)) AS function, "
	     "m.name AS module, f.file AS file, f.line AS line FROM frame f "
	     "LEFT JOIN function n ON n.id = f.function LEFT JOIN module m ON m.id = f.module"),
	VIEW("functions",
	     "SELECT n.name AS function, m.name AS module, n.file AS file, n.line AS line, n.self AS self, "
	     "n.total AS total, round(100.0 * n.self / (SELECT sum(samples) FROM stack_end), 2) AS self_pct, "
	     "round(100.0 * n.total / (SELECT sum(samples) FROM stack_end), 2) AS total_pct "
	     "FROM function n LEFT JOIN module m ON m.id = n.module WHERE n.total > 0 "
	     "ORDER BY n.self DESC, n.total DESC, n.name"),
	VIEW("stacks",
	     "SELECT s.id AS id, s.self AS samples, s.self_kernel AS kernel_samples, e.name AS ending, "
	     "(WITH RECURSIVE up(parent, path) AS (SELECT s.parent, (SELECT function FROM frames WHERE id = s.frame) "
	     "UNION ALL SELECT p.parent, (SELECT function FROM frames WHERE id = p.frame) || ';' || up.path FROM up "
	     "JOIN stack p ON p.id = up.parent) SELECT path FROM up WHERE parent = 0) AS stack "
	     "FROM stack s LEFT JOIN stack_end e ON e.id = s.ending WHERE s.self > 0"),
	VIEW("sites",
	     "SELECT NULL AS function, NULL AS module, NULL AS file, NULL AS line, NULL AS live_bytes, "
	     "NULL AS live_count, NULL AS alloc_bytes, NULL AS alloc_count, NULL AS peak_bytes WHERE 0"),
	VIEW("timeline",
	     "SELECT s.time_ns / 1000000000 AS second, sum(s.count) AS samples, "
	     "sum(s.count * (1 - s.kernel)) AS user_samples, sum(s.count * s.kernel) AS kernel_samples, "
	     "sum(s.count * (coalesce(k.ending, 0) > 0)) AS incomplete "
	     "FROM sample s LEFT JOIN stack k ON k.id = s.stack GROUP BY second ORDER BY second"),
};
/* clang-format on */
const size_t snapshot_schema_count = sizeof(snapshot_schema) / sizeof(*snapshot_schema);

#define FACT(type, name)                                                                                     \
	{                                                                                                    \
#name, type, offsetof(struct facts, name)                                                    \
	}

const struct meta_field snapshot_meta[] = {
	FACT(META_UINT32, pid),
	FACT(META_TEXT, comm),
	FACT(META_TEXT, exe),
	FACT(META_TEXT, cmdline),
	FACT(META_TEXT, host),
	FACT(META_TEXT, kernel),
	FACT(META_TEXT, version),
	FACT(META_UINT64, start_unix_ns),
	FACT(META_UINT64, duration_ns),
	FACT(META_REAL, hz_requested),
	FACT(META_REAL, target_cpu_s),
	FACT(META_REAL, self_cpu_s),
	FACT(META_UINT64, probe_hits),
	FACT(META_UINT64, probe_ns_total),
	FACT(META_EXIT, exit_kind),
	FACT(META_INT, exit_value),
	FACT(META_BOOL, uses_cpu_clock),
	FACT(META_TEXT, heap_why),
	FACT(META_BOOL, is_rescued),
};
const size_t snapshot_meta_count = sizeof(snapshot_meta) / sizeof(*snapshot_meta);

const char *const snapshot_kind_names[SNAPSHOT_KINDS] = {
	[MODULE_KIND_FILE] = "file",
	[MODULE_KIND_VDSO] = "vdso",
	[MODULE_KIND_KERNEL] = "kernel",
	[MODULE_KIND_ANONYMOUS] = "anonymous",
};

const char *const snapshot_symbols_names[SNAPSHOT_SYMBOLS] = {
	[SYMBOLS_STRIPPED] = "stripped",
	[SYMBOLS_MINIMAL] = "minimal",
	[SYMBOLS_FULL] = "full",
	[SYMBOLS_JIT] = "jit",
};

const char *const snapshot_exit_names[SNAPSHOT_EXITS] = {
	[EXIT_NONE] = "none",
	[EXIT_CODE] = "code",
	[EXIT_SIGNAL] = "signal",
};

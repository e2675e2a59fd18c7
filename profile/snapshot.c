/* The schema of snapshots: tables are called by one row's name, views (for people) by the many. */
#include "profile/snapshot.h"

#include "profile/snapshot_format.h"

/* clang-format off */
#define OBJECT(type, name, sql, first, last) {type, name, sql, first, last}
#define TABLE_OF(first, name, columns) \
	OBJECT("table", name, "CREATE TABLE " name "(" columns ")", first, SNAPSHOT_SCHEMA)
#define TABLE(name, columns) TABLE_OF(1, name, columns)
#define FACTS_OF(first, name) \
	OBJECT("table", name, "CREATE TABLE " name "(key TEXT PRIMARY KEY NOT NULL, value) WITHOUT ROWID", first, \
	       SNAPSHOT_SCHEMA)
#define VIEW_OF(first, last, name, query) OBJECT("view", name, "CREATE VIEW " name " AS " query, first, last)
#define VIEW(name, query) VIEW_OF(1, SNAPSHOT_SCHEMA, name, query)

const struct schema_object snapshot_schema[] = {
	FACTS_OF(1, "meta"),
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
	FACTS_OF(2, "heap"),
	TABLE_OF(2, "heap_stack", "id INTEGER PRIMARY KEY, parent INTEGER, frame INTEGER, live_bytes INTEGER, "
				  "live_count INTEGER, alloc_bytes INTEGER, alloc_count INTEGER, peak_bytes INTEGER"),
	TABLE_OF(2, "heap_point", "id INTEGER PRIMARY KEY, time_ns INTEGER, length_ns INTEGER, live_bytes INTEGER, "
				  "live_max_bytes INTEGER, rss_bytes INTEGER, rss_max_bytes INTEGER, allocs INTEGER, "
				  "alloc_bytes INTEGER, frees INTEGER, free_bytes INTEGER"),
	TABLE_OF(3, "inlined", "id INTEGER PRIMARY KEY, around INTEGER, function INTEGER, file TEXT, line INTEGER"),
	TABLE_OF(3, "frame_inlined", "id INTEGER PRIMARY KEY, inlined INTEGER"),
	VIEW_OF(1, 2, "frames",
	     "SELECT f.id AS id, coalesce(n.name, m.name || printf('+0x%x', f.offset)) AS function, "
	     "m.name AS module, f.file AS file, f.line AS line FROM frame f "
	     "LEFT JOIN function n ON n.id = f.function LEFT JOIN module m ON m.id = f.module"),
	VIEW("functions",
	     "SELECT n.name AS function, m.name AS module, n.file AS file, n.line AS line, n.self AS self, "
	     "n.total AS total, round(100.0 * n.self / (SELECT sum(samples) FROM stack_end), 2) AS self_pct, "
	     "round(100.0 * n.total / (SELECT sum(samples) FROM stack_end), 2) AS total_pct "
	     "FROM function n LEFT JOIN module m ON m.id = n.module WHERE n.total > 0 "
	     "ORDER BY n.self DESC, n.total DESC, n.name"),
	VIEW_OF(1, 2, "stacks",
	     "SELECT s.id AS id, s.self AS samples, s.self_kernel AS kernel_samples, e.name AS ending, "
	     "(WITH RECURSIVE up(parent, path) AS (SELECT s.parent, (SELECT function FROM frames WHERE id = s.frame) "
	     "UNION ALL SELECT p.parent, (SELECT function FROM frames WHERE id = p.frame) || ';' || up.path FROM up "
	     "JOIN stack p ON p.id = up.parent) SELECT path FROM up WHERE parent = 0) AS stack "
	     "FROM stack s LEFT JOIN stack_end e ON e.id = s.ending WHERE s.self > 0"),
	VIEW_OF(1, 1, "sites",
	     "SELECT NULL AS function, NULL AS module, NULL AS file, NULL AS line, NULL AS live_bytes, "
	     "NULL AS live_count, NULL AS alloc_bytes, NULL AS alloc_count, NULL AS peak_bytes WHERE 0"),
	VIEW_OF(1, 1, "timeline",
	     "SELECT s.time_ns / 1000000000 AS second, sum(s.count) AS samples, "
	     "sum(s.count * (1 - s.kernel)) AS user_samples, sum(s.count * s.kernel) AS kernel_samples, "
	     "sum(s.count * (coalesce(k.ending, 0) > 0)) AS incomplete "
	     "FROM sample s LEFT JOIN stack k ON k.id = s.stack GROUP BY second ORDER BY second"),
	VIEW_OF(2, SNAPSHOT_SCHEMA, "sites",
	     "SELECT function, module, file, line, live_bytes, live_count, alloc_bytes, alloc_count, peak_bytes FROM "
	     "(SELECT f.function AS function, f.module AS module, f.file AS file, f.line AS line, max(h.alloc_bytes), "
	     "sum(h.live_bytes) AS live_bytes, sum(h.live_count) AS live_count, sum(h.alloc_bytes) AS alloc_bytes, "
	     "sum(h.alloc_count) AS alloc_count, sum(h.peak_bytes) AS peak_bytes FROM heap_stack h "
	     "JOIN frames f ON f.id = h.frame WHERE h.alloc_count > 0 GROUP BY f.function, f.module) "
	     "ORDER BY live_bytes DESC, alloc_bytes DESC, function"),
	VIEW_OF(2, 2, "site_stacks",
	     "SELECT s.id AS id, s.live_bytes AS live_bytes, s.live_count AS live_count, s.alloc_bytes AS alloc_bytes, "
	     "s.alloc_count AS alloc_count, s.peak_bytes AS peak_bytes, "
	     "(WITH RECURSIVE up(parent, path) AS (SELECT s.parent, (SELECT function FROM frames WHERE id = s.frame) "
	     "UNION ALL SELECT p.parent, (SELECT function FROM frames WHERE id = p.frame) || ';' || up.path FROM up "
	     "JOIN heap_stack p ON p.id = up.parent) SELECT path FROM up WHERE parent = 0) AS stack "
	     "FROM heap_stack s WHERE s.alloc_count > 0"),
	VIEW_OF(2, SNAPSHOT_SCHEMA, "timeline",
	     "SELECT t.second AS second, coalesce(c.samples, 0) AS samples, coalesce(c.user_samples, 0) AS user_samples, "
	     "coalesce(c.kernel_samples, 0) AS kernel_samples, coalesce(c.incomplete, 0) AS incomplete, "
	     "h.live_bytes AS live_bytes, h.rss_bytes AS rss_bytes FROM "
	     "(SELECT time_ns / 1000000000 AS second FROM sample UNION SELECT time_ns / 1000000000 FROM heap_point) t "
	     "LEFT JOIN (SELECT s.time_ns / 1000000000 AS second, sum(s.count) AS samples, "
	     "sum(s.count * (1 - s.kernel)) AS user_samples, sum(s.count * s.kernel) AS kernel_samples, "
	     "sum(s.count * (coalesce(k.ending, 0) > 0)) AS incomplete "
	     "FROM sample s LEFT JOIN stack k ON k.id = s.stack GROUP BY 1) c ON c.second = t.second "
	     "LEFT JOIN (SELECT time_ns / 1000000000 AS second, live_bytes, rss_bytes, max(time_ns) "
	     "FROM heap_point GROUP BY 1) h ON h.second = t.second ORDER BY t.second"),
	VIEW_OF(3, SNAPSHOT_SCHEMA, "frames",
	     "SELECT f.id AS id, coalesce(n.name, m.name || printf('+0x%x', f.offset)) AS function, "
	     "m.name AS module, f.file AS file, f.line AS line, "
	     "(WITH RECURSIVE up(around, path) AS "
	     "(SELECT coalesce(i.inlined, 0), coalesce(n.name, m.name || printf('+0x%x', f.offset)) "
	     "UNION ALL SELECT c.around, (SELECT name FROM function WHERE id = c.function) || ';' || up.path FROM up "
	     "JOIN inlined c ON c.id = up.around) SELECT path FROM up WHERE around = 0) AS path FROM frame f "
	     "LEFT JOIN function n ON n.id = f.function LEFT JOIN module m ON m.id = f.module "
	     "LEFT JOIN frame_inlined i ON i.id = f.id"),
	VIEW_OF(3, SNAPSHOT_SCHEMA, "stacks",
	     "SELECT s.id AS id, s.self AS samples, s.self_kernel AS kernel_samples, e.name AS ending, "
	     "(WITH RECURSIVE up(parent, path) AS (SELECT s.parent, (SELECT path FROM frames WHERE id = s.frame) "
	     "UNION ALL SELECT p.parent, (SELECT path FROM frames WHERE id = p.frame) || ';' || up.path FROM up "
	     "JOIN stack p ON p.id = up.parent) SELECT path FROM up WHERE parent = 0) AS stack "
	     "FROM stack s LEFT JOIN stack_end e ON e.id = s.ending WHERE s.self > 0"),
	VIEW_OF(3, SNAPSHOT_SCHEMA, "site_stacks",
	     "SELECT s.id AS id, s.live_bytes AS live_bytes, s.live_count AS live_count, s.alloc_bytes AS alloc_bytes, "
	     "s.alloc_count AS alloc_count, s.peak_bytes AS peak_bytes, "
	     "(WITH RECURSIVE up(parent, path) AS (SELECT s.parent, (SELECT path FROM frames WHERE id = s.frame) "
	     "UNION ALL SELECT p.parent, (SELECT path FROM frames WHERE id = p.frame) || ';' || up.path FROM up "
	     "JOIN heap_stack p ON p.id = up.parent) SELECT path FROM up WHERE parent = 0) AS stack "
	     "FROM heap_stack s WHERE s.alloc_count > 0"),
};
/* clang-format on */
const size_t snapshot_schema_count = sizeof(snapshot_schema) / sizeof(*snapshot_schema);

#define FACT(type, name)                                                                                     \
	{                                                                                                    \
#name, type, offsetof(struct facts, name)                                                    \
	}

const struct meta_field snapshot_meta[] = {
	FACT(META_UINT32, pid),		FACT(META_TEXT, comm),
	FACT(META_TEXT, exe),		FACT(META_TEXT, cmdline),
	FACT(META_TEXT, host),		FACT(META_TEXT, kernel),
	FACT(META_TEXT, version),	FACT(META_UINT64, start_unix_ns),
	FACT(META_UINT64, duration_ns), FACT(META_REAL, hz_requested),
	FACT(META_REAL, target_cpu_s),	FACT(META_REAL, self_cpu_s),
	FACT(META_UINT64, probe_hits),	FACT(META_UINT64, probe_ns_total),
	FACT(META_UINT64, frames),	FACT(META_UINT64, memo_frames),
	FACT(META_UINT64, memo_wrong),	FACT(META_EXIT, exit_kind),
	FACT(META_INT, exit_value),	FACT(META_BOOL, uses_cpu_clock),
	FACT(META_TEXT, heap_why),	FACT(META_BOOL, is_rescued),
};
const size_t snapshot_meta_count = sizeof(snapshot_meta) / sizeof(*snapshot_meta);

#define HEAP_FACT(type, key, name)                                                                           \
	{                                                                                                    \
		key, type, offsetof(struct heap_facts, name)                                                 \
	}
#define COUNTER(name) HEAP_FACT(META_UINT64, #name, counters.name)
#define GLOBAL(name)  HEAP_FACT(META_UINT64, #name, global.name)

const struct meta_field snapshot_heap[] = {
	HEAP_FACT(META_MODE, "mode", mode),
	HEAP_FACT(META_TEXT, "why", why),
	HEAP_FACT(META_UINT32, "sites", sites),
	HEAP_FACT(META_UINT64, "since_ns", since_ns),
	HEAP_FACT(META_UINT64, "closed_ns", closed_ns),
	HEAP_FACT(META_UINT64, "unseen_ns", unseen_ns),
	HEAP_FACT(META_REAL, "cost_pct", cost_pct),
	HEAP_FACT(META_REAL, "budget_pct", budget_pct),
	HEAP_FACT(META_UINT64, "rss_start_bytes", rss_start_bytes),
	COUNTER(hits),
	COUNTER(program_ns),
	COUNTER(allocs),
	COUNTER(alloc_bytes),
	COUNTER(frees),
	COUNTER(free_bytes),
	COUNTER(failed),
	COUNTER(frees_before),
	COUNTER(nested),
	COUNTER(abandoned),
	COUNTER(refused),
	COUNTER(refused_bytes),
	COUNTER(lost_scratch_busy),
	COUNTER(lost_stack_full),
	COUNTER(lost_ring_full),
	COUNTER(lost_pending),
	COUNTER(unknown_pc),
	COUNTER(unseen_frees),
	COUNTER(frames),
	COUNTER(memo_frames),
	GLOBAL(live_blocks),
	GLOBAL(live_bytes),
	GLOBAL(peak_bytes),
	GLOBAL(peak_epoch),
	GLOBAL(peak_ns),
	GLOBAL(gone_blocks),
	GLOBAL(gone_bytes),
	GLOBAL(exec),
	HEAP_FACT(META_UINT32, "slots", global.slots),
	HEAP_FACT(META_UINT32, "peak_exec", global.peak_exec),
};
const size_t snapshot_heap_count = sizeof(snapshot_heap) / sizeof(*snapshot_heap);

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

const char *const snapshot_mode_names[SNAPSHOT_MODES] = {
	[HEAP_MODE_OFF] = "off",
	[HEAP_MODE_WAITING] = "waiting",
	[HEAP_MODE_EXACT] = "exact",
	[HEAP_MODE_CLOSED] = "closed",
};

/* What the writer and the reader of snapshots share: the schema, the facts' keys, the hash of a row. Nobody
 * else includes this; docs/snapshot.md says the same to people.
 *
 * Invariants: a change of any table, view or meaning raises SNAPSHOT_SCHEMA. A new key in meta does not:
 * readers skip keys that they do not know.
 */
#ifndef KILN_PROFILE_SNAPSHOT_FORMAT_H
#define KILN_PROFILE_SNAPSHOT_FORMAT_H

#include "profile/heap.h"
#include "profile/profile.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define SNAPSHOT_APPLICATION_ID 0x6b696c6e /* "kiln" */
#define SNAPSHOT_SCHEMA		3
#define SNAPSHOT_CHECKSUM_KEY	"checksum"

/* Longest text of a file that is not a function's name: command lines, paths. */
#define SNAPSHOT_TEXT_MAX 65536

/* The whole of sqlite_schema, in its order: of all schemas; one has those of its time. */
struct schema_object {
	const char *type, *name, *sql;
	uint32_t first, last; /* the schemas that have it */
};
extern const struct schema_object snapshot_schema[];
extern const size_t snapshot_schema_count;

static inline bool schema_object_is_in(const struct schema_object *object, uint32_t schema)
{
	return schema >= object->first && schema <= object->last;
}

/* ---- the facts, by key in the tables meta and heap ---- */

enum meta_type { META_TEXT, META_UINT32, META_UINT64, META_REAL, META_BOOL, META_INT, META_EXIT, META_MODE };

struct meta_field {
	const char *key;
	enum meta_type type;
	size_t offset; /* in struct facts, or struct heap_facts */
};
extern const struct meta_field snapshot_meta[];
extern const size_t snapshot_meta_count;
extern const struct meta_field snapshot_heap[];
extern const size_t snapshot_heap_count;

/* ---- enums as the words that people read ---- */

extern const char *const snapshot_kind_names[];	   /* enum module_kind */
extern const char *const snapshot_symbols_names[]; /* enum module_symbols */
extern const char *const snapshot_exit_names[];	   /* enum exit_kind */
extern const char *const snapshot_mode_names[];	   /* enum heap_mode */
#define SNAPSHOT_KINDS	 (MODULE_KIND_ANONYMOUS + 1)
#define SNAPSHOT_SYMBOLS (SYMBOLS_JIT + 1)
#define SNAPSHOT_EXITS	 (EXIT_SIGNAL + 1)
#define SNAPSHOT_MODES	 (HEAP_MODE_CLOSED + 1)

/* ---- the hash of a row ----
 * Starts with the table's name as a text; each column adds its type (as SQLite numbers them) and its value.
 * The checksum of a snapshot is the sum of all rows' hashes modulo 2^64: it does not depend on the order. It
 * finds damage; it is no signature.
 */
static inline uint64_t row_hash_word(uint64_t hash, uint64_t word)
{
	/* The finaliser of MurmurHash3 (Austin Appleby, public domain). Not base/hash.h: that may change. */
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
	hash ^= hash >> 33;
	hash *= 0xff51afd7ed558ccdull;
	hash ^= hash >> 33;
	hash *= 0xc4ceb9fe1a85ec53ull;
	return hash ^ hash >> 33;
}

enum { ROW_INTEGER = 1, ROW_REAL = 2, ROW_TEXT = 3, ROW_NULL = 5 };

static inline uint64_t row_hash_integer(uint64_t hash, int64_t value)
{
	return row_hash_word(row_hash_word(hash, ROW_INTEGER), (uint64_t)value);
}

static inline uint64_t row_hash_real(uint64_t hash, double value)
{
	uint64_t word;

	memcpy(&word, &value, sizeof(word));
	return row_hash_word(row_hash_word(hash, ROW_REAL), word);
}

static inline uint64_t row_hash_null(uint64_t hash)
{
	return row_hash_word(hash, ROW_NULL);
}

static inline uint64_t row_hash_text(uint64_t hash, const char *text, size_t length)
{
	hash = row_hash_word(row_hash_word(hash, ROW_TEXT), length);
	for (size_t i = 0; i < length; i += 8) {
		uint64_t word = 0;

		memcpy(&word, text + i, length - i < 8 ? length - i : 8); /* little-endian: x86-64 only */
		hash = row_hash_word(hash, word);
	}
	return hash;
}

#endif

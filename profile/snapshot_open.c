#include "profile/snapshot_open.h"

#include "base/cleanup.h"
#include "profile/snapshot_cursor.h"
#include "profile/snapshot_format.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define IMAGE_SIZE_MAX (4ull << 30)
#define STEPS_A_TICK   1000

/* The header of a database (sqlite.org/fileformat.html, 1.3), numbers big-endian. */
struct file_header {
	char magic[16];
	uint16_t page_size;
	uint8_t write_version, read_version;
	uint8_t fractions[4];
	uint32_t change_counter, page_count;
	uint32_t unused[6];
	uint32_t text_encoding, user_version, incremental, application_id;
	uint32_t reserved[5];
	uint32_t version_valid_for, sqlite_version;
};
_Static_assert(sizeof(struct file_header) == 100, "the header is 100 bytes");

static const char hint_foreign[] = "give a file that kiln record or S in the dashboard has made";

static struct error *fail_foreign(const char *why)
{
	return error_create(ERROR_BAD_FILE, 0, hint_foreign, "no kiln snapshot: %s", why);
}

static struct error *open_file(const char *path, int *ret, uint64_t *ret_size)
{
	/* O_NONBLOCK: a FIFO without a writer would keep us waiting. */
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat status;

	if (fd < 0)
		return error_create(ERROR_GENERAL, errno, "check the path and who may read it", "open");
	if (fstat(fd, &status))
		return error_create(ERROR_GENERAL, errno, NULL, "fstat");
	if (!S_ISREG(status.st_mode))
		return fail_foreign(S_ISDIR(status.st_mode) ? "it is a directory" : "it is no regular file");
	*ret_size = (uint64_t)status.st_size;
	*ret = take_fd(&fd);
	return NULL;
}

static struct error *read_bytes(int fd, void *bytes, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t count = pread(fd, (char *)bytes + done, size - done, (off_t)done);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return error_create(ERROR_GENERAL, errno, NULL, "read");
		if (!count)
			return error_create(ERROR_BAD_FILE, 0, snapshot_hint_damaged,
					    "damaged: it ends too early");
		done += (size_t)count;
	}
	return NULL;
}

static struct error *check_header(const struct file_header *header, uint64_t size)
{
	uint64_t page_size = be16toh(header->page_size) == 1 ? 65536 : be16toh(header->page_size);
	uint64_t expected = page_size * be32toh(header->page_count);

	if (memcmp(header->magic, "SQLite format 3", sizeof(header->magic)))
		return fail_foreign("it is no SQLite database");
	if (be32toh(header->application_id) != SNAPSHOT_APPLICATION_ID)
		return fail_foreign("the database is another program's");
	if (be32toh(header->user_version) > SNAPSHOT_SCHEMA)
		return error_create(ERROR_BAD_FILE, 0, "open it with that kiln or a newer one",
				    "made by a newer kiln (schema %u, this one knows %d)",
				    be32toh(header->user_version), SNAPSHOT_SCHEMA);
	if (be32toh(header->user_version) < 1 || be32toh(header->text_encoding) != SQLITE_UTF8)
		return error_create(ERROR_BAD_FILE, 0, snapshot_hint_damaged,
				    "damaged: its header is impossible");
	if (expected != size)
		return error_create(ERROR_BAD_FILE, 0, snapshot_hint_damaged,
				    "damaged: %llu bytes long, should be %llu", (unsigned long long)size,
				    (unsigned long long)expected);
	return NULL;
}

static struct error *load_bytes(const char *path, struct image *image)
{
	_cleanup_close_ int fd = -1;
	struct file_header header;
	struct error *error;
	uint64_t size = 0;
	void *bytes;

	error = open_file(path, &fd, &size);
	if (error)
		return error;
	if (size < sizeof(header))
		return fail_foreign(size ? "it is too short" : "it is empty");
	error = read_bytes(fd, &header, sizeof(header));
	if (!error)
		error = check_header(&header, size);
	if (error)
		return error;
	if (size > IMAGE_SIZE_MAX)
		return error_create(ERROR_BAD_FILE, EFBIG, NULL, "no snapshot is larger than 4 GiB");
	bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (bytes == MAP_FAILED)
		return error_create(ERROR_GENERAL, errno, NULL, "%llu bytes of memory",
				    (unsigned long long)size);
	image->bytes = bytes;
	image->size = size;
	image->schema = be32toh(header.user_version);
	return read_bytes(fd, bytes, size);
}

static int count_steps(void *arg)
{
	struct image *image = arg;

	return --image->steps_left < 0;
}

/* sqlite.org/security.html, "untrusted SQLite database files" */
static void defend(struct image *image)
{
	static const struct {
		int limit, value;
	} limits[] = {
		{SQLITE_LIMIT_LENGTH, 1 << 20},	   {SQLITE_LIMIT_SQL_LENGTH, 1 << 16},
		{SQLITE_LIMIT_COLUMN, 32},	   {SQLITE_LIMIT_EXPR_DEPTH, 50},
		{SQLITE_LIMIT_COMPOUND_SELECT, 4}, {SQLITE_LIMIT_VDBE_OP, 25000},
		{SQLITE_LIMIT_FUNCTION_ARG, 8},	   {SQLITE_LIMIT_ATTACHED, 0},
		{SQLITE_LIMIT_VARIABLE_NUMBER, 4}, {SQLITE_LIMIT_TRIGGER_DEPTH, 1},
		{SQLITE_LIMIT_WORKER_THREADS, 0},
	};

	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++)
		sqlite3_limit(image->db, limits[i].limit, limits[i].value);
	sqlite3_db_config(image->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(image->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_db_config(image->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	sqlite3_db_config(image->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
	sqlite3_db_config(image->db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
	/* Interior pages that point to one another make a walk endless. A row takes at least 8 bytes and,
	 * read and checked, less than 200 steps. */
	image->steps_left = (long)(10000000 / STEPS_A_TICK + image->size / 8 * 200 / STEPS_A_TICK);
	sqlite3_progress_handler(image->db, STEPS_A_TICK, count_steps, image);
}

static bool is_object(sqlite3_stmt *row, const struct schema_object *object)
{
	const char *const expected[] = {object->type, object->name, object->name, object->sql};

	for (int i = 0; i < 4; i++) {
		const char *text = (const char *)sqlite3_column_text(row, i);

		if (!text || strcmp(text, expected[i]))
			return false;
	}
	return true;
}

/* The next one of the image's schema, from one on; NULL: there is none. */
static const struct schema_object *next_object(const struct image *image, const struct schema_object *object)
{
	for (; object < snapshot_schema + snapshot_schema_count; object++)
		if (schema_object_is_in(object, image->schema))
			return object;
	return NULL;
}

/* A trigger or a view in a table's place would run while we read: the schema must be ours to the letter. */
static struct error *check_schema(struct image *image)
{
	static const char sql[] = "SELECT type, name, tbl_name, sql FROM main.sqlite_master";
	sqlite3_stmt *statement = NULL;
	const struct schema_object *expected = next_object(image, snapshot_schema);
	int code = sqlite3_prepare_v2(image->db, sql, -1, &statement, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_step(statement);
	for (; code == SQLITE_ROW && expected; code = sqlite3_step(statement)) {
		if (!is_object(statement, expected))
			break;
		expected = next_object(image, expected + 1);
	}
	sqlite3_finalize(statement);
	if (code != SQLITE_ROW && code != SQLITE_DONE)
		return snapshot_fail_sqlite(image->db);
	if (code != SQLITE_DONE || expected)
		return error_create(ERROR_BAD_FILE, 0, snapshot_hint_damaged,
				    "damaged: its tables are not those of a snapshot");
	return NULL;
}

static struct error *check_pages(struct image *image)
{
	struct error *error = NULL;
	sqlite3_stmt *statement = NULL;
	const char *text;

	if (sqlite3_prepare_v2(image->db, "PRAGMA quick_check(1)", -1, &statement, NULL) != SQLITE_OK ||
	    sqlite3_step(statement) != SQLITE_ROW) {
		error = snapshot_fail_sqlite(image->db);
	} else {
		text = (const char *)sqlite3_column_text(statement, 0);
		if (!text || strcmp(text, "ok"))
			error = error_create(ERROR_BAD_FILE, 0, snapshot_hint_damaged, "damaged: %s",
					     text ? text : "?");
	}
	sqlite3_finalize(statement);
	return error;
}

struct error *image_open(const char *path, struct image *ret)
{
	struct error *error = load_bytes(path, ret);

	if (error)
		return error;
	if (sqlite3_open_v2(":memory:", &ret->db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
		return ret->db ? snapshot_fail_sqlite(ret->db)
			       : error_create(ERROR_GENERAL, ENOMEM, NULL, "read");
	defend(ret);
	if (sqlite3_deserialize(ret->db, "main", ret->bytes, (sqlite3_int64)ret->size,
				(sqlite3_int64)ret->size, SQLITE_DESERIALIZE_READONLY) != SQLITE_OK ||
	    sqlite3_exec(ret->db, "PRAGMA cell_size_check=ON", NULL, NULL, NULL) != SQLITE_OK)
		return snapshot_fail_sqlite(ret->db);
	error = check_schema(ret);
	return error ? error : check_pages(ret);
}

void image_deinit(struct image *image)
{
	sqlite3_close_v2(image->db);
	if (image->bytes)
		munmap(image->bytes, image->size);
}

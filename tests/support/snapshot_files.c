#include "tests/support/snapshot_files.h"

#include "base/cleanup.h"
#include "profile/snapshot.h"
#include "tests/support/fixture.h"
#include "tests/support/profile_equal.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

char directory[64];
char path[128];	  /* of the fixture's snapshot */
char target[128]; /* for each test to write */
struct profile *fixture;

/* The message must contain `part`; takes the error. */
void assert_error(struct error *error, enum error_code code, const char *part)
{
	assert_non_null(error);
	if (error_get_code(error) != code || !strstr(error_get_message(error), part))
		fail_msg("expected %d \"%s\", got %d \"%s\"", code, part, error_get_code(error),
			 error_get_message(error));
	assert_non_null(error_get_hint(error));
	error_destroy(error);
}

void assert_equal(struct profile *a, struct profile *b)
{
	if (!profile_equal(a, b, stderr))
		fail_msg("the profiles differ");
}

unsigned char *load(const char *file, size_t *ret_size)
{
	_cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC);
	struct stat status;
	unsigned char *bytes;

	assert_return_code(fd, errno);
	assert_return_code(fstat(fd, &status), errno);
	bytes = malloc((size_t)status.st_size + 1);
	assert_non_null(bytes);
	assert_int_equal(read(fd, bytes, (size_t)status.st_size), status.st_size);
	*ret_size = (size_t)status.st_size;
	return bytes;
}

void store(const char *file, const void *bytes, size_t size)
{
	_cleanup_close_ int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_return_code(fd, errno);
	assert_int_equal(write(fd, bytes, size), size);
}

/* Nothing but these files is in the directory. */
void assert_files(unsigned expected)
{
	char command[128], line[64] = "";
	_cleanup_(cleanup_fclose) FILE *list = NULL;
	unsigned count = 0;

	snprintf(command, sizeof(command), "ls -A %s", directory);
	list = popen(command, "r");
	assert_non_null(list);
	while (fgets(line, sizeof(line), list))
		count++;
	pclose(take_ptr(list));
	assert_int_equal(count, expected);
}

int64_t query(const char *file, const char *sql)
{
	sqlite3_stmt *statement;
	int64_t value;
	sqlite3 *db;

	assert_int_equal(sqlite3_open_v2(file, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	value = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return value;
}

uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

int snapshot_files_set_up(void **state)
{
	strcpy(directory, "/tmp/kiln-test-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/fixture.kiln", directory);
	snprintf(target, sizeof(target), "%s/target.kiln", directory);
	assert_no_error(fixture_profile_create(&fixture));
	assert_no_error(fixture_add_heap(fixture));
	fixture_profile_name_all(fixture);
	assert_no_error(snapshot_write(fixture, path));
	return 0;
}

int snapshot_files_tear_down(void **state)
{
	unlink(path);
	unlink(target);
	profile_destroy(fixture);
	return rmdir(directory);
}

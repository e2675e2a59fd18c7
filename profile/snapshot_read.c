/* Reading a snapshot: table by table into a new profile, then the sum of all row hashes is compared.
 *
 * The profile's own sums (self, total, timeline) are made anew from stacks and samples; what the file says of
 * them is for people with sqlite3. */
#include "profile/snapshot.h"

#include "base/cleanup.h"
#include "profile/snapshot_cursor.h"
#include "profile/snapshot_format.h"
#include "profile/snapshot_open.h"
#include "profile/snapshot_reader.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct error *reader_fail_memory(void)
{
	return error_create(ERROR_GENERAL, ENOMEM, NULL, "read");
}

static struct error *reader_open(struct reader *reader, const char *table, const char *columns,
				 struct cursor *ret)
{
	return cursor_open(reader->image.db, table, columns, ret);
}

/* ---- meta ---- */

static struct error *keep_text(struct reader *reader, const char *text, const char **ret)
{
	char *copy = strdup(text);

	if (!copy || !array_append(&reader->texts, copy)) {
		free(copy);
		return reader_fail_memory();
	}
	*ret = copy;
	return NULL;
}

static struct error *read_field(struct reader *reader, struct cursor *cursor, const struct meta_field *field,
				void *facts)
{
	char *at = (char *)facts + field->offset;
	const char *text;

	switch (field->type) {
	case META_TEXT:
		text = cursor_take_text_or_null(cursor);
		return text ? keep_text(reader, text, (const char **)at) : NULL;
	case META_UINT32:
		*(uint32_t *)at = (uint32_t)cursor_take_integer(cursor, 0, UINT32_MAX);
		return NULL;
	case META_UINT64:
		*(uint64_t *)at = (uint64_t)cursor_take_integer(cursor, 0, INT64_MAX);
		return NULL;
	case META_REAL:
		*(double *)at = cursor_take_real(cursor);
		return NULL;
	case META_BOOL:
		*(bool *)at = cursor_take_integer(cursor, 0, 1);
		return NULL;
	case META_INT:
		*(int *)at = (int)cursor_take_integer(cursor, 0, INT32_MAX);
		return NULL;
	case META_MODE:
		*(enum heap_mode *)at =
			(enum heap_mode)cursor_take_word(cursor, snapshot_mode_names, SNAPSHOT_MODES);
		return NULL;
	case META_EXIT:
		*(enum exit_kind *)at =
			(enum exit_kind)cursor_take_word(cursor, snapshot_exit_names, SNAPSHOT_EXITS);
		return NULL;
	}
	return NULL;
}

struct error *reader_read_field(struct reader *reader, struct cursor *cursor, const char *key,
				const struct meta_field *fields, size_t count, void *facts)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(key, fields[i].key))
			return read_field(reader, cursor, &fields[i], facts);
	return NULL;
}

static struct error *read_meta_row(struct reader *reader, struct cursor *cursor)
{
	const char *key = cursor_take_text(cursor);

	if (!strcmp(key, SNAPSHOT_CHECKSUM_KEY)) {
		reader->checksum = cursor_take_integer(cursor, INT64_MIN, INT64_MAX);
		reader->has_checksum = true;
		cursor->sum -= cursor->hash; /* it is the sum of the others */
		return NULL;
	}
	return reader_read_field(reader, cursor, key, snapshot_meta, snapshot_meta_count, &reader->facts);
}

/* ---- the other tables, a row each ---- */

static struct error *read_module_row(struct reader *reader, struct cursor *cursor)
{
	uint32_t id = (uint32_t)cursor_take_integer(cursor, 0, MODULE_LIMIT - 1);
	int kind = cursor_take_word(cursor, snapshot_kind_names, SNAPSHOT_KINDS);
	int symbols = cursor_take_word(cursor, snapshot_symbols_names, SNAPSHOT_SYMBOLS);
	const char *path = cursor_take_text(cursor), *build_id;
	struct error *error;

	cursor_take_text(cursor); /* name: the path's last component */
	build_id = cursor_take_text(cursor);
	error = cursor_check(cursor);
	if (!error)
		error = profile_set_module(reader->profile, id, (enum module_kind)kind, path);
	if (!error)
		error = profile_set_module_symbols(reader->profile, id, (enum module_symbols)symbols,
						   build_id);
	return error;
}

static struct error *read_function_row(struct reader *reader, struct cursor *cursor)
{
	struct function_number function = {.id = cursor_take_integer(cursor, 0, UINT32_MAX)};
	uint32_t module = (uint32_t)cursor_take_integer(cursor, 0, MODULE_LIMIT - 1);
	const char *name = cursor_take_text(cursor);
	bool is_provisional;
	struct error *error;

	cursor_take_text_or_null(cursor); /* file, line, self, total: made anew */
	for (int i = 0; i < 3; i++)
		cursor_take_integer(cursor, 0, INT64_MAX);
	is_provisional = cursor_take_integer(cursor, 0, 1);
	error = cursor_check(cursor);
	/* Provisional functions come with their frames. */
	if (error || is_provisional)
		return error;
	function.number = profile_intern_function(reader->profile, module, name);
	if (function.number == UINT32_MAX || !array_append(&reader->functions, function))
		return reader_fail_memory();
	return NULL;
}

static int compare_functions(const void *a, const void *b)
{
	int64_t first = *(const int64_t *)a, second = ((const struct function_number *)b)->id;

	return first < second ? -1 : first > second;
}

/* NULL: there is none. */
static const struct function_number *find_function(const struct reader *reader, int64_t id)
{
	if (!reader->functions.count)
		return NULL;
	return bsearch(&id, reader->functions.items, reader->functions.count,
		       sizeof(*reader->functions.items), compare_functions);
}

static struct error *read_inlined_row(struct reader *reader, struct cursor *cursor)
{
	int64_t id = cursor_take_integer(cursor, 1, UINT32_MAX);
	int64_t around = cursor_take_integer(cursor, 0, (int64_t)reader->inlines.count);
	int64_t function_id = cursor_take_integer(cursor, 0, UINT32_MAX);
	struct inlined inlined = {.file = cursor_take_text_or_null(cursor)};
	const struct function_number *function = find_function(reader, function_id);
	struct error *error;
	uint32_t number;

	inlined.line = (uint32_t)cursor_take_integer(cursor, 0, UINT32_MAX);
	error = cursor_check(cursor);
	if (error)
		return error;
	if (id != (int64_t)reader->inlines.count + 1)
		return cursor_fail(cursor, "inlined calls are not numbered from 1");
	if (!function)
		return cursor_fail(cursor, "no such function");
	inlined.function = function->number;
	inlined.around = around ? reader->inlines.items[around - 1] : 0;
	number = profile_intern_inline(reader->profile, &inlined);
	if (!number)
		return error_create(ERROR_BAD_FILE, 0, snapshot_hint_damaged, "too deep, or memory is short");
	return array_append(&reader->inlines, number) ? NULL : reader_fail_memory();
}

static struct error *read_frame_inlined_row(struct reader *reader, struct cursor *cursor)
{
	int64_t frame = cursor_take_integer(cursor, 1, (int64_t)reader->frames.count);
	int64_t inlined = cursor_take_integer(cursor, 1, (int64_t)reader->inlines.count);
	struct error *error = cursor_check(cursor);

	if (!error)
		profile_set_frame_inline(reader->profile, reader->frames.items[frame - 1],
					 reader->inlines.items[inlined - 1]);
	return error;
}

static struct error *read_frame_row(struct reader *reader, struct cursor *cursor)
{
	int64_t id = cursor_take_integer(cursor, 1, UINT32_MAX), function_id = -1;
	uint32_t module = (uint32_t)cursor_take_integer(cursor, 0, MODULE_LIMIT - 1);
	uint64_t offset = (uint64_t)cursor_take_integer(cursor, 0, FRAME_OFFSET_MASK),
		 frame = FRAME(module, offset);
	const struct function_number *function;
	struct error *error;
	const char *file;
	uint32_t line;

	if (!cursor_take_null(cursor))
		function_id = cursor_take_integer(cursor, 0, UINT32_MAX);
	file = cursor_take_text_or_null(cursor);
	line = (uint32_t)cursor_take_integer(cursor, 0, UINT32_MAX);
	error = cursor_check(cursor);
	if (error)
		return error;
	if (id != (int64_t)reader->frames.count + 1)
		return cursor_fail(cursor, "frames are not numbered from 1");
	if (module == MODULE_STACK_END && offset >= STACK_ENDS)
		return cursor_fail(cursor, "no such end of a stack");
	if (!array_append(&reader->frames, frame))
		return reader_fail_memory();
	if (function_id < 0)
		return NULL;
	function = find_function(reader, function_id);
	if (!function)
		return cursor_fail(cursor, "no such function");
	profile_set_frame(reader->profile, frame, function->number, file, line);
	return NULL;
}

/* What the root says about how the stack ended. */
static uint8_t get_end(const struct reader *reader, int64_t parent, uint64_t frame)
{
	if (parent)
		return reader->stacks.items[parent].end;
	return FRAME_MODULE(frame) == MODULE_STACK_END ? (uint8_t)FRAME_OFFSET(frame) : STACK_COMPLETE;
}

static struct error *read_stack_row(struct reader *reader, struct cursor *cursor)
{
	int64_t id = cursor_take_integer(cursor, 1, UINT32_MAX);
	int64_t parent = cursor_take_integer(cursor, 0, (int64_t)reader->stacks.count - 1);
	int64_t frame_id = cursor_take_integer(cursor, 1, (int64_t)reader->frames.count);
	struct stack_number stack = {
		.self = (uint64_t)cursor_take_integer(cursor, 0, INT64_MAX),
		.self_kernel = (uint64_t)cursor_take_integer(cursor, 0, INT64_MAX),
	};
	int64_t end = cursor_take_integer(cursor, 0, STACK_ENDS - 1);
	struct error *error = cursor_check(cursor);
	uint64_t frame;

	if (error)
		return error;
	frame = reader->frames.items[frame_id - 1];
	stack.end = get_end(reader, parent, frame);
	if (id != (int64_t)reader->stacks.count)
		return cursor_fail(cursor, "stacks are not numbered from 1");
	if (stack.end != end || (parent && FRAME_MODULE(frame) == MODULE_STACK_END))
		return cursor_fail(cursor, "its end is not that of its root");
	if (stack.self_kernel > stack.self)
		return cursor_fail(cursor, "more kernel samples than samples");
	stack.number = profile_intern_stack(reader->profile, reader->stacks.items[parent].number, frame);
	if (!stack.number)
		return error_create(ERROR_BAD_FILE, 0, snapshot_hint_damaged, "too deep, or memory is short");
	if (!array_append(&reader->stacks, stack))
		return reader_fail_memory();
	return NULL;
}

static struct error *read_sample_row(struct reader *reader, struct cursor *cursor)
{
	int64_t id = cursor_take_integer(cursor, 1, INT64_MAX);
	uint64_t time_ns = (uint64_t)cursor_take_integer(
		cursor, 0, (int64_t)(reader->facts.duration_ns + SNAPSHOT_LATE_NS));
	uint32_t tid = (uint32_t)cursor_take_integer(cursor, 0, INT32_MAX);
	uint16_t cpu = (uint16_t)cursor_take_integer(cursor, 0, UINT16_MAX);
	bool kernel = cursor_take_integer(cursor, 0, 1);
	int64_t stack_id = cursor_take_integer(cursor, 1, (int64_t)reader->stacks.count - 1);
	uint64_t count = (uint64_t)cursor_take_integer(cursor, 1, UINT32_MAX);
	struct error *error = cursor_check(cursor);
	struct stack_number *stack;

	if (error)
		return error;
	stack = &reader->stacks.items[stack_id];
	if (id != (int64_t)cursor->row)
		return cursor_fail(cursor, "samples are not numbered from 1");
	if (count > stack->self - (kernel ? 0 : stack->self_kernel) || (kernel && count > stack->self_kernel))
		return cursor_fail(cursor, "more samples than its stack has");
	stack->self -= count;
	stack->self_kernel -= kernel ? count : 0;
	if (__builtin_add_overflow(reader->samples, count, &reader->samples) || reader->samples > INT64_MAX)
		return cursor_fail(cursor, "impossibly many samples");
	profile_add_samples(reader->profile, stack->number, time_ns, tid, cpu,
			    kernel ? SAMPLE_KERNEL : SAMPLE_USER, (enum stack_end)stack->end, count);
	return NULL;
}

static struct error *read_event_row(struct reader *reader, struct cursor *cursor)
{
	const char *text;
	struct error *error;
	uint64_t time_ns;

	cursor_take_integer(cursor, 1, INT64_MAX); /* id */
	time_ns = (uint64_t)cursor_take_integer(cursor, 0, INT64_MAX);
	text = cursor_take_text(cursor);
	error = cursor_check(cursor);
	return error ? error : profile_add_event(reader->profile, time_ns, text);
}

static struct error *read_gap_row(struct reader *reader, struct cursor *cursor)
{
	uint64_t from_ns, to_ns;
	struct error *error;

	cursor_take_integer(cursor, 1, INT64_MAX); /* id */
	from_ns = (uint64_t)cursor_take_integer(cursor, 0, INT64_MAX - 1);
	to_ns = (uint64_t)cursor_take_integer(cursor, (int64_t)from_ns, INT64_MAX);
	error = cursor_check(cursor);
	return error ? error : profile_add_gap(reader->profile, from_ns, to_ns);
}

static struct error *read_lost_row(struct reader *reader, struct cursor *cursor)
{
	int64_t reason = cursor_take_integer(cursor, 0, LOST_REASONS - 1);
	uint64_t count;

	cursor_take_word(cursor, &lost_reason_names[reason], 1);
	count = (uint64_t)cursor_take_integer(cursor, 0, INT64_MAX / LOST_REASONS);
	reader->facts.lost[reason] = count;
	return cursor_check(cursor);
}

/* Only counted: the profile makes these sums itself. */
static struct error *read_stack_end_row(struct reader *reader, struct cursor *cursor)
{
	int64_t end = cursor_take_integer(cursor, 0, STACK_ENDS - 1);

	cursor_take_word(cursor, &stack_end_names[end], 1);
	cursor_take_integer(cursor, 0, INT64_MAX);
	return cursor_check(cursor);
}

/* In the order in which they need each other. columns: all of the table in its order, as they are hashed. */
static const struct {
	const char *table, *columns;
	struct error *(*read_row)(struct reader *reader, struct cursor *cursor);
	uint32_t first; /* schema that has it */
} tables[] = {
	{"meta", "key, value", read_meta_row, 1},
	{"module", "id, kind, symbols, path, name, build_id, samples", read_module_row, 1},
	{"function", "id, module, name, file, line, self, total, provisional", read_function_row, 1},
	{"frame", "id, module, offset, function, file, line", read_frame_row, 1},
	{"inlined", "id, around, function, file, line", read_inlined_row, 3},
	{"frame_inlined", "id, inlined", read_frame_inlined_row, 3},
	{"stack", "id, parent, frame, self, self_kernel, ending", read_stack_row, 1},
	{"sample", "id, time_ns, tid, cpu, kernel, stack, count", read_sample_row, 1},
	{"event", "id, time_ns, text", read_event_row, 1},
	{"gap", "id, from_ns, to_ns", read_gap_row, 1},
	{"lost", "id, reason, count", read_lost_row, 1},
	{"stack_end", "id, name, samples", read_stack_end_row, 1},
	{"heap", "key, value", reader_read_heap_row, 2},
	{"heap_stack", "id, parent, frame, live_bytes, live_count, alloc_bytes, alloc_count, peak_bytes",
	 reader_read_heap_stack_row, 2},
	{"heap_point",
	 "id, time_ns, length_ns, live_bytes, live_max_bytes, rss_bytes, rss_max_bytes, allocs, alloc_bytes, "
	 "frees, free_bytes",
	 reader_read_heap_point_row, 2},
};

static struct error *read_table(struct reader *reader, size_t table)
{
	_cleanup_(cursor_deinit) struct cursor cursor;
	struct error *error = reader_open(reader, tables[table].table, tables[table].columns, &cursor);

	while (!error && cursor_next(&cursor, &error)) {
		error = tables[table].read_row(reader, &cursor);
		if (!error)
			error = cursor_check(&cursor);
	}
	reader->sum += cursor.sum;
	return error;
}

/* After the facts, before the samples. */
static struct error *check_facts(const struct reader *reader)
{
	if (!reader->has_checksum)
		return error_create(ERROR_BAD_FILE, 0, snapshot_hint_damaged, "damaged: it has no checksum");
	if (reader->facts.duration_ns > SNAPSHOT_DURATION_NS_MAX)
		return error_create(ERROR_BAD_FILE, 0, snapshot_hint_damaged,
				    "damaged: an impossible duration");
	return NULL;
}

static struct error *check_sums(const struct reader *reader)
{
	if ((uint64_t)reader->checksum != reader->sum)
		return error_create(ERROR_BAD_FILE, 0, snapshot_hint_damaged,
				    "damaged: its checksum is wrong");
	for (size_t i = 1; i < reader->stacks.count; i++)
		if (reader->stacks.items[i].self)
			return error_create(ERROR_BAD_FILE, 0, snapshot_hint_damaged,
					    "damaged: stack %zu has %llu samples too few", i,
					    (unsigned long long)reader->stacks.items[i].self);
	return NULL;
}

static struct error *read_tables(struct reader *reader)
{
	struct error *error = NULL;

	if (!array_append(&reader->stacks, (struct stack_number){0}) ||
	    !array_append(&reader->heap_stacks, 0))
		return reader_fail_memory();
	for (size_t i = 0; !error && i < sizeof(tables) / sizeof(*tables); i++) {
		if (reader->image.schema >= tables[i].first)
			error = read_table(reader, i);
		if (!error && i == 0)
			error = check_facts(reader);
	}
	if (!error)
		error = check_sums(reader);
	if (!error)
		error = reader_finish_heap(reader);
	return error ? error : profile_set_facts(reader->profile, &reader->facts);
}

static void reader_deinit(struct reader *reader)
{
	for (size_t i = 0; i < reader->texts.count; i++)
		free(reader->texts.items[i]);
	array_deinit(&reader->texts);
	array_deinit(&reader->functions);
	array_deinit(&reader->frames);
	array_deinit(&reader->inlines);
	array_deinit(&reader->stacks);
	array_deinit(&reader->heap_stacks);
	profile_destroy(reader->profile);
	image_deinit(&reader->image);
}

struct error *snapshot_read(const char *path, struct profile **ret)
{
	_cleanup_(reader_deinit) struct reader reader = {
		.facts = {.hz_requested = NAN, .target_cpu_s = NAN, .self_cpu_s = NAN},
		.heap_facts = {.cost_pct = NAN, .budget_pct = NAN},
	};
	struct error *error = image_open(path, &reader.image);

	if (!error)
		error = profile_create(&reader.profile);
	if (!error)
		error = read_tables(&reader);
	if (error)
		return error_wrap(error, "%s", path);
	*ret = take_ptr(reader.profile);
	return NULL;
}

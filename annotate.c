/* `kiln annotate FILE SYMBOL`: the snapshot knows the samples, the binary at the module's path the code, if
 * it is still the same file; a sandboxed worker reads it. */
#include "annotate.h"

#include "annotate_choose.h"
#include "base/array.h"
#include "base/cleanup.h"
#include "bpf/privileges.h"
#include "export/report_annotate.h"
#include "profile/addresses.h"
#include "profile/snapshot.h"
#include "symbolizer/source_files.h"
#include "symbolizer/symbolizer.h"
#include "worker_start.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Pieces of code that are listed: an inlined function may be in hundreds of others. */
#define PIECES_MAX 8

struct annotating {
	const struct options *options;
	struct profile *profile; /* the snapshot */
	uint32_t function;
	struct module module;
	struct addresses addresses;
	struct source_files *sources;
	struct loop *loop;
	struct started_worker *worker;
	struct symbolizer_client *client;
	ARRAY(struct code_listing *)
	listings;
	/* While a question is under way. */
	struct code_listing *answer;
	struct info_message info;
	bool is_answered, is_stuck;
	char *why; /* there are no instructions; NULL: there are */
	const char *hint;
};

/* ---- the worker's answers ---- */

static void on_named(void *arg, uint32_t module, const struct resolved_name *names, size_t count)
{
}

static void on_info(void *arg, const struct info_message *info)
{
	struct annotating *annotating = arg;

	annotating->info = *info;
}

static void on_stuck(void *arg, uint32_t module)
{
	struct annotating *annotating = arg;

	annotating->is_stuck = true;
	loop_quit(annotating->loop, 0);
}

static void on_listing(void *arg, struct code_listing *listing)
{
	struct annotating *annotating = arg;

	code_listing_destroy(annotating->answer);
	annotating->answer = listing;
	annotating->is_answered = true;
	loop_quit(annotating->loop, 0);
}

/* ---- the binary ---- */

__attribute__((format(printf, 3, 4))) static void set_why(struct annotating *annotating, const char *hint,
							  const char *format, ...)
{
	va_list arguments;

	free(annotating->why);
	va_start(arguments, format);
	if (vasprintf(&annotating->why, format, arguments) < 0)
		annotating->why = NULL;
	va_end(arguments);
	annotating->hint = hint;
}

/* -1: there is none that may be read; why is set. What is no regular file is not opened: a FIFO would hang.
 */
static int open_binary(struct annotating *annotating, struct stat *ret_status)
{
	const char *path = annotating->module.path;
	_cleanup_close_ int found = open(path, O_PATH | O_CLOEXEC);
	char self[64];
	int fd;

	if (found < 0 || fstat(found, ret_status)) {
		set_why(annotating, "annotate where the program ran, or put the same file there", "%s: %s",
			path, strerrordesc_np(errno));
		return -1;
	}
	if (!S_ISREG(ret_status->st_mode)) {
		set_why(annotating, "annotate where the program ran", "%s: not a regular file", path);
		return -1;
	}
	snprintf(self, sizeof(self), "/proc/self/fd/%d", found);
	fd = open(self, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		set_why(annotating, "annotate as a user who may read it", "%s: %s", path,
			strerrordesc_np(errno));
	return fd;
}

static void format_build_id(const struct info_message *info, char ret[2 * BUILD_ID_MAX + 1])
{
	*ret = '\0';
	for (uint32_t i = 0; i < info->build_id_length; i++)
		snprintf(ret + 2 * i, 3, "%02x", info->build_id[i]);
}

/* Instructions of another build would be shown at the wrong places. */
static bool is_same_build(struct annotating *annotating)
{
	const struct module *module = &annotating->module;
	char build_id[2 * BUILD_ID_MAX + 1];

	format_build_id(&annotating->info, build_id);
	if (!*module->build_id) {
		fprintf(stderr,
			"kiln: %s: without a build-id: whether it is the file that ran is not known\n",
			module->path);
		return true;
	}
	if (!strcmp(build_id, module->build_id))
		return true;
	set_why(annotating, "put the file with that build-id there, or record anew",
		"%s: it is not the file that ran: its build-id is %s, that of the snapshot %s", module->path,
		*build_id ? build_id : "missing", module->build_id);
	return false;
}

/* ---- asking ---- */

static struct error *ask(struct annotating *annotating, uint64_t offset)
{
	uint32_t flags = annotating->options->is_intel ? CODE_INTEL : 0;
	struct error *error;

	annotating->is_answered = false;
	error = symbolizer_client_ask_code(annotating->client, annotating->module.id, offset, flags,
					   on_listing, annotating);
	while (!error && !annotating->is_answered && !annotating->is_stuck)
		loop_run(annotating->loop);
	return error;
}

/* Whether a listing is of the function that covers the offset: also of the parts that it leaves out. */
static bool is_listed(const struct annotating *annotating, uint64_t offset)
{
	for (size_t i = 0; i < annotating->listings.count; i++) {
		const struct code_listing *listing = annotating->listings.items[i];

		if (offset >= listing->start_offset &&
		    offset - listing->start_offset < listing->end - listing->start)
			return true;
	}
	return false;
}

/* Takes the answer. false: nothing more can be had. */
static bool take_answer(struct annotating *annotating, bool is_first)
{
	struct code_listing *listing = take_ptr(annotating->answer);

	if (annotating->is_stuck || !listing) {
		set_why(annotating, "kiln report shows what the snapshot knows",
			"%s: the process that reads it died of it, or took too long",
			annotating->module.path);
		code_listing_destroy(listing);
		return false;
	}
	if (is_first && !is_same_build(annotating)) {
		code_listing_destroy(listing);
		return false;
	}
	if (listing->why) {
		if (is_first)
			set_why(annotating, "kiln report shows what the snapshot knows", "%s: %s",
				annotating->module.path, listing->why);
		code_listing_destroy(listing);
		return !is_first;
	}
	if (!array_append(&annotating->listings, listing)) {
		code_listing_destroy(listing);
		return false;
	}
	return true;
}

/* The piece of the hottest address first, then those of the hottest addresses that are not listed yet. */
static struct error *list_pieces(struct annotating *annotating)
{
	unsigned asked = 0;

	for (size_t i = 0; i < annotating->addresses.items.count && asked < PIECES_MAX; i++) {
		const struct address *address = &annotating->addresses.items.items[i];
		struct error *error;

		if (is_listed(annotating, address->offset) || (asked && !address->self))
			continue;
		error = ask(annotating, address->offset);
		if (error)
			return error;
		if (!take_answer(annotating, !asked))
			return NULL;
		asked++;
	}
	if (!asked)
		set_why(annotating, "kiln report shows what the snapshot knows",
			"no address of the function is known");
	return NULL;
}

static struct error *read_code(struct annotating *annotating)
{
	uint32_t id = annotating->module.id;
	struct stat status;
	_cleanup_close_ int fd = -1;
	struct error *error;

	if (annotating->module.kind != MODULE_KIND_FILE) {
		set_why(annotating, "kiln report shows what the snapshot knows", "%s: its code is in no file",
			annotating->module.name);
		return NULL;
	}
	fd = open_binary(annotating, &status);
	if (fd < 0)
		return NULL;
	source_files_set_binary_time(annotating->sources, (uint64_t)status.st_mtim.tv_sec * 1000000000 +
								  (uint64_t)status.st_mtim.tv_nsec);
	error = worker_hand_over(annotating->worker, id, MODULE_KIND_FILE, fd);
	if (!error)
		error = symbolizer_client_set_module(annotating->client, id, (uint64_t)status.st_size);
	if (!error)
		error = symbolizer_client_set_module_path(annotating->client, id, annotating->module.path);
	return error ? error : list_pieces(annotating);
}

/* Before anything is opened that the snapshot names: the worker needs root's right to become nobody, we do
 * not need to be root. */
static struct error *start_worker(struct annotating *annotating)
{
	static const struct symbolizer_client_ops ops = {
		.named = on_named, .info = on_info, .stuck = on_stuck};
	_cleanup_free_ char *home = NULL;
	struct error *error = loop_create(&annotating->loop);
	int fd = -1;
	uid_t uid;
	gid_t gid;

	if (!error)
		error = worker_start(annotating->loop, &fd, &annotating->worker);
	if (!error)
		error = privileges_find_invoker(&uid, &gid, &home);
	if (!error && uid != geteuid())
		error = privileges_drop_to_user(uid, gid);
	if (!error)
		error = symbolizer_client_create(annotating->loop, &ops, annotating, &annotating->client);
	if (!error)
		error = symbolizer_client_connect(annotating->client, fd);
	else if (fd >= 0)
		close(fd);
	return error;
}

/* ---- sources ---- */

static bool find_source(void *arg, const char *file, struct annotate_file *ret)
{
	const struct source_file *found = source_files_find(arg, file);

	if (!found)
		return false;
	*ret = (struct annotate_file){.path = found->path, .why = found->why, .is_newer = found->is_newer};
	return true;
}

static const char *get_source_line(void *arg, const char *file, uint32_t line)
{
	const struct source_file *found = source_files_find(arg, file);

	return found ? source_files_get_line(arg, found, line) : NULL;
}

static struct error *prepare_sources(struct annotating *annotating)
{
	struct error *error = source_files_create(&annotating->sources);

	for (size_t i = 0; !error && i < annotating->options->source_map_count; i++)
		error = source_files_add_map(annotating->sources, annotating->options->source_maps[i]);
	return error;
}

/* ---- the verb ---- */

static struct error *choose(struct annotating *annotating)
{
	struct error *error = annotate_choose(annotating->profile, annotating->options->symbol, stderr,
					      &annotating->function);
	struct function function;

	if (error)
		return error;
	function = profile_get_function(annotating->profile, annotating->function);
	if (!profile_find_module(annotating->profile, function.module, &annotating->module))
		return error_create(ERROR_GENERAL, 0, NULL, "%s: its module is not known", function.name);
	return addresses_collect(annotating->profile, annotating->function, &annotating->addresses);
}

static struct error *write_report(struct annotating *annotating)
{
	struct annotate_options options = {
		.function = annotating->function,
		.addresses = &annotating->addresses,
		.listings = annotating->listings.items,
		.count = annotating->listings.count,
		.sources = {find_source, get_source_line, annotating->sources},
	};
	struct error *error = report_write_annotate(annotating->profile, &options, stdout);

	/* What the snapshot knows is on stdout; what is missing is an error all the same. */
	if (!error && annotating->why)
		error = error_create(ERROR_GENERAL, 0, annotating->hint, "no instructions: %s",
				     annotating->why);
	return error;
}

static void clean_up(struct annotating *annotating)
{
	symbolizer_client_destroy(annotating->client);
	worker_stop(annotating->worker);
	loop_destroy(annotating->loop);
	for (size_t i = 0; i < annotating->listings.count; i++)
		code_listing_destroy(annotating->listings.items[i]);
	array_deinit(&annotating->listings);
	code_listing_destroy(annotating->answer);
	addresses_deinit(&annotating->addresses);
	source_files_destroy(annotating->sources);
	profile_destroy(annotating->profile);
	free(annotating->why);
}

struct error *annotate_run(const struct options *options, int *ret_status)
{
	struct annotating annotating = {.options = options};
	struct error *error;

	if (!worker_guard(ret_status))
		return NULL;
	error = prepare_sources(&annotating);
	if (!error)
		error = snapshot_read(options->file, &annotating.profile);
	if (!error)
		error = choose(&annotating);
	if (!error)
		error = start_worker(&annotating);
	if (!error)
		error = read_code(&annotating);
	if (!error)
		error = write_report(&annotating);
	clean_up(&annotating);
	return error;
}

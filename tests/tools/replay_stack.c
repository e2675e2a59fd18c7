/* Walks a recorded stack again, and prints it.
 *
 *   replay_stack FILE…      "MODULE+OFFSET" a frame, leaf first, then how it ends; "was: …" where the file
 * has another frame or end. Offsets are of the file; a caller's is its return address.
 *
 * Exit status: 0 all as recorded, 1 something differs, 2 a file that is no recording.
 */
#include "base/cleanup.h"
#include "profile/profile.h"
#include "tests/support/replay.h"

#include <inttypes.h>

static const char *module_name(const struct recording *recording, uint32_t module)
{
	for (size_t i = 1; i < recording->mappings.count; i++)
		if (recording->mappings.items[i].module == module)
			return recording->names.items[i];
	return "?";
}

static void print_frame(const struct recording *recording, const char *before, uint64_t frame)
{
	printf("%s%s+0x%" PRIx64 "\n", before, module_name(recording, FRAME_MODULE(frame)),
	       (uint64_t)FRAME_OFFSET(frame));
}

/* Whether it is as recorded. */
static bool print_walk(struct recording *recording)
{
	static __u64 frames[WALK_FRAMES_MAX];
	static struct walk walk;
	bool is_same;

	replay_walk(recording, &walk, frames);
	is_same = walk.count == recording->frames.count && walk.end == recording->end;
	for (size_t i = 0; i < walk.count || i < recording->frames.count; i++) {
		if (i < walk.count)
			print_frame(recording, "", frames[i]);
		if (i < recording->frames.count &&
		    (i >= walk.count || recording->frames.items[i] != frames[i])) {
			print_frame(recording, "\twas: ", recording->frames.items[i]);
			is_same = false;
		}
	}
	printf("%s\n", stack_end_names[walk.end]);
	if (walk.end != recording->end)
		printf("\twas: %s\n", stack_end_names[recording->end]);
	return is_same;
}

int main(int argc, char **argv)
{
	int status = 0;

	for (int i = 1; i < argc; i++) {
		_cleanup_fclose_ FILE *file = fopen(argv[i], "re");
		struct recording recording;

		if (!file || !recording_read(file, &recording)) {
			fprintf(stderr, "%s is no recording\n", argv[i]);
			return 2;
		}
		if (!recording_build_tables(&recording)) {
			fprintf(stderr, "%s has a table that makes no sense\n", argv[i]);
			status = 2;
		} else if (!print_walk(&recording)) {
			status = status ? status : 1;
		}
		recording_deinit(&recording);
	}
	return status;
}

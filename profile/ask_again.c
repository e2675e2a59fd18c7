/* Frames of JIT code: asked for when there are files that name it, and again when these have got more.
 *
 * Until it is answered such a frame is one of "[anon]", not a function of its own: its address says nothing
 * to anybody, and of much of it (trampolines, regular expressions) nobody will ever know a name.
 */
#include "profile/internal.h"

bool ask_again_is_asked(const struct profile *profile, uint32_t module)
{
	const struct module_entry *entry = modules_find(&profile->modules, module);

	return entry && entry->is_jit;
}

/* What stands for a whole function has no address. */
static bool is_unknown(const struct frame_entry *frame)
{
	return frame->state == FRAME_NAMED && !(FRAME_OFFSET(frame->word) & FRAME_SOMEWHERE);
}

void profile_ask_again(struct profile *profile, uint32_t module)
{
	struct module_entry *entry = modules_find(&profile->modules, module);
	uint32_t function = functions_intern_text(profile, module, ANONYMOUS_NAME);
	struct frame_entry *frames = profile->stacks.frames.items;

	if (!entry || module != MODULE_ANONYMOUS || function == FUNCTION_NONE)
		return;
	entry->is_jit = true;
	for (uint32_t number = profile->functions.items.items[function].frames; number;
	     number = frames[number].next_of_function) {
		if (!is_unknown(&frames[number]))
			continue;
		frames[number].state = FRAME_NEW;
		names_link_frame(profile, number);
	}
}

#include "tests/support/hooks_check.h"

#include "bpf/heap_events.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static const char *check_proposal(const struct hook_proposal *proposal)
{
	if (proposal->flags != 0 && proposal->flags != HOOK_WRAPPER && proposal->flags != HOOK_LIES &&
	    proposal->flags != HOOK_THROWS)
		return "flags";
	if (proposal->kind >= HEAP_KINDS || (proposal->flags == HOOK_WRAPPER) != !proposal->kind)
		return "a wrapper has no kind, a hook has one";
	if (!memchr(proposal->name, '\0', sizeof(proposal->name)) || !proposal->name[0])
		return "name";
	if (proposal->start + proposal->length < proposal->start)
		return "range";
	return NULL;
}

const char *hooks_check_message(const struct hooks_message *message)
{
	if (message->count > HOOK_PROPOSALS_MAX || message->is_go > 1)
		return "header";
	for (uint32_t i = 0; i < message->count; i++) {
		const char *wrong = check_proposal(&message->proposals[i]);

		if (wrong)
			return wrong;
		if (i && message->proposals[i - 1].start > message->proposals[i].start)
			return "order";
	}
	return NULL;
}

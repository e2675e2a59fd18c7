/* The list of commands as data: what the help screen and its tests read. The list itself is commands.def. */
#ifndef KILN_TUI_COMMANDS_H
#define KILN_TUI_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>

struct command {
	const char *screens; /* keys of the screens that have it; "*": all */
	const char *group;   /* "MOVE"; commands of a group stand together */
	const char *keys;    /* "g G Home End" */
	const char *help;
};

extern const struct command commands[];
extern const size_t commands_count;

bool command_is_on_screen(const struct command *command, char screen_key);

#endif

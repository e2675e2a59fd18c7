#include "tui/commands.h"

#include <string.h>

const struct command commands[] = {
#define COMMAND(screens, group, keys, help) {screens, group, keys, help},
#include "tui/commands.def"
#undef COMMAND
};

const size_t commands_count = sizeof(commands) / sizeof(commands[0]);

bool command_is_on_screen(const struct command *command, char screen_key)
{
	return command->screens[0] == '*' || strchr(command->screens, screen_key) != NULL;
}

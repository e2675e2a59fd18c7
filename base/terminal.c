#include "base/terminal.h"

#include <errno.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

static int terminal_fd = -1;
static struct termios terminal_modes;

/* Fixed bytes, so that no terminfo look-up is needed in a signal handler. Every terminal with an entry that
 * kiln accepts understands or ignores them: attributes off, mouse reporting off (1002 and 1006), bracketed
 * paste off, keypad normal, cursor keys normal, cursor shown, back from the alternate screen. */
static const char restore_bytes[] =
	"\033[0m\033[?1000l\033[?1002l\033[?1006l\033[?2004l\033>\033[?1l\033[?25h"
	"\033[?1049l\r";

void terminal_remember(int fd)
{
	if (tcgetattr(fd, &terminal_modes) == 0)
		terminal_fd = fd;
}

void terminal_restore(void)
{
	sigset_t ttou, before;
	int saved_errno = errno;

	if (terminal_fd < 0)
		return;
	/* When the shell has taken the terminal back already, we are in the background and tcsetattr() would
	 * stop us. */
	sigemptyset(&ttou);
	sigaddset(&ttou, SIGTTOU);
	sigprocmask(SIG_BLOCK, &ttou, &before);
	/* Not TCSADRAIN: a terminal that is stopped by ^S would make us wait for ever. */
	tcsetattr(terminal_fd, TCSANOW, &terminal_modes);
	if (write(terminal_fd, restore_bytes, sizeof(restore_bytes) - 1) < 0) {
		/* The terminal has gone. */
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	errno = saved_errno;
}

/* The terminal as it was: remembered before anything touches it, put back whatever happens.
 *
 * Both functions are safe in a signal handler (they only call write(2) and tcsetattr(3)) and do nothing when
 * nothing was remembered. Each step of restoring is independent of the others.
 */
#ifndef KILN_BASE_TERMINAL_H
#define KILN_BASE_TERMINAL_H

/* fd: a terminal; it must stay open. Anything else is ignored. */
void terminal_remember(int fd);
/* Modes (termios), screen, cursor, attributes, mouse. May be called again and again. */
void terminal_restore(void);

#endif
